"""SQL of the list of an app's attributes."""

from typing import Any

import asyncpg
import orjson

# An attribute may be on the whitelist before it is first written.
_ATTRIBUTES = """
FROM (
    SELECT field_type, attribute_name FROM attribute_definitions WHERE app_id = $1
    UNION
    SELECT field_type, attribute_name FROM attribute_whitelist WHERE app_id = $1
) known
LEFT JOIN attribute_definitions d ON d.app_id = $1 AND d.field_type = known.field_type
    AND d.attribute_name = known.attribute_name
LEFT JOIN attribute_whitelist w ON w.app_id = $1 AND w.field_type = known.field_type
    AND w.attribute_name = known.attribute_name
LEFT JOIN attribute_counts c ON c.app_id = $1
LEFT JOIN attribute_statistics s ON s.app_id = $1 AND s.field_type = known.field_type
    AND s.attribute_name = known.attribute_name
LEFT JOIN attribute_conversions v ON v.app_id = $1 AND known.field_type = 'attributes'
    AND v.attribute_name = known.attribute_name
"""

_COLUMNS = """
SELECT known.field_type, known.attribute_name, d.value_type, d.first_seen_at,
    w.app_id IS NOT NULL AS is_public, c.refreshed_at, c.profile_count AS all_profiles,
    coalesce(s.profile_count, 0) AS profile_count, coalesce(s.distinct_count, 0) AS distinct_count,
    coalesce(s.most_common, '[]')::text AS most_common, v.value_type AS converted_to,
    v.converted_count, v.removed_count, v.requested_at, v.finished_at
"""

LIST_ATTRIBUTES = f"""
{_COLUMNS}, count(*) OVER () AS total
{_ATTRIBUTES}
WHERE ($2::text IS NULL OR known.field_type = $2)
    AND strpos(lower(known.attribute_name), lower($3)) > 0
ORDER BY known.field_type, known.attribute_name COLLATE "C" LIMIT $4 OFFSET $5
"""

GET_ATTRIBUTE = f"""
{_COLUMNS}
{_ATTRIBUTES}
WHERE known.field_type = $2 AND known.attribute_name = $3
"""


async def list_attributes(
    conn: asyncpg.Connection, app_id: str, wanted: dict[str, Any]
) -> tuple[list[dict[str, Any]], int]:
    """(attributes by field type and name, how many match); past the last one 0.

    wanted: {"field_type": one or None, "name": part of it, "limit", "offset"}.
    """
    rows = await conn.fetch(
        LIST_ATTRIBUTES,
        app_id,
        *(wanted["field_type"], wanted["name"], wanted["limit"], wanted["offset"]),
    )
    return [_attribute(row) for row in rows], rows[0]["total"] if rows else 0


async def get_attribute(
    conn: asyncpg.Connection, app_id: str, field_type: str, name: str
) -> dict[str, Any] | None:
    """The attribute or None; members are the columns."""
    row = await conn.fetchrow(GET_ATTRIBUTE, app_id, field_type, name)
    return None if row is None else _attribute(row)


def _attribute(row: asyncpg.Record) -> dict[str, Any]:
    return {**row, "most_common": orjson.loads(row["most_common"])}
