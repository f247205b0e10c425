"""All SQL of audience membership. A read never evaluates rules: it looks stored rows up.

LATERAL with LIMIT 1 makes the planner look each key up, also in an app that is younger than the
statistics (ARCHITECTURE.md, decision 4). Members of a deleted audience stay stored until a job has
removed them; the app's row, read anyway, says which these are.
"""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

CHECK_MEMBERSHIPS = """
SELECT app.is_known, member.is_member
FROM unnest($1::uuid[], $2::text[], $3::uuid[])
    WITH ORDINALITY AS asked(app_id, analytics_visitor_id, audience_id, position)
LEFT JOIN LATERAL (
    SELECT true AS is_known, a.purged_audience_ids FROM apps a
    WHERE a.app_id = asked.app_id AND a.is_audience_manager_enabled LIMIT 1
) app ON true
LEFT JOIN LATERAL (
    SELECT i.profile_id FROM profile_identifiers i
    WHERE i.app_id = asked.app_id AND i.identifier_name = 'analytics_visitor_id'
        AND i.identifier_value = asked.analytics_visitor_id
    LIMIT 1
) held ON true
LEFT JOIN LATERAL (
    SELECT true AS is_member FROM audience_members m
    WHERE m.app_id = asked.app_id AND m.audience_id = asked.audience_id
        AND m.profile_id = held.profile_id AND m.audience_id <> ALL (app.purged_audience_ids)
    LIMIT 1
) member ON true
ORDER BY asked.position
"""

LIST_MEMBERSHIPS = """
SELECT app.is_known, ARRAY(
    SELECT m.audience_id::text FROM audience_members m
    WHERE m.app_id = asked.app_id AND m.profile_id = held.profile_id
        AND m.audience_id <> ALL (app.purged_audience_ids)
    ORDER BY m.audience_id
) AS audience_ids
FROM unnest($1::uuid[], $2::text[])
    WITH ORDINALITY AS asked(app_id, analytics_visitor_id, position)
LEFT JOIN LATERAL (
    SELECT true AS is_known, a.purged_audience_ids FROM apps a
    WHERE a.app_id = asked.app_id AND a.is_audience_manager_enabled LIMIT 1
) app ON true
LEFT JOIN LATERAL (
    SELECT i.profile_id FROM profile_identifiers i
    WHERE i.app_id = asked.app_id AND i.identifier_name = 'analytics_visitor_id'
        AND i.identifier_value = asked.analytics_visitor_id
    LIMIT 1
) held ON true
ORDER BY asked.position
"""


class MembershipQuestion(NamedTuple):
    """Is this visitor in this audience, it asks."""

    app_id: str
    analytics_visitor_id: str
    audience_id: str


class VisitorQuestion(NamedTuple):
    """A question about everything of one visitor."""

    app_id: str
    analytics_visitor_id: str


async def check_memberships(
    conn: asyncpg.Connection, asked: Sequence[MembershipQuestion]
) -> list[bool | None]:
    """Per question is_member, or None when the app is unknown or switched off; one statement."""
    app_ids, visitor_ids, audience_ids = zip(*asked, strict=True)
    rows = await conn.fetch(CHECK_MEMBERSHIPS, app_ids, visitor_ids, audience_ids)
    return [row[1] is True if row[0] else None for row in rows]


async def list_memberships(
    conn: asyncpg.Connection, asked: Sequence[VisitorQuestion]
) -> list[list[str] | None]:
    """Per question the audience ids in order, or None when the app is unknown; one statement."""
    app_ids, visitor_ids = zip(*asked, strict=True)
    rows = await conn.fetch(LIST_MEMBERSHIPS, app_ids, visitor_ids)
    return [row[1] if row[0] else None for row in rows]
