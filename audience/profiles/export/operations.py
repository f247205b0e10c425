"""What an export does before and while it streams."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from audience.errors import Invalid, NotFound
from audience.profiles.export import storage
from audience.profiles.export.columns import (
    ATTRIBUTES,
    MAX_COLUMNS,
    Column,
    check_columns,
    csv_header,
    labels_of,
)
from audience.profiles.export.stream import JsonArray, Write

#: More is refused (contract D3.2).
MAX_PROFILES = 1_000_000


@dataclass(frozen=True, slots=True)
class Export:
    """What is wanted: whose profiles, which columns, in which form."""

    app_id: str
    audience_id: str
    columns: Sequence[Column]
    is_csv: bool = True
    is_guarded: bool = True


async def prepare_export(conn: asyncpg.Connection, wanted: Export) -> list[Column]:
    """The columns to export; empty ones mean every custom attribute.

    conn: in the transaction that reads the rows too, so that the count is theirs.
    Errors: NotFound for the audience; Invalid for a column, for an audience of more than 1,000,000
    profiles, and for empty columns of an app with more than 1,000 attributes.
    """
    check_columns(wanted.columns)
    await storage.begin_export(conn)
    if not await storage.is_audience(conn, wanted.app_id, wanted.audience_id):
        message = f"there is no audience {wanted.audience_id}"
        raise NotFound(message, path="audience_id")
    count = await storage.count_members(conn, wanted.app_id, wanted.audience_id, MAX_PROFILES + 1)
    if count > MAX_PROFILES:
        message = f"the audience has more than {MAX_PROFILES:,} profiles, no more can be exported"
        raise Invalid(message, path="audience_id", code="too_many_profiles")
    if wanted.columns:
        return list(wanted.columns)
    names = await storage.list_custom_attributes(conn, wanted.app_id, MAX_COLUMNS + 1)
    if len(names) > MAX_COLUMNS:
        message = f"the app has more than {MAX_COLUMNS} attributes: columns must name which"
        raise Invalid(message, path="columns")
    return [Column(ATTRIBUTES, name) for name in names]


async def stream_export(
    conn: asyncpg.Connection, wanted: Export, columns: Sequence[Column], write: Write
) -> None:
    """Write the whole export: a header and CSV rows, or one JSON array.

    columns: as `prepare_export` gave them, in the same transaction.
    """
    audience = (wanted.app_id, wanted.audience_id)
    labels = labels_of(columns)
    if wanted.is_csv:
        await write(csv_header(labels, is_guarded=wanted.is_guarded))
        await storage.copy_csv(conn, audience, columns, write, is_guarded=wanted.is_guarded)
        return
    array = JsonArray(write)
    pairs = list(zip(columns, labels, strict=True))
    await storage.copy_json(conn, audience, pairs, array.write)
    await array.finish()
