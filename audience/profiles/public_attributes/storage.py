"""SQL of the public read of attributes: one statement for all reads in flight.

LATERAL with LIMIT 1 makes the planner look each key up, also in an app that is younger than the
statistics (ARCHITECTURE.md, decision 4).
"""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

READ_PUBLIC_ATTRIBUTES = """
SELECT app.is_known, held.profile_id IS NOT NULL, (
    SELECT coalesce(jsonb_agg(
        jsonb_build_object('name', shown.name, 'value', shown.value, 'field_type', shown.field_type)
        ORDER BY shown.field_type, shown.name COLLATE "C"
    ), '[]')::text
    FROM (
        SELECT w.attribute_name AS name, w.field_type,
            CASE w.field_type
                WHEN 'analytics' THEN stored.analytics -> w.attribute_name
                ELSE stored.attributes -> w.attribute_name
            END AS value
        FROM attribute_whitelist w WHERE w.app_id = asked.app_id
    ) shown
    WHERE shown.value IS NOT NULL
) AS document
FROM unnest($1::uuid[], $2::text[])
    WITH ORDINALITY AS asked(app_id, analytics_visitor_id, position)
LEFT JOIN LATERAL (
    SELECT true AS is_known FROM apps a
    WHERE a.app_id = asked.app_id AND a.is_audience_manager_enabled LIMIT 1
) app ON true
LEFT JOIN LATERAL (
    SELECT i.profile_id FROM profile_identifiers i
    WHERE i.app_id = asked.app_id AND i.identifier_name = 'analytics_visitor_id'
        AND i.identifier_value = asked.analytics_visitor_id
    LIMIT 1
) held ON true
LEFT JOIN LATERAL (
    SELECT p.attributes, p.analytics FROM profiles p
    WHERE p.app_id = asked.app_id AND p.profile_id = held.profile_id
    LIMIT 1
) stored ON true
ORDER BY asked.position
"""


class PublicAttributes(NamedTuple):
    """document: the JSON text of the whitelisted attributes, None for an unknown visitor."""

    is_app_known: bool
    document: str | None


async def read_public_attributes(
    conn: asyncpg.Connection, asked: Sequence[tuple[str, str]]
) -> list[PublicAttributes]:
    """Per (app_id, analytics_visitor_id) what the public may read; one statement for all.

    document: [{"name", "value", "field_type"}], analytics before attributes, each by name.
    """
    app_ids, visitor_ids = zip(*asked, strict=True)
    rows = await conn.fetch(READ_PUBLIC_ATTRIBUTES, app_ids, visitor_ids)
    return [PublicAttributes(row[0] is True, row[2] if row[1] else None) for row in rows]
