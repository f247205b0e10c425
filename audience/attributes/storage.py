"""All SQL of attribute definitions and the attribute whitelist."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.attributes.value_types import ValueType
from audience.tables import attribute_whitelist

COUNT_DEFINITIONS = """
SELECT count(*) FROM attribute_definitions WHERE app_id = $1 AND field_type = 'attributes'
"""

SAVE_TYPES = """
INSERT INTO attribute_definitions AS stored (app_id, field_type, attribute_name, value_type,
    first_seen_at)
SELECT $1, 'attributes', name, value_type, $4
FROM unnest($2::text[], $3::text[]) AS new(name, value_type)
ON CONFLICT (app_id, field_type, attribute_name)
    DO UPDATE SET value_type = coalesce(stored.value_type, excluded.value_type)
"""


async def count_attribute_definitions(conn: asyncpg.Connection, app_id: str) -> int:
    """How many custom attributes the app has."""
    count: int = await conn.fetchval(COUNT_DEFINITIONS, app_id)
    return count


async def save_attribute_types(
    conn: asyncpg.Connection, app_id: str, types: Mapping[str, ValueType], now: datetime
) -> None:
    """Store the types of attributes that got their first value; a stored type never changes."""
    names = sorted(types)
    await conn.execute(SAVE_TYPES, app_id, names, [types[name] for name in names], now)


async def insert_whitelisted(
    conn: AsyncConnection, app_id: str, field_type: str, name: str, now: datetime
) -> bool:
    """Put an attribute on the whitelist; False when it is on it already."""
    result = await conn.execute(
        insert(attribute_whitelist)
        .values(app_id=UUID(app_id), field_type=field_type, attribute_name=name, allowed_at=now)
        .on_conflict_do_nothing()
    )
    return result.rowcount == 1


async def delete_whitelisted(
    conn: AsyncConnection, app_id: str, field_type: str, name: str
) -> bool:
    """Take an attribute off the whitelist; False when it was not on it."""
    table = attribute_whitelist.c
    result = await conn.execute(
        delete(attribute_whitelist).where(
            table.app_id == UUID(app_id),
            table.field_type == field_type,
            table.attribute_name == name,
        )
    )
    return result.rowcount == 1
