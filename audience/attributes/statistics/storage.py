"""SQL of attribute statistics: one pass over an app's profiles for all its attributes."""

from datetime import datetime

import asyncpg

#: A count may use so much memory before it goes to disk.
_SET_MEMORY = "SELECT set_config('work_mem', '64MB', true)"

FIND_DUE_APP = """
SELECT a.app_id::text AS app_id FROM apps a LEFT JOIN attribute_counts c ON c.app_id = a.app_id
WHERE a.deleted_at IS NULL AND (c.due_at IS NULL OR c.due_at <= $1)
ORDER BY c.due_at NULLS FIRST, a.app_id LIMIT 1
"""

DELETE_STATISTICS = "DELETE FROM attribute_statistics WHERE app_id = $1"

# A list counts once for its profile (by its first entry) and once for each entry as a value.
INSERT_STATISTICS = """
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
INSERT INTO attribute_statistics (app_id, field_type, attribute_name, profile_count,
    distinct_count, most_common)
SELECT $1, field_type, name, sum(profiles), count(*), jsonb_agg(
    jsonb_build_object('value', value, 'count', uses) ORDER BY rank
) FILTER (WHERE rank <= $2)
FROM ranked GROUP BY field_type, name
"""

SAVE_COUNT = """
INSERT INTO attribute_counts (app_id, profile_count, refreshed_at, due_at)
SELECT $1, count(*), $2, $3 FROM profiles WHERE app_id = $1
ON CONFLICT (app_id) DO UPDATE SET profile_count = excluded.profile_count,
    refreshed_at = excluded.refreshed_at, due_at = excluded.due_at
"""

SET_DUE = "UPDATE attribute_counts SET due_at = $2 WHERE app_id = $1"


async def find_due_app(conn: asyncpg.Connection, now: datetime) -> str | None:
    """The app whose attributes have waited longest for being counted, or None."""
    app_id: str | None = await conn.fetchval(FIND_DUE_APP, now)
    return app_id


async def count_attributes(
    conn: asyncpg.Connection, app_id: str, most_common: int, now: datetime, due_at: datetime
) -> None:
    """Count the values of all attributes of the app; for a million profiles some ten seconds.

    most_common: how many of the most common values are kept.  One snapshot, no locks.
    """
    await conn.execute(_SET_MEMORY)
    await conn.execute(DELETE_STATISTICS, app_id)
    await conn.execute(INSERT_STATISTICS, app_id, most_common)
    await conn.execute(SAVE_COUNT, app_id, now, due_at)


async def set_due(conn: asyncpg.Connection, app_id: str, due_at: datetime) -> None:
    """Say when the app's attributes are to be counted again."""
    await conn.execute(SET_DUE, app_id, due_at)
