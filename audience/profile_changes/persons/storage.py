"""SQL of what an access export shows beside the profile itself."""

from typing import Any

import asyncpg

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
