"""SQL of declaring attributes and of converting their values."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import NamedTuple

import asyncpg
import orjson

from audience.attributes.value_types import AttributeValue, ValueType

INSERT_DEFINITION = """
INSERT INTO attribute_definitions (app_id, field_type, attribute_name, value_type, first_seen_at)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
"""

# A trigger changes the app's row too (migration 0022): its version tells every process that a type
# it remembers is another one (`known_apps.py`).
SET_VALUE_TYPE = """
INSERT INTO attribute_definitions (app_id, field_type, attribute_name, value_type, first_seen_at)
VALUES ($1, 'attributes', $2, $3, $4)
ON CONFLICT (app_id, field_type, attribute_name) DO UPDATE SET value_type = excluded.value_type
"""

COUNT_VALUES = """
SELECT (attributes -> $2)::text AS value, count(*) AS uses
FROM profiles WHERE app_id = $1 AND attributes ? $2
GROUP BY attributes -> $2 ORDER BY uses DESC, value
"""

SAVE_CONVERSION = """
INSERT INTO attribute_conversions (app_id, attribute_name, value_type, requested_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (app_id, attribute_name) DO UPDATE SET value_type = excluded.value_type,
    requested_at = excluded.requested_at, cursor_profile_id = NULL,
    converted_count = 0, removed_count = 0, finished_at = NULL
"""

_COLUMNS = """c.app_id::text AS app_id, c.attribute_name, c.value_type, c.requested_at,
    c.cursor_profile_id::text AS cursor_profile_id"""

FIND_UNFINISHED = f"""
SELECT {_COLUMNS}
FROM attribute_conversions c JOIN apps a ON a.app_id = c.app_id AND a.deleted_at IS NULL
WHERE c.finished_at IS NULL ORDER BY c.requested_at LIMIT 1
"""  # noqa: S608 - the column list is a constant

FIND_AGAIN = f"""
SELECT {_COLUMNS} FROM attribute_conversions c
WHERE c.app_id = $1 AND c.attribute_name = $2 AND c.finished_at IS NULL
"""  # noqa: S608

# The profiles after the cursor, some of which hold a value of another type.
_IS_MISFIT = """attributes ? $2 AND CASE $3
    WHEN 'numeric' THEN jsonb_typeof(attributes -> $2) <> 'number'
    ELSE jsonb_typeof(attributes -> $2) = 'number' END"""

FIND_MISFITS = f"""
SELECT profile_id::text AS profile_id, {_IS_MISFIT} AS is_misfit
FROM profiles WHERE app_id = $1 AND ($4::uuid IS NULL OR profile_id > $4)
ORDER BY profile_id LIMIT $5
"""  # noqa: S608 - made of constants

HAS_MISFITS = f"SELECT EXISTS (SELECT FROM profiles WHERE app_id = $1 AND {_IS_MISFIT})"  # noqa: S608

SAVE_FINISHED = """
UPDATE attribute_conversions SET finished_at = $4
WHERE app_id = $1 AND attribute_name = $2 AND requested_at = $3 AND cursor_profile_id IS NULL
"""

SAVE_PROGRESS = """
UPDATE attribute_conversions SET cursor_profile_id = $3,
    converted_count = converted_count + $4, removed_count = removed_count + $5
WHERE app_id = $1 AND attribute_name = $2
"""

LIST_TYPES = """
SELECT attribute_name, value_type FROM attribute_definitions
WHERE app_id = $1 AND field_type = 'attributes' AND attribute_name = ANY($2)
    AND value_type IS NOT NULL
"""


class Conversion(NamedTuple):
    """A conversion that is not done; cursor_profile_id: how far it is, None at the beginning.

    requested_at: tells it from the one that replaces it.
    """

    app_id: str
    attribute_name: str
    value_type: ValueType
    requested_at: datetime
    cursor_profile_id: str | None


async def insert_definition(
    conn: asyncpg.Connection,
    app_id: str,
    attribute: tuple[str, str],
    value_type: str | None,
    now: datetime,
) -> bool:
    """Declare (field_type, name); False when it is known.  Needs the app's lock."""
    status: str = await conn.execute(INSERT_DEFINITION, app_id, *attribute, value_type, now)
    return status == "INSERT 0 1"


async def set_value_type(
    conn: asyncpg.Connection, app_id: str, name: str, value_type: ValueType, now: datetime
) -> None:
    """Give a custom attribute its type.  Needs the app's lock."""
    await conn.execute(SET_VALUE_TYPE, app_id, name, value_type, now)


async def count_values(
    conn: asyncpg.Connection, app_id: str, name: str
) -> AsyncIterator[tuple[AttributeValue, int]]:
    """(value, in how many profiles) of a custom attribute, the most common first."""
    async for row in conn.cursor(COUNT_VALUES, app_id, name, prefetch=500):
        yield orjson.loads(row["value"]), row["uses"]


async def save_conversion(
    conn: asyncpg.Connection, app_id: str, name: str, value_type: ValueType, now: datetime
) -> None:
    """Note that the values are to be converted, from the first profile on."""
    await conn.execute(SAVE_CONVERSION, app_id, name, value_type, now)


async def find_unfinished(conn: asyncpg.Connection) -> Conversion | None:
    """The oldest conversion that is not done, of all apps."""
    row = await conn.fetchrow(FIND_UNFINISHED)
    return None if row is None else Conversion(**row)


async def find_again(conn: asyncpg.Connection, found: Conversion) -> Conversion | None:
    """The attribute's conversion as it is now, perhaps another one; None: none is to be done.

    Nobody changes it while the caller holds the app's lock.
    """
    row = await conn.fetchrow(FIND_AGAIN, found.app_id, found.attribute_name)
    return None if row is None else Conversion(**row)


async def find_misfits(
    conn: asyncpg.Connection, conversion: Conversion, at_most: int
) -> list[tuple[str, bool]]:
    """(profile_id, whether it holds a value of another type) of the profiles after the cursor."""
    rows = await conn.fetch(
        FIND_MISFITS,
        conversion.app_id,
        conversion.attribute_name,
        conversion.value_type,
        conversion.cursor_profile_id,
        at_most,
    )
    return [(row["profile_id"], row["is_misfit"]) for row in rows]


async def save_progress(
    conn: asyncpg.Connection, conversion: Conversion, counts: tuple[int, int]
) -> None:
    """Note how far the conversion is (its cursor); counts: (converted, removed)."""
    await conn.execute(
        SAVE_PROGRESS,
        conversion.app_id,
        conversion.attribute_name,
        conversion.cursor_profile_id,
        *counts,
    )


async def has_misfits(conn: asyncpg.Connection, conversion: Conversion) -> bool:
    """Whether any profile of the app holds a value of another type; looks at all of them."""
    name, value_type = conversion.attribute_name, conversion.value_type
    found: bool = await conn.fetchval(HAS_MISFITS, conversion.app_id, name, value_type)
    return found


async def save_finished(conn: asyncpg.Connection, conversion: Conversion, now: datetime) -> None:
    """Note that the conversion is done, unless it was replaced meanwhile."""
    name, requested_at = conversion.attribute_name, conversion.requested_at
    await conn.execute(SAVE_FINISHED, conversion.app_id, name, requested_at, now)


async def list_types(
    conn: asyncpg.Connection, app_id: str, names: Collection[str]
) -> dict[str, ValueType]:
    """{custom attribute: its type} of those that have one."""
    rows = await conn.fetch(LIST_TYPES, app_id, list(names))
    return {row["attribute_name"]: row["value_type"] for row in rows}
