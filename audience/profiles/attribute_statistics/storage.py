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

COUNT_FORGOTTEN = "SELECT forgotten_count FROM attribute_counts WHERE app_id = $1"

SAVE_COUNT = """
INSERT INTO attribute_counts (app_id, profile_count, refreshed_at, due_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (app_id) DO UPDATE SET profile_count = excluded.profile_count,
    refreshed_at = excluded.refreshed_at, due_at = excluded.due_at,
    unknown_count = attribute_counts.forgotten_count - $5
RETURNING forgotten_count
"""

NOTE_FORGOTTEN = """
INSERT INTO attribute_counts (app_id, forgotten_count) VALUES ($1, 1)
ON CONFLICT (app_id) DO UPDATE SET forgotten_count = attribute_counts.forgotten_count + 1,
    unknown_count = attribute_counts.unknown_count
        + coalesce(attribute_counts.refreshed_at < $2, false)::int
RETURNING refreshed_at, unknown_count
"""

# A value that nobody has any more is not shown. $3: so many profiles that are forgotten, this one
# apart, may be counted with any value; $4: this one may be too, and with what it has now.
FORGET_VALUES = """
WITH document AS MATERIALIZED (SELECT $2::text::jsonb AS attributes)
UPDATE attribute_statistics s SET most_common = (
    SELECT coalesce(jsonb_agg(jsonb_set(kept.entry, '{count}', to_jsonb(now_has.uses))
        ORDER BY now_has.uses DESC, kept.position), '[]')
    FROM jsonb_array_elements(s.most_common) WITH ORDINALITY AS kept(entry, position)
    CROSS JOIN LATERAL (
        SELECT coalesce(gone.value @> (kept.entry -> 'value'), false) AS is_held
    ) by_it
    CROSS JOIN LATERAL (
        SELECT (kept.entry ->> 'count')::bigint - by_it.is_held::int AS uses
    ) now_has
    WHERE now_has.uses > $3::bigint + ($4::boolean AND NOT by_it.is_held)::int
)
FROM attribute_statistics counted
CROSS JOIN document
CROSS JOIN LATERAL (
    SELECT document.attributes -> counted.field_type -> counted.attribute_name AS value
) gone
WHERE counted.app_id = $1
    AND (gone.value IS NOT NULL OR ($4 AND EXISTS (
        SELECT FROM jsonb_array_elements(counted.most_common) AS one(entry)
        WHERE (one.entry ->> 'count')::bigint <= $3 + 1
    )))
    AND s.app_id = counted.app_id AND s.field_type = counted.field_type
    AND s.attribute_name = counted.attribute_name
"""


class Counted(NamedTuple):
    """What was counted. rows: (field_type, name, profiles, distinct values, most common: JSON).

    forgotten_count: how many profiles had been forgotten when it began.
    """

    profile_count: int
    rows: list[tuple[str, str, int, int, str]]
    forgotten_count: int


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
    # Before the count: what is forgotten from here on may be in it.
    forgotten: int = await conn.fetchval(COUNT_FORGOTTEN, app_id) or 0
    rows = await conn.fetch(COUNT_VALUES, app_id, most_common, _MAX_CHARACTERS)
    profile_count: int = await conn.fetchval(COUNT_PROFILES, app_id)
    return Counted(profile_count, [tuple(row) for row in rows], forgotten)


async def save_statistics(
    conn: asyncpg.Connection, app_id: str, counted: Counted, now: datetime, due_at: datetime
) -> None:
    """Replace the app's statistics; due_at: when they are to be counted again.

    Of n profiles that were forgotten since the count began, no value is saved that fewer than n + 1
    profiles had: each of the others is still somebody's. Whoever forgets waits for the commit.
    """
    forgotten: int = await conn.fetchval(
        SAVE_COUNT, app_id, counted.profile_count, now, due_at, counted.forgotten_count
    )
    rows = _without_rare(counted.rows, forgotten - counted.forgotten_count)
    await conn.execute(DELETE_STATISTICS, app_id)
    await conn.execute(INSERT_STATISTICS, app_id, *[[row[i] for row in rows] for i in range(5)])


async def forget_values(
    conn: asyncpg.Connection,
    app_id: str,
    values: Mapping[str, Mapping[str, Any]],
    changed_at: datetime,
) -> None:
    """Take values of a profile that is deleted out of the statistics, where nobody else has them.

    values: {field_type: {attribute_name: value}}.  changed_at: when the profile last changed; if
    that was after the last count, its older values may have been counted. Of n such profiles no
    value is kept that at most n are counted with: it may be theirs alone. Numbers of profiles and
    of values follow with the next count.
    """
    refreshed_at, unknown = await conn.fetchrow(NOTE_FORGOTTEN, app_id, changed_at)
    if refreshed_at is not None:
        document = orjson.dumps(values).decode()
        is_unknown = changed_at > refreshed_at
        others = unknown - is_unknown
        await conn.execute(FORGET_VALUES, app_id, document, others, is_unknown)


def _without_rare(
    rows: list[tuple[str, str, int, int, str]], most: int
) -> list[tuple[str, str, int, int, str]]:
    """The rows without the common values that at most so many profiles have."""
    if most <= 0:
        return rows
    return [
        (*row[:4], orjson.dumps([v for v in orjson.loads(row[4]) if v["count"] > most]).decode())
        for row in rows
    ]
