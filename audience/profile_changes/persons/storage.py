"""SQL of what an access export shows beside the profile itself."""

from typing import Any

import asyncpg

from audience.profiles.ledger.storage import LINEAGE

LIST_IDENTIFIERS = """
SELECT identifier_name, identifier_value, first_seen_at FROM profile_identifiers
WHERE profile_id = $2 AND app_id = $1 ORDER BY first_seen_at, identifier_name, identifier_value
"""

LIST_AUDIENCES = """
SELECT a.audience_id::text AS audience_id, a.name, a.description, m.member_since
FROM audience_members m
JOIN audiences a ON a.app_id = m.app_id AND a.audience_id = m.audience_id AND NOT a.is_deleted
WHERE m.profile_id = $2 AND m.app_id = $1 ORDER BY a.name, a.audience_id
"""

# Of every merge that a profile of the lineage took part in, the next ones by id that take no more
# than so many bytes together (as stored; one is always there). The ids are few; documents may be
# large, so only those of the page are read.
LIST_MERGES_AFTER = f"""{LINEAGE}, own AS (
    SELECT survived.merge_id FROM lineage CROSS JOIN LATERAL (
        SELECT m.merge_id FROM profile_merges m
        WHERE m.survivor_profile_id = lineage.profile_id AND m.app_id = $1 LIMIT 1000000
    ) survived
    UNION
    SELECT went.merge_id FROM lineage CROSS JOIN LATERAL (
        SELECT m.merge_id FROM profile_merges m
        WHERE m.absorbed_profile_id = lineage.profile_id AND m.app_id = $1 LIMIT 1000000
    ) went
), page AS (
    SELECT m.merge_id, sum(
        pg_column_size(m.survivor_before) + pg_column_size(m.absorbed_before)
    ) OVER (ORDER BY m.merge_id) AS bytes_so_far, row_number() OVER (ORDER BY m.merge_id) AS place
    FROM (SELECT merge_id FROM own WHERE merge_id > $3 ORDER BY merge_id LIMIT $4) next
    JOIN profile_merges m ON m.app_id = $1 AND m.merge_id = next.merge_id
)
SELECT m.merge_id::text AS merge_id, m.survivor_before::text AS survivor_before,
    m.absorbed_before::text AS absorbed_before, m.identifiers::text AS identifiers, m.merged_at,
    m.undone_at,
    EXISTS (SELECT FROM lineage WHERE profile_id = m.survivor_profile_id) AS is_survivor_own,
    EXISTS (SELECT FROM lineage WHERE profile_id = m.absorbed_profile_id) AS is_absorbed_own
FROM page JOIN profile_merges m ON m.app_id = $1 AND m.merge_id = page.merge_id
WHERE page.bytes_so_far <= $5 OR page.place = 1
ORDER BY m.merge_id
"""  # noqa: S608 - LINEAGE is a constant


async def list_merges_after(
    conn: asyncpg.Connection,
    app_id: str,
    profile_id: str,
    after: str,
    limits: tuple[int, int],
) -> list[asyncpg.Record]:
    """The next merges that made the profile, with whether each side is its own.

    limits: how many, and bytes of their documents together.
    """
    return list(await conn.fetch(LIST_MERGES_AFTER, app_id, [profile_id], after, *limits))


async def list_identifiers(
    conn: asyncpg.Connection, app_id: str, profile_id: str
) -> list[dict[str, Any]]:
    """The profile's identifiers and when each was first seen."""
    return [dict(row) for row in await conn.fetch(LIST_IDENTIFIERS, app_id, profile_id)]


async def list_audiences(
    conn: asyncpg.Connection, app_id: str, profile_id: str
) -> list[dict[str, Any]]:
    """The audiences the profile is in, by name, and since when."""
    return [dict(row) for row in await conn.fetch(LIST_AUDIENCES, app_id, profile_id)]
