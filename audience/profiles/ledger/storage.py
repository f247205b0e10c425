"""All SQL of the merge ledger and of refused merges.

Whoever writes here holds the app's lock (`profiles/storage.py`, `lock_apps`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from audience.profiles.identifiers import ANALYTICS_VISITOR_ID, DEVICE_ID, Identifier
from audience.profiles.profile import Profile, from_record, to_record
from audience.profiles.profile_set import Merge, Refusal
from audience.server.clock import new_id

#: A profile has many of these; its document lists them under their plural.
_LISTED = (DEVICE_ID, ANALYTICS_VISITOR_ID)

INSERT_MERGE = """
INSERT INTO profile_merges (app_id, merge_id, survivor_profile_id, absorbed_profile_id,
    identifiers, survivor_before, absorbed_before, merged_at)
VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb, $8)
"""

SAVE_REFUSAL = """
INSERT INTO merge_refusals AS stored (app_id, profile_id, other_profile_id, reason, refused_count,
    first_refused_at, last_refused_at)
VALUES ($1, $2, $3, $4, 1, $5, $5)
ON CONFLICT (app_id, profile_id, other_profile_id, reason) DO UPDATE
    SET refused_count = stored.refused_count + 1, last_refused_at = excluded.last_refused_at
"""

# JSON is read as text: a connection of SQLAlchemy's would decode it, one of asyncpg's would not.
_MERGE_COLUMNS = """merge_id, survivor_before::text AS survivor_before,
    absorbed_before::text AS absorbed_before, identifiers::text AS identifiers, merged_at,
    undone_at"""

GET_MERGE = f"SELECT {_MERGE_COLUMNS} FROM profile_merges WHERE app_id = $1 AND merge_id = $2"  # noqa: S608

LIST_MERGES_OF = f"""
SELECT {_MERGE_COLUMNS} FROM profile_merges
WHERE app_id = $1 AND (survivor_profile_id = $2 OR absorbed_profile_id = $2)
ORDER BY sequence
"""  # noqa: S608 - the column list is a constant

MARK_MERGE_UNDONE = "UPDATE profile_merges SET undone_at = $3 WHERE app_id = $1 AND merge_id = $2"

SAVE_MERGE_DOCUMENTS = """
UPDATE profile_merges
SET survivor_before = $3::jsonb, absorbed_before = $4::jsonb, identifiers = $5::jsonb
WHERE app_id = $1 AND merge_id = $2
"""

# part: what a document that holds the identifier contains; pair: the identifier as a pair. LATERAL
# with a LIMIT makes the planner look each profile up, whatever it believes about the app.
LIST_MERGES_TELLING_OF = f"""
SELECT wanted.place, {_MERGE_COLUMNS}
FROM unnest($2::uuid[], $3::text[], $4::text[]) WITH ORDINALITY
    AS wanted(profile_id, part, pair, place)
CROSS JOIN LATERAL (
    (SELECT * FROM profile_merges s
        WHERE s.survivor_profile_id = wanted.profile_id AND s.app_id = $1 LIMIT 1000000)
    UNION ALL
    (SELECT * FROM profile_merges a
        WHERE a.absorbed_profile_id = wanted.profile_id AND a.app_id = $1 LIMIT 1000000)
) named
WHERE survivor_before @> wanted.part::jsonb OR absorbed_before @> wanted.part::jsonb
    OR EXISTS (
        SELECT FROM jsonb_array_elements(identifiers) AS named_by
        WHERE named_by = wanted.pair::jsonb
    )
