"""All SQL of erasures: what is remembered of erased profiles, and what is still to be removed.

Whoever erases holds the app's lock (`profiles/storage.py`, `lock_apps`).
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg
import orjson

from audience.profile_changes.erasure.memory import Remembered, Remembrance, split_digests
from audience.profiles.identifiers import Identifier
from audience.server.array_parameters.storage import text_array

#: More erasures of one identifier within a few days are not looked at.
MAX_ERASURES_OF_IDENTIFIER = 16

# For the statement that loads the profiles a batch of writes names (`profile_changes/storage.py`):
# what is remembered of identifiers of the app `a`; null in an app that remembers nothing, which
# then costs nothing. LATERAL with LIMIT makes the planner look each key up, whatever it believes of
# the app. OFFSET 0: each hash is computed once, not for every row that it may be compared with.
ERASED_COLUMN = f"""CASE WHEN a.erasure_key IS NOT NULL THEN (
        SELECT json_agg(json_build_array(wanted.identifier_name, wanted.identifier_value,
            encode(e.hash_key, 'hex'), encode(e.value_digests, 'hex'), e.erased_at,
            known.blocked_until))::text
        FROM (
            SELECT identifier_name, identifier_value, sha256(a.erasure_key
                || convert_to(identifier_name || ':' || identifier_value, 'UTF8')) AS hash
            FROM unnest(batch.identifier_names::text[], batch.identifier_values::text[])
                AS named(identifier_name, identifier_value)
            OFFSET 0
        ) wanted
        CROSS JOIN LATERAL (
            SELECT i.erasure_id, i.blocked_until FROM erased_identifiers i
            WHERE i.app_id = a.app_id AND i.identifier_hash = wanted.hash
            LIMIT {MAX_ERASURES_OF_IDENTIFIER}
        ) known
        CROSS JOIN LATERAL (
            SELECT r.hash_key, r.value_digests, r.erased_at FROM erasures r
            WHERE r.app_id = a.app_id AND r.erasure_id = known.erasure_id LIMIT 1
        ) e
    ) END"""  # noqa: S608 - the limit is a constant

FIND_REMEMBERED = f"""
SELECT {ERASED_COLUMN}
FROM apps a, (SELECT $2::text, $3::text) AS batch(identifier_names, identifier_values)
WHERE a.app_id = $1
"""  # noqa: S608 - made of constants

# The app's key is made by its first erasure and goes with the last one that is remembered.
SET_ERASURE_KEY = "UPDATE apps SET erasure_key = $2 WHERE app_id = $1"

INSERT_ERASURE = """
INSERT INTO erasures (app_id, erasure_id, hash_key, value_digests, pending_profile_ids, erased_at,
    remembered_until)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

INSERT_ERASED_IDENTIFIERS = """
INSERT INTO erased_identifiers (app_id, identifier_hash, erasure_id, blocked_until)
SELECT $1, hash, $2, blocked_until
FROM unnest($3::bytea[], $4::timestamptz[]) AS new(hash, blocked_until)
"""

# Locked: who finds none of its ledger rows must not be fooled by another who is removing some. The
# other may have been through with it, then its list is empty.
FIND_PENDING = """
SELECT app_id::text AS app_id, erasure_id::text AS erasure_id, pending_profile_ids::text[] AS ids
FROM erasures WHERE (app_id, erasure_id) = (
    SELECT app_id, erasure_id FROM erasures
    WHERE pending_profile_ids <> '{}' AND ($1::uuid IS NULL OR app_id = $1)
    ORDER BY erased_at LIMIT 1
) FOR UPDATE
"""

DELETE_SOME_MERGES = """
DELETE FROM profile_merges m
USING (
    SELECT found.merge_id FROM unnest($2::uuid[]) AS gone(profile_id)
    CROSS JOIN LATERAL (
        (SELECT s.merge_id FROM profile_merges s
            WHERE s.survivor_profile_id = gone.profile_id AND s.app_id = $1 LIMIT $3)
        UNION
        (SELECT a.merge_id FROM profile_merges a
            WHERE a.absorbed_profile_id = gone.profile_id AND a.app_id = $1 LIMIT $3)
    ) found
    LIMIT $3
) chosen
WHERE m.app_id = $1 AND m.merge_id = chosen.merge_id
"""

CLEAR_PENDING = """
UPDATE erasures SET pending_profile_ids = '{}' WHERE app_id = $1 AND erasure_id = $2
"""

