"""SQL of counted events: which orders and conversions an app has counted already."""

from collections.abc import Collection
from datetime import datetime

import asyncpg

# Two of the same key in one call are one row; a row that exists is not returned.
INSERT_COUNTED_EVENTS = """
INSERT INTO counted_events (app_id, event_key, counted_at)
SELECT $1, event_key, $3 FROM unnest($2::bytea[]) AS new(event_key)
ON CONFLICT DO NOTHING
RETURNING event_key
"""

DELETE_SOME_COUNTED_EVENTS = """
DELETE FROM counted_events WHERE app_id = $1 AND event_key IN (
    SELECT event_key FROM counted_events WHERE app_id = $1 LIMIT $2
)
"""

SAVE_ANALYTICS_DEFINITIONS = """
INSERT INTO attribute_definitions (app_id, field_type, attribute_name, value_type, first_seen_at)
SELECT $1, 'analytics', name, 'text', $3 FROM unnest($2::text[]) AS new(name)
ON CONFLICT DO NOTHING
"""


async def insert_counted_events(
    conn: asyncpg.Connection, app_id: str, event_keys: Collection[bytes], now: datetime
) -> set[bytes]:
    """Remember events as counted; the ones that were not before.  Needs the app's lock."""
    rows = await conn.fetch(INSERT_COUNTED_EVENTS, app_id, sorted(event_keys), now)
    return {row["event_key"] for row in rows}


async def save_analytics_definitions(
    conn: asyncpg.Connection, app_id: str, names: Collection[str], now: datetime
) -> None:
    """Make attribute definitions of analytics attributes that are seen first.  On repeat: none."""
    await conn.execute(SAVE_ANALYTICS_DEFINITIONS, app_id, sorted(names), now)


async def delete_some_counted_events(conn: asyncpg.Connection, app_id: str, at_most: int) -> bool:
    """Forget some of the app's counted events; False when there are none."""
    status: str = await conn.execute(DELETE_SOME_COUNTED_EVENTS, app_id, at_most)
    return status != "DELETE 0"