LIMIT $5
"""  # noqa: S608 - the column list is a constant

# A profile exists or was absorbed by another one, which may have been absorbed in turn.
RESOLVE_PROFILE_ID = """
WITH RECURSIVE lineage(profile_id, step) AS (
    SELECT $2::uuid, 0
    UNION ALL
    SELECT m.survivor_profile_id, lineage.step + 1
    FROM lineage JOIN profile_merges m
        ON m.app_id = $1 AND m.absorbed_profile_id = lineage.profile_id AND m.undone_at IS NULL
    WHERE lineage.step < 1000
)
SELECT p.profile_id::text FROM lineage
JOIN profiles p ON p.app_id = $1 AND p.profile_id = lineage.profile_id
ORDER BY lineage.step LIMIT 1
"""

# The profiles and every one they absorbed, directly or by way of others. LATERAL with a LIMIT makes
# the planner look each one up: it takes a recursion for many rows and would read all merges.
LINEAGE = """
WITH RECURSIVE lineage(profile_id) AS (
    SELECT unnest($2::uuid[])
    UNION
    SELECT absorbed.profile_id
    FROM lineage CROSS JOIN LATERAL (
        SELECT m.absorbed_profile_id AS profile_id FROM profile_merges m
        WHERE m.survivor_profile_id = lineage.profile_id AND m.app_id = $1 AND m.undone_at IS NULL
        LIMIT 1000000
    ) absorbed
)
"""

LIST_LINEAGE = f"{LINEAGE} SELECT profile_id::text FROM lineage"  # noqa: S608 - a constant

# An undone merge of a profile of the lineage belongs to its history too.
LIST_LINEAGE_MERGES = f"""
{LINEAGE}
SELECT {_MERGE_COLUMNS}, count(*) OVER () AS total FROM profile_merges
WHERE app_id = $1 AND merge_id IN (
    SELECT m.merge_id FROM lineage JOIN profile_merges m
        ON m.app_id = $1 AND m.survivor_profile_id = lineage.profile_id
    UNION
    SELECT m.merge_id FROM lineage JOIN profile_merges m
        ON m.app_id = $1 AND m.absorbed_profile_id = lineage.profile_id
)
ORDER BY sequence LIMIT $3 OFFSET $4
"""  # noqa: S608 - the column list is a constant

LIST_REFUSALS = """
SELECT other_profile_id::text AS other_profile_id, reason, refused_count, first_refused_at,
    last_refused_at
FROM merge_refusals WHERE app_id = $1 AND profile_id = $2
ORDER BY last_refused_at DESC, other_profile_id, reason LIMIT $3
"""

DELETE_MERGES_OF = """
DELETE FROM profile_merges WHERE app_id = $1
    AND (survivor_profile_id = ANY($2) OR absorbed_profile_id = ANY($2))
"""

DELETE_UNDONE_MERGES_OF = """
DELETE FROM profile_merges WHERE app_id = $1 AND undone_at IS NOT NULL
    AND (survivor_profile_id = ANY($2) OR absorbed_profile_id = ANY($2))
"""

DELETE_REFUSALS_OF = """
DELETE FROM merge_refusals WHERE app_id = $1
    AND (profile_id = ANY($2) OR other_profile_id = ANY($2))
"""


async def insert_merges(conn: asyncpg.Connection, app_id: str, merges: Sequence[Merge]) -> None:
    """Add merges to the ledger, in the order given.  Needs the app's lock: it makes their order."""
    await conn.executemany(INSERT_MERGE, [_merge_row(app_id, merge) for merge in merges])


async def save_refusals(conn: asyncpg.Connection, app_id: str, refusals: Sequence[Refusal]) -> None:
    """Note refused merges; one that was refused before only counts up."""
    await conn.executemany(SAVE_REFUSAL, [_refusal_row(app_id, row) for row in refusals])


async def get_merge(
    conn: asyncpg.Connection, app_id: str, merge_id: str
) -> tuple[Merge, datetime | None] | None:
    """The merge and when it was undone (None: it stands), or None when there is no such merge."""
    row = await conn.fetchrow(GET_MERGE, app_id, merge_id)
    return None if row is None else (_merge(row), row["undone_at"])


async def list_merges_of(
    conn: asyncpg.Connection, app_id: str, profile_id: str
) -> list[tuple[str, Merge, datetime | None]]:
    """(merge_id, merge, undone_at) of every merge the profile took part in, oldest first."""
    rows = await conn.fetch(LIST_MERGES_OF, app_id, profile_id)
    return [(str(row["merge_id"]), _merge(row), row["undone_at"]) for row in rows]


async def mark_merge_undone(
    conn: asyncpg.Connection, app_id: str, merge_id: str, now: datetime
) -> None:
    """Note that the merge was taken back; the row stays as its history."""
    await conn.execute(MARK_MERGE_UNDONE, app_id, merge_id, now)


async def save_merge_documents(
    conn: asyncpg.Connection, app_id: str, merges: Mapping[str, Merge]
) -> None:
    """Replace documents and identifiers of ledger rows, in one round trip; {merge_id: merge}."""
    rows = [
        (
            app_id,
            merge_id,
            _record(one.survivor_before),
            _record(one.absorbed_before),
            _pairs(one.identifiers),
        )
        for merge_id, one in merges.items()
    ]
    await conn.executemany(SAVE_MERGE_DOCUMENTS, rows)


