"""All SQL of moved identifiers: who held an identifier before, for the erasure of who holds it now.

Documents of the merge ledger keep an identifier that has left its profile since. A row leads to
them: they are in ledger rows that name the former profile or one that lives on in it.
Whoever writes here holds the app's lock (`profiles/storage.py`, `lock_apps`).
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import asyncpg

from audience.profiles.identifiers import Identifier

# The ledger tells only of profiles that took part in a merge. LATERAL with a LIMIT makes the
# planner look each one up, whatever it believes about the app.
INSERT_MOVED = """
INSERT INTO moved_identifiers (app_id, identifier_name, identifier_value, former_profile_id,
    is_erased)
SELECT $1, moved.name, moved.value, moved.profile_id, false
FROM unnest($2::text[], $3::text[], $4::uuid[]) AS moved(name, value, profile_id)
CROSS JOIN LATERAL (
    (SELECT 1 FROM profile_merges s
        WHERE s.survivor_profile_id = moved.profile_id AND s.app_id = $1 LIMIT 1)
    UNION ALL
    (SELECT 1 FROM profile_merges a
        WHERE a.absorbed_profile_id = moved.profile_id AND a.app_id = $1 LIMIT 1)
    LIMIT 1
) named
ON CONFLICT (app_id, identifier_name, identifier_value, former_profile_id) DO NOTHING
"""

# Every profile that lives on in a former holder gets a row of its own: whatever is undone until
# the rows are worked off, they lead to the same documents.
MARK_ERASED = """
WITH RECURSIVE held(identifier_name, identifier_value, profile_id) AS (
    SELECT former.* FROM unnest($2::text[], $3::text[]) AS gone(name, value)
    CROSS JOIN LATERAL (
        SELECT m.identifier_name, m.identifier_value, m.former_profile_id FROM moved_identifiers m
        WHERE m.app_id = $1 AND m.identifier_name = gone.name AND m.identifier_value = gone.value
        LIMIT 1000000
    ) former
    UNION
    SELECT held.identifier_name, held.identifier_value, absorbed.profile_id
    FROM held CROSS JOIN LATERAL (
        SELECT m.absorbed_profile_id AS profile_id FROM profile_merges m
        WHERE m.survivor_profile_id = held.profile_id AND m.app_id = $1 AND m.undone_at IS NULL
        LIMIT 1000000
    ) absorbed
)
INSERT INTO moved_identifiers (app_id, identifier_name, identifier_value, former_profile_id,
    is_erased)
SELECT $1, identifier_name, identifier_value, profile_id, true FROM held
ON CONFLICT (app_id, identifier_name, identifier_value, former_profile_id)
    DO UPDATE SET is_erased = true
"""

FIND_APP_WITH_ERASED = """
SELECT app_id::text FROM moved_identifiers
WHERE is_erased AND ($1::uuid IS NULL OR app_id = $1) LIMIT 1
"""

LIST_ERASED = """
SELECT identifier_name, identifier_value, former_profile_id::text AS former_profile_id
FROM moved_identifiers WHERE app_id = $1 AND is_erased LIMIT $2
"""

DELETE_MOVED = """
DELETE FROM moved_identifiers WHERE app_id = $1 AND identifier_name = $2 AND identifier_value = $3
    AND former_profile_id = $4
"""

DELETE_MOVED_FROM = """
DELETE FROM moved_identifiers WHERE app_id = $1 AND former_profile_id = ANY($2)
"""


class Moved(NamedTuple):
    """An identifier and a profile that held it, itself or as a part of another one."""

    identifier: Identifier
    former_profile_id: str


async def insert_moved(
    conn: asyncpg.Connection, app_id: str, moved: Collection[tuple[Identifier, str]]
) -> None:
    """Note identifiers with the profiles they left; call it when all merges are in the ledger.

    Nothing is noted of a profile that took part in no merge.  On repeat: changes nothing.
    """
    if not moved:
        return
    rows = sorted(moved)
    names, values = [one[0][0] for one in rows], [one[0][1] for one in rows]
    await conn.execute(INSERT_MOVED, app_id, names, values, [one[1] for one in rows])


async def mark_erased(
    conn: asyncpg.Connection, app_id: str, identifiers: Sequence[Identifier]
) -> None:
    """Note that documents of former holders are to lose the identifiers."""
    names, values = [one[0] for one in identifiers], [one[1] for one in identifiers]
    await conn.execute(MARK_ERASED, app_id, names, values)


async def find_app_with_erased(conn: asyncpg.Connection, app_id: str | None) -> str | None:
    """An app (this one, or any) that has rows for `list_erased`, or None; needs no lock."""
    found: str | None = await conn.fetchval(FIND_APP_WITH_ERASED, app_id)
    return found


async def list_erased(conn: asyncpg.Connection, app_id: str, most: int) -> list[Moved]:
    """Up to `most` rows of erased identifiers: documents may still tell of them."""
    return [
        Moved(Identifier(row["identifier_name"], row["identifier_value"]), row["former_profile_id"])
        for row in await conn.fetch(LIST_ERASED, app_id, most)
    ]


async def delete_moved(conn: asyncpg.Connection, app_id: str, moved: Collection[Moved]) -> None:
    """Forget that the identifiers have left the profiles."""
    rows = [(app_id, *one.identifier, one.former_profile_id) for one in moved]
    await conn.executemany(DELETE_MOVED, rows)


async def delete_moved_from(
    conn: asyncpg.Connection, app_id: str, profile_ids: Sequence[str]
) -> None:
    """Forget what has left the profiles: the ledger rows that name them go."""
    await conn.execute(DELETE_MOVED_FROM, app_id, list(profile_ids))
