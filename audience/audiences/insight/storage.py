"""SQL of previews and explanations; reads only."""

from datetime import datetime

import asyncpg

from audience.audiences.population_sql import PopulationClause
from audience.profiles.profile import Profile
from audience.profiles.storage import PROFILE_DOCUMENT, profile_of

_SAMPLE = 10

COUNT_PROFILES = "SELECT count(*) FROM profiles WHERE app_id = $1"

_COUNT_MATCHES = "SELECT count(*) FROM profiles p WHERE p.app_id = $1 AND {clause}"

_SAMPLE_MATCHES = (
    "SELECT p.profile_id::text FROM profiles p WHERE p.app_id = $1 AND {clause} LIMIT {size}"
)

_LIST_CANDIDATES = (
    "SELECT {document}::text FROM profiles p WHERE p.app_id = $1 AND p.profile_id > $2 AND {clause}"
    " ORDER BY p.profile_id LIMIT {size}"
)

GET_MEMBERSHIP = """
SELECT m.member_since, m.matched_at FROM audience_members m
WHERE m.app_id = $1 AND m.audience_id = $2 AND m.profile_id = $3
"""

LIST_MEMBERSHIPS_OF = """
SELECT m.audience_id::text FROM audience_members m JOIN apps a ON a.app_id = m.app_id
WHERE m.app_id = $1 AND m.profile_id = $2 AND m.audience_id <> ALL (a.purged_audience_ids)
"""


async def count_profiles(conn: asyncpg.Connection, app_id: str) -> int:
    """How many profiles the app has."""
    count: int = await conn.fetchval(COUNT_PROFILES, app_id)
    return count


async def count_matches(conn: asyncpg.Connection, app_id: str, clause: PopulationClause) -> int:
    """How many profiles the clause finds; its parameters begin at 2."""
    statement = _COUNT_MATCHES.format(clause=clause.sql)
    count: int = await conn.fetchval(statement, app_id, *clause.parameters)
    return count


async def sample_matches(
    conn: asyncpg.Connection, app_id: str, clause: PopulationClause
) -> list[str]:
    """Ids of at most 10 profiles that the clause finds."""
    statement = _SAMPLE_MATCHES.format(clause=clause.sql, size=_SAMPLE)
    return [row[0] for row in await conn.fetch(statement, app_id, *clause.parameters)]


async def list_candidates(
    conn: asyncpg.Connection, app_id: str, after: str, clause: PopulationClause, size: int
) -> list[Profile]:
    """The next profiles that the clause finds, by id; its parameters begin at 3."""
    statement = _LIST_CANDIDATES.format(document=PROFILE_DOCUMENT, clause=clause.sql, size=size)
    rows = await conn.fetch(statement, app_id, after, *clause.parameters)
    return [profile_of(document) for (document,) in rows]


async def find_membership(
    conn: asyncpg.Connection, app_id: str, audience_id: str, profile_id: str
) -> tuple[datetime, datetime | None] | None:
    """(member since, last matching update or None when it matches), None for no member."""
    row = await conn.fetchrow(GET_MEMBERSHIP, app_id, audience_id, profile_id)
    return None if row is None else (row[0], row[1])


async def list_memberships_of(conn: asyncpg.Connection, app_id: str, profile_id: str) -> set[str]:
    """The audiences that the profile is a member of."""
    return {row[0] for row in await conn.fetch(LIST_MEMBERSHIPS_OF, app_id, profile_id)}