async def list_merges_telling_of(
    conn: asyncpg.Connection, app_id: str, held: Sequence[tuple[Identifier, str]], most: int
) -> list[tuple[int, str, Merge]]:
    """(place, merge_id, merge) where a merge of the profile `held[place]` tells of its identifier.

    held: (identifier, profile_id). A merge is found for every place that it tells of; up to `most`
    are found in all.
    """
    parts, pairs = [], []
    for (name, value), _ in held:
        member = {f"{name}s": [value]} if name in _LISTED else {name: value}
        parts.append(orjson.dumps(member).decode())
        pairs.append(orjson.dumps([name, value]).decode())
    ids = [profile_id for _, profile_id in held]
    rows = await conn.fetch(LIST_MERGES_TELLING_OF, app_id, ids, parts, pairs, most)
    return [(row["place"] - 1, str(row["merge_id"]), _merge(row)) for row in rows]


async def resolve_profile_id(conn: asyncpg.Connection, app_id: str, profile_id: str) -> str | None:
    """The profile's id, or that of the one it was merged into; None when there is neither."""
    found: str | None = await conn.fetchval(RESOLVE_PROFILE_ID, app_id, profile_id)
    return found


async def list_lineage(conn: asyncpg.Connection, app_id: str, profile_id: str) -> list[str]:
    """The profile's id and those of every profile that lives on in it."""
    return [row["profile_id"] for row in await conn.fetch(LIST_LINEAGE, app_id, [profile_id])]


async def list_lineage_merges(
    conn: asyncpg.Connection, app_id: str, profile_id: str, limit: int, offset: int
) -> tuple[list[tuple[str, Merge, datetime | None]], int]:
    """(merge_id, merge, undone_at) of the merges that made the profile, oldest first; and how many.

    Undone ones are among them. Past the last one the count is 0.
    """
    rows = await conn.fetch(LIST_LINEAGE_MERGES, app_id, [profile_id], limit, offset)
    merges = [(str(row["merge_id"]), _merge(row), row["undone_at"]) for row in rows]
    return merges, rows[0]["total"] if rows else 0


async def list_refusals(
    conn: asyncpg.Connection, app_id: str, profile_id: str, limit: int
) -> list[asyncpg.Record]:
    """Merges into the profile that were refused, newest first."""
    return list(await conn.fetch(LIST_REFUSALS, app_id, profile_id, limit))


async def delete_merges_of(
    conn: asyncpg.Connection, app_id: str, profile_ids: Sequence[str]
) -> None:
    """Delete every merge that one of the profiles took part in, with its documents."""
    await conn.execute(DELETE_MERGES_OF, app_id, list(profile_ids))


async def delete_undone_merges_of(
    conn: asyncpg.Connection, app_id: str, profile_ids: Sequence[str]
) -> None:
    """Delete the merges of the profiles that were taken back: the other side shows them too."""
    await conn.execute(DELETE_UNDONE_MERGES_OF, app_id, list(profile_ids))


async def delete_refusals_of(
    conn: asyncpg.Connection, app_id: str, profile_ids: Sequence[str]
) -> None:
    """Delete every refusal that names one of the profiles."""
    await conn.execute(DELETE_REFUSALS_OF, app_id, list(profile_ids))


def _record(profile: Profile) -> str:
    return orjson.dumps(to_record(profile)).decode()


def _pairs(identifiers: Sequence[Identifier]) -> str:
    return orjson.dumps([list(identifier) for identifier in identifiers]).decode()


def _merge_row(app_id: str, merge: Merge) -> tuple[Any, ...]:
    return (
        app_id,
        new_id(),
        merge.survivor_before.profile_id,
        merge.absorbed_before.profile_id,
        _pairs(merge.identifiers),
        _record(merge.survivor_before),
        _record(merge.absorbed_before),
        merge.merged_at,
    )


def _merge(row: asyncpg.Record) -> Merge:
    return Merge(
        survivor_before=from_record(orjson.loads(row["survivor_before"])),
        absorbed_before=from_record(orjson.loads(row["absorbed_before"])),
        identifiers=tuple(Identifier(*pair) for pair in orjson.loads(row["identifiers"])),
        merged_at=row["merged_at"],
    )


def _refusal_row(app_id: str, refusal: Refusal) -> tuple[Any, ...]:
    other = refusal.other_profile_id or refusal.profile_id
    return (app_id, refusal.profile_id, other, refusal.reason, refusal.refused_at)