FIND_ERASURE_KEY = "SELECT erasure_key FROM apps WHERE app_id = $1"

LIST_ERASED = """
SELECT i.identifier_hash, max(e.erased_at) AS erased_at FROM unnest($2::bytea[]) AS wanted(hash)
JOIN erased_identifiers i ON i.app_id = $1 AND i.identifier_hash = wanted.hash
JOIN erasures e ON e.app_id = i.app_id AND e.erasure_id = i.erasure_id
GROUP BY i.identifier_hash
"""

FIND_FORGETTABLE = """
SELECT app_id::text FROM erasures WHERE remembered_until <= $1 AND pending_profile_ids = '{}'
ORDER BY remembered_until LIMIT 1
"""

DELETE_FORGETTABLE = """
DELETE FROM erasures WHERE app_id = $1 AND erasure_id IN (
    SELECT erasure_id FROM erasures
    WHERE app_id = $1 AND remembered_until <= $2 AND pending_profile_ids = '{}' LIMIT $3
)
"""

CLEAR_ERASURE_KEY = """
UPDATE apps SET erasure_key = NULL
WHERE app_id = $1 AND NOT EXISTS (SELECT FROM erasures WHERE app_id = $1)
"""

# No row is counted twice. LATERAL with a LIMIT, as in LINEAGE of the ledger, which $3 comes from.
COUNT_ROWS = """
WITH lineage AS (SELECT unnest($3::uuid[]) AS profile_id)
SELECT
    (SELECT count(*) FROM profiles WHERE app_id = $1 AND profile_id = ANY($2)) AS profiles,
    (SELECT count(*) FROM profile_identifiers WHERE profile_id = ANY($2) AND app_id = $1)
        AS profile_identifiers,
    (SELECT count(*) FROM audience_members WHERE profile_id = ANY($2) AND app_id = $1)
        AS audience_members,
    (SELECT count(*) FROM merge_refusals WHERE app_id = $1 AND profile_id = ANY($2))
        + (SELECT count(*) FROM lineage CROSS JOIN LATERAL (
            SELECT FROM merge_refusals r
            WHERE r.other_profile_id = lineage.profile_id AND r.app_id = $1
                AND r.profile_id <> ALL($2)
            LIMIT 1000000
        ) refusal) AS merge_refusals,
    (SELECT count(*) FROM lineage CROSS JOIN LATERAL (
            SELECT FROM profile_merges m
            WHERE m.survivor_profile_id = lineage.profile_id AND m.app_id = $1
            LIMIT 1000000
        ) survived)
        + (SELECT count(*) FROM lineage CROSS JOIN LATERAL (
            SELECT m.survivor_profile_id FROM profile_merges m
            WHERE m.absorbed_profile_id = lineage.profile_id AND m.app_id = $1
            LIMIT 1000000
        ) went LEFT JOIN lineage own ON own.profile_id = went.survivor_profile_id
        WHERE own.profile_id IS NULL) AS profile_merges
"""


class Pending(NamedTuple):
    """An erasure whose ledger rows are not all removed yet."""

    app_id: str
    erasure_id: str
    profile_ids: list[str]


async def find_remembered(
    conn: asyncpg.Connection, app_id: str, identifiers: Collection[Identifier]
) -> Remembered:
    """What is remembered of erased profiles of the app that held any of the identifiers."""
    names, values = [text_array([one[place] for one in identifiers]) for place in (0, 1)]
    text = await conn.fetchval(FIND_REMEMBERED, app_id, names, values)
    return remembered_of(text) if text else {}


def blocked_visitor_condition(app_id: str, analytics_visitor_id: str, now: str) -> str:
    """SQL that is true for a visitor ID of an erased person while it is blocked.

    The arguments are expressions of the statement it becomes a part of. It costs one look at the
    app in an app that remembers no erasure.
    """
    return f"""EXISTS (
        SELECT FROM apps remembering WHERE remembering.app_id = {app_id}
            AND remembering.erasure_key IS NOT NULL AND EXISTS (
                SELECT FROM erased_identifiers i WHERE i.app_id = {app_id}
                    AND i.identifier_hash = sha256(remembering.erasure_key || convert_to(
                        'analytics_visitor_id:' || {analytics_visitor_id}, 'UTF8'))
                    AND i.blocked_until > {now}
            )
    )"""  # noqa: S608 - expressions of our own statements


