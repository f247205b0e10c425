"""SQL of attribute statistics: one pass over an app's profiles for all its attributes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import orjson

#: Longer values are no common ones, and ten thousand attributes have five each.
_MAX_CHARACTERS = 256
#: A count may use so much memory before it goes to disk.
_SET_MEMORY = "SELECT set_config('work_mem', '64MB', true)"

FIND_DUE_APP = """
SELECT a.app_id::text AS app_id FROM apps a LEFT JOIN attribute_counts c ON c.app_id = a.app_id
WHERE a.deleted_at IS NULL AND (c.due_at IS NULL OR c.due_at <= $1)
ORDER BY c.due_at NULLS FIRST, a.app_id LIMIT 1
"""

DELETE_STATISTICS = "DELETE FROM attribute_statistics WHERE app_id = $1"

# A list counts once for its profile (by its first entry) and once for each entry as a value.
COUNT_VALUES = """
WITH entries AS (
    SELECT 'attributes' AS field_type, held.key AS name, entry.value, entry.position
    FROM profiles p CROSS JOIN LATERAL jsonb_each(p.attributes) held
    CROSS JOIN LATERAL (
        SELECT held.value, 1 AS position WHERE jsonb_typeof(held.value) <> 'array'
        UNION ALL
        SELECT listed.value, listed.position
        FROM jsonb_array_elements(
            CASE WHEN jsonb_typeof(held.value) = 'array' THEN held.value ELSE '[]' END
        ) WITH ORDINALITY AS listed(value, position)
    ) entry
    WHERE p.app_id = $1
    UNION ALL
    SELECT 'analytics', held.key, held.value, 1
    FROM profiles p CROSS JOIN LATERAL jsonb_each(p.analytics) held
    WHERE p.app_id = $1
), counted AS (
    SELECT field_type, name, value, count(*) AS uses,
        count(*) FILTER (WHERE position = 1) AS profiles
    FROM entries GROUP BY field_type, name, value
), ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY field_type, name ORDER BY uses DESC, value
    ) AS rank FROM counted
)
SELECT field_type, name, sum(profiles)::bigint AS profile_count, count(*) AS distinct_count,
    coalesce(jsonb_agg(
        jsonb_build_object('value', value, 'count', uses) ORDER BY rank
    ) FILTER (WHERE rank <= $2 AND length(value::text) <= $3), '[]')::text AS most_common
FROM ranked GROUP BY field_type, name
"""

INSERT_STATISTICS = """
INSERT INTO attribute_statistics (app_id, field_type, attribute_name, profile_count,
    distinct_count, most_common)
SELECT $1, field_type, name, profile_count, distinct_count, most_common
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::jsonb[])
    AS counted(field_type, name, profile_count, distinct_count, most_common)
"""

COUNT_PROFILES = "SELECT count(*) FROM profiles WHERE app_id = $1"

SAVE_COUNT = """
INSERT INTO attribute_counts (app_id, profile_count, refreshed_at, due_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (app_id) DO UPDATE SET profile_count = excluded.profile_count,
    refreshed_at = excluded.refreshed_at, due_at = excluded.due_at
"""

# A value that one profile alone has tells of that profile.
FORGET_VALUES = """
UPDATE attribute_statistics s SET most_common = (
    SELECT coalesce(jsonb_agg(kept.entry ORDER BY kept.position), '[]')
    FROM jsonb_array_elements(s.most_common) WITH ORDINALITY AS kept(entry, position)
    WHERE NOT (kept.entry -> 'count' = '1' AND gone.value @> (kept.entry -> 'value'))
)
FROM jsonb_each($3::text::jsonb) AS gone(name, value)
WHERE s.app_id = $1 AND s.field_type = $2 AND s.attribute_name = gone.name
"""


class Counted(NamedTuple):
    """What was counted. rows: (field_type, name, profiles, distinct values, most common: JSON)."""

    profile_count: int
    rows: list[tuple[str, str, int, int, str]]


async def find_due_app(conn: asyncpg.Connection, now: datetime) -> str | None:
    """The app whose attributes have waited longest for being counted, or None."""
    app_id: str | None = await conn.fetchval(FIND_DUE_APP, now)
    return app_id


async def count_attributes(conn: asyncpg.Connection, app_id: str, most_common: int) -> Counted:
    """Count the values of all attributes of the app; for a million profiles some ten seconds.

    most_common: how many of the most common values are kept; longer ones than 256 characters are
    left out.  Changes nothing, takes no locks.
    """
    await conn.execute(_SET_MEMORY)
    rows = await conn.fetch(COUNT_VALUES, app_id, most_common, _MAX_CHARACTERS)
    profile_count: int = await conn.fetchval(COUNT_PROFILES, app_id)
    return Counted(profile_count, [tuple(row) for row in rows])


async def save_statistics(
    conn: asyncpg.Connection, app_id: str, counted: Counted, now: datetime, due_at: datetime
) -> None:
    """Replace the app's statistics; due_at: when they are to be counted again."""
    await conn.execute(DELETE_STATISTICS, app_id)
    columns = [[row[column] for row in counted.rows] for column in range(5)]
    await conn.execute(INSERT_STATISTICS, app_id, *columns)
    await conn.execute(SAVE_COUNT, app_id, counted.profile_count, now, due_at)


async def forget_values(
    conn: asyncpg.Connection, app_id: str, field_type: str, values: Mapping[str, Any]
) -> None:
    """Take values of a profile that is deleted out of the statistics, where it alone had them.

    values: {attribute_name: value}. The counts follow with the next count.
    """
    if values:
        await conn.execute(FORGET_VALUES, app_id, field_type, orjson.dumps(values).decode())
