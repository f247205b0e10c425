"""SQL of the export: what may be exported, how many, and the rows through COPY.

COPY takes no parameters of its own: the driver puts them in as literals that PostgreSQL quoted.
"""

from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import orjson

from audience.profiles.export.columns import (
    ATTRIBUTES,
    FORMULA_STARTS,
    PROFILE,
    Column,
)

# Rows leave in the order of the primary keys while they are read: with a sort or a hash join the
# client would wait for all of them, and they would pass through temporary files. Merging is what
# this connection, made for looking keys up, would not do by itself.
BEGIN_EXPORT = """
SELECT set_config('enable_sort', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'on', true),
    set_config('statement_timeout', '0', true), set_config('work_mem', '16MB', true),
    set_config('client_connection_check_interval', '1s', true)
"""

FIND_AUDIENCE = """
SELECT true FROM audiences WHERE app_id = $1 AND audience_id = $2 AND NOT is_deleted
"""

COUNT_MEMBERS = """
SELECT count(*) FROM (
    SELECT FROM audience_members WHERE app_id = $1 AND audience_id = $2 LIMIT $3
) AS members
"""

LIST_CUSTOM_ATTRIBUTES = """
SELECT attribute_name FROM attribute_definitions
WHERE app_id = $1 AND field_type = 'attributes'
ORDER BY attribute_name COLLATE "C" LIMIT $2
"""

_ROWS = """
FROM audience_members m
JOIN profiles p ON p.app_id = m.app_id AND p.profile_id = m.profile_id
WHERE m.app_id = $1 AND m.audience_id = $2
ORDER BY m.profile_id
"""

#: (the member as text for a CSV cell, the member as JSON); both null when it is missing.
_MEMBERS = {
    "analytics_visitor_id": ("p.analytics_visitor_id", "to_json(p.analytics_visitor_id)"),
    "user_id": ("p.user_id", "to_json(p.user_id)"),
    "email": (
        "coalesce(p.email_as_given, p.email)",
        "to_json(coalesce(p.email_as_given, p.email))",
    ),
    "device_ids": 2 * ("CASE WHEN p.device_ids <> '{}' THEN to_json(p.device_ids) END",),
    "analytics_visitor_ids": 2
    * ("CASE WHEN p.analytics_visitor_ids <> '{}' THEN to_json(p.analytics_visitor_ids) END",),
}
_MAY_START_A_FORMULA = ("email", "user_id")
_STARTS = ", ".join(str(ord(character)) for character in FORMULA_STARTS)
#: Characters that a JSON text never contains bare: COPY leaves the text as it is.
_UNUSED_QUOTE, _UNUSED_DELIMITER = "\x01", "\x02"

#: Takes what COPY sends, some rows at a time.
Output = Callable[[bytes], Awaitable[None]]


async def begin_export(conn: asyncpg.Connection) -> None:
    """Prepare this transaction for a long read whose client may go away."""
    await conn.execute(BEGIN_EXPORT)


async def is_audience(conn: asyncpg.Connection, app_id: str, audience_id: str) -> bool:
    """Whether the app has the audience, and it was not deleted."""
    return await conn.fetchval(FIND_AUDIENCE, app_id, audience_id) is True


async def count_members(
    conn: asyncpg.Connection, app_id: str, audience_id: str, at_most: int
) -> int:
    """How many profiles are in the audience; counting stops at `at_most`."""
    count: int = await conn.fetchval(COUNT_MEMBERS, app_id, audience_id, at_most)
    return count


async def list_custom_attributes(conn: asyncpg.Connection, app_id: str, at_most: int) -> list[str]:
    """The names of the app's custom attributes in order."""
    rows = await conn.fetch(LIST_CUSTOM_ATTRIBUTES, app_id, at_most)
    return [row["attribute_name"] for row in rows]


async def copy_csv(
    conn: asyncpg.Connection,
    audience: tuple[str, str],
    columns: Sequence[Column],
    output: Output,
    *,
    is_guarded: bool,
) -> None:
    """Send the audience's profiles as CSV rows without a header, in the order of their ids.

    audience: (app_id, audience_id). Every value is in quotes, so that no other list separator of a
    spreadsheet cuts it into cells; a missing one is empty.
    """
    parameters: list[str] = [*audience]
    values = [_text(column, parameters) for column in columns]
    numbered = [f"{value} AS c{number}" for number, (value, _) in enumerate(values)]
    cells = [
        _guarded(f"v.c{number}", may_be_formula) if is_guarded else f"v.c{number}"
        for number, (_, may_be_formula) in enumerate(values)
    ]
    # OFFSET 0 keeps the planner from putting each value in twice, which would take it out of the
    # document twice.
    inner = ", ".join([*numbered, "p.attributes, p.analytics, m.profile_id"])
    rows = f"(SELECT {inner} {_ROWS} OFFSET 0) v ORDER BY v.profile_id"
    query = f"SELECT {', '.join(cells)} FROM {rows}"  # noqa: S608 - made of constants
    await conn.copy_from_query(query, *parameters, output=output, format="csv", force_quote=True)


async def copy_json(
    conn: asyncpg.Connection,
    audience: tuple[str, str],
    columns: Sequence[tuple[Column, str]],
    output: Output,
) -> None:
    """Send the audience's profiles as JSON objects, one a line, in the order of their ids.

    columns: (column, its key). A missing value has no key.
    """
    parameters: list[str] = [*audience]
    members = []
    for column, key in columns:
        parameters.append(orjson.dumps(key).decode() + ":")
        prefix = f"${len(parameters)}::text"
        members.append(f"{prefix} || ({_json(column, parameters)})::text")
    object_text = f"'{{' || concat_ws(',', VARIADIC ARRAY[{', '.join(members)}]::text[]) || '}}'"
    await conn.copy_from_query(
        f"SELECT {object_text} {_ROWS}",
        *parameters,
        output=output,
        format="csv",
        quote=_UNUSED_QUOTE,
        delimiter=_UNUSED_DELIMITER,
    )


def _text(column: Column, parameters: list[str]) -> tuple[str, str | None]:
    """(the value as text, what is true when it may be a formula); None: it never is."""
    if column.field_type == PROFILE:
        may_be_formula = "true" if column.name in _MAY_START_A_FORMULA else None
        return _MEMBERS[column.name][0], may_be_formula
    parameters.append(column.name)
    name = f"${len(parameters)}::text"
    source = _source(column)
    # A number is no formula, also when it is negative.
    is_text = f"jsonb_typeof(v.{source.removeprefix('p.')} -> {name}) = 'string'"
    return f"{source} ->> {name}", is_text


def _guarded(value: str, may_be_formula: str | None) -> str:
    if may_be_formula is None:
        return value
    return (
        f"CASE WHEN ascii({value}) IN ({_STARTS}) AND {may_be_formula} "
        f"THEN '''' || {value} ELSE {value} END"
    )


def _json(column: Column, parameters: list[str]) -> str:
    if column.field_type == PROFILE:
        return _MEMBERS[column.name][1]
    parameters.append(column.name)
    return f"{_source(column)} -> ${len(parameters)}::text"


def _source(column: Column) -> str:
    return "p.attributes" if column.field_type == ATTRIBUTES else "p.analytics"