def remembered_of(text: str) -> Remembered:
    """What ERASED_COLUMN found."""
    found: dict[Identifier, list[Remembrance]] = {}
    for name, value, hash_key, digests, erased_at, blocked_until in orjson.loads(text):
        remembrance = Remembrance(
            bytes.fromhex(hash_key),
            split_digests(bytes.fromhex(digests)),
            datetime.fromisoformat(erased_at),
            None if blocked_until is None else datetime.fromisoformat(blocked_until),
        )
        found.setdefault(Identifier(name, value), []).append(remembrance)
    return found


async def ensure_erasure_key(conn: asyncpg.Connection, app_id: str, new_key: bytes) -> bytes:
    """The key that hashes the app's erased identifiers; new_key when it had none."""
    # A new version of the app's row would have all writers read it: none without need.
    key = await find_erasure_key(conn, app_id)
    if key is None:
        await conn.execute(SET_ERASURE_KEY, app_id, new_key)
    return new_key if key is None else key


async def insert_erasure(
    conn: asyncpg.Connection,
    app_id: str,
    erasure_id: str,
    *,
    hash_key: bytes,
    value_digests: Collection[bytes],
    pending_profile_ids: Sequence[str],
    erased_at: datetime,
    remembered_until: datetime,
) -> None:
    """Remember the erasure of a profile."""
    await conn.execute(
        INSERT_ERASURE,
        app_id,
        erasure_id,
        hash_key,
        b"".join(sorted(value_digests)),
        list(pending_profile_ids),
        erased_at,
        remembered_until,
    )


async def insert_erased_identifiers(
    conn: asyncpg.Connection,
    app_id: str,
    erasure_id: str,
    hashes: Sequence[tuple[bytes, datetime | None]],
) -> None:
    """Remember identifiers of an erased profile.  hashes: (hash, blocked_until)."""
    columns = [one[0] for one in hashes], [one[1] for one in hashes]
    await conn.execute(INSERT_ERASED_IDENTIFIERS, app_id, erasure_id, *columns)


async def find_erasure_key(conn: asyncpg.Connection, app_id: str) -> bytes | None:
    """The key that hashes the app's erased identifiers; None while nothing is remembered."""
    key: bytes | None = await conn.fetchval(FIND_ERASURE_KEY, app_id)
    return key


async def list_erased(
    conn: asyncpg.Connection, app_id: str, hashes: Collection[bytes]
) -> dict[bytes, datetime]:
    """{hash: the last erasure of the identifier} of those that are remembered."""
    rows = await conn.fetch(LIST_ERASED, app_id, list(hashes))
    return {row["identifier_hash"]: row["erased_at"] for row in rows}


async def find_pending(conn: asyncpg.Connection, app_id: str | None) -> Pending | None:
    """An erasure (of the app, or of any) whose ledger rows are still to be removed, or None.

    Waits for another who removes rows of the same one; profile_ids is empty if that finished it.
    """
    row = await conn.fetchrow(FIND_PENDING, app_id)
    return None if row is None else Pending(row["app_id"], row["erasure_id"], row["ids"])


async def delete_some_merges(
    conn: asyncpg.Connection, app_id: str, profile_ids: Sequence[str], most: int
) -> int:
    """Delete up to `most` ledger rows that name any of the profiles; how many."""
    done: str = await conn.execute(DELETE_SOME_MERGES, app_id, list(profile_ids), most)
    return int(done.removeprefix("DELETE "))


async def clear_pending(conn: asyncpg.Connection, app_id: str, erasure_id: str) -> None:
    """Note that nothing of the erasure is left to be removed."""
    await conn.execute(CLEAR_PENDING, app_id, erasure_id)


async def find_forgettable(conn: asyncpg.Connection, now: datetime) -> str | None:
    """An app with erasures that need not be remembered any longer, or None."""
    found: str | None = await conn.fetchval(FIND_FORGETTABLE, now)
    return found


async def forget_some(conn: asyncpg.Connection, app_id: str, now: datetime, most: int) -> None:
    """Forget up to `most` old erasures of the app, and with the last one the app's key."""
    await conn.execute(DELETE_FORGETTABLE, app_id, now, most)
    await conn.execute(CLEAR_ERASURE_KEY, app_id)


async def count_rows(
    conn: asyncpg.Connection, app_id: str, profile_ids: Sequence[str], lineage: Sequence[str]
) -> dict[str, int]:
    """{table: rows of these profiles, and of every profile that lives on in them (the lineage)}."""
    row = await conn.fetchrow(COUNT_ROWS, app_id, list(profile_ids), list(lineage))
    return dict(row)
