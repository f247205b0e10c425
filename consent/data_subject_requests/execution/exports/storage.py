"""All SQL of access exports and their parts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.tables_requests import (
    data_subject_executions,
    data_subject_export_parts,
    data_subject_exports,
)


@dataclass(frozen=True, slots=True)
class Export:
    """An access export that can be downloaded until expires_at."""

    app_id: str
    request_id: str
    expires_at: datetime
    download_count: int = 0
    last_downloaded_at: datetime | None = None


async def save_export(conn: AsyncConnection, export: Export) -> None:
    """Store the export, or when it expires."""
    values = {
        "app_id": UUID(export.app_id),
        "request_id": UUID(export.request_id),
        "expires_at": export.expires_at,
        "download_count": export.download_count,
    }
    await conn.execute(
        insert(data_subject_exports)
        .values(values)
        .on_conflict_do_update(
            index_elements=["app_id", "request_id"], set_={"expires_at": export.expires_at}
        )
    )


async def save_link_hash(
    conn: AsyncConnection, app_id: str, request_id: str, link_hash: bytes
) -> bool:
    """Let the link with this hash lead to the export, and no other; False when it is gone."""
    result = await conn.execute(
        update(data_subject_exports)
        .where(*_is(data_subject_exports, app_id, request_id))
        .values(link_hash=link_hash)
    )
    return result.rowcount == 1


async def find_export(conn: AsyncConnection, app_id: str, request_id: str) -> Export | None:
    """The request's export, expired or not, or None."""
    rows = await conn.execute(
        select(data_subject_exports).where(*_is(data_subject_exports, app_id, request_id))
    )
    return _export(rows.one_or_none())


async def find_export_by_link(conn: AsyncConnection, link_hash: bytes) -> Export | None:
    """The export behind a link, expired or not, or None."""
    rows = await conn.execute(
        select(data_subject_exports).where(data_subject_exports.c.link_hash == link_hash)
    )
    return _export(rows.one_or_none())


async def count_download(conn: AsyncConnection, export: Export, now: datetime) -> None:
    """Note one more download."""
    await conn.execute(
        update(data_subject_exports)
        .where(*_is(data_subject_exports, export.app_id, export.request_id))
        .values(download_count=data_subject_exports.c.download_count + 1, last_downloaded_at=now)
    )


async def save_part(
    conn: AsyncConnection, app_id: str, request_id: str, section: str, position: int, content: str
) -> None:
    """Store a part; one that is there already is replaced."""
    await conn.execute(
        insert(data_subject_export_parts)
        .values(
            app_id=UUID(app_id),
            request_id=UUID(request_id),
            section=section,
            position=position,
            content=content,
        )
        .on_conflict_do_update(
            index_elements=["app_id", "request_id", "section", "position"],
            set_={"content": content},
        )
    )


async def find_part(
    conn: AsyncConnection, export: Export, section: str, after: int
) -> tuple[int, str] | None:
    """(position, content) of the section's next part after the position, or None."""
    column = data_subject_export_parts.c
    rows = await conn.execute(
        select(column.position, column.content)
        .where(
            *_is(data_subject_export_parts, export.app_id, export.request_id),
            column.section == section,
            column.position > after,
        )
        .order_by(column.position)
        .limit(1)
    )
    row = rows.one_or_none()
    return None if row is None else (row.position, row.content)


async def find_expired(conn: AsyncConnection, now: datetime) -> Export | None:
    """An export that has expired, its row locked, or None.

    One that is still being made is left out, however long that has been taking: it would lose what
    was gathered first.
    """
    executed = data_subject_executions
    is_being_made = exists().where(
        *_is_of(executed, data_subject_exports), executed.c.completed_at.is_(None)
    )
    rows = await conn.execute(
        select(data_subject_exports)
        .where(data_subject_exports.c.expires_at <= now, ~is_being_made)
        .order_by(data_subject_exports.c.expires_at)
        .limit(1)
        .with_for_update(of=data_subject_exports, skip_locked=True)
    )
    return _export(rows.one_or_none())


async def expire_export(conn: AsyncConnection, app_id: str, request_id: str, now: datetime) -> None:
    """Let nobody download the export any more, nor go on doing so.  On repeat: nothing."""
    await conn.execute(
        update(data_subject_exports)
        .where(
            *_is(data_subject_exports, app_id, request_id), data_subject_exports.c.expires_at > now
        )
        .values(expires_at=now)
    )


async def delete_some(
    conn: AsyncConnection, app_id: str, request_id: str, most: int
) -> dict[str, int]:
    """Delete up to `most` parts of an export, or its row when it has none.

    {table: rows deleted}; empty when nothing was left to delete.
    """
    table = data_subject_export_parts
    key = (table.c.app_id, table.c.request_id, table.c.section, table.c.position)
    chosen = select(*key).where(*_is(table, app_id, request_id)).limit(most)
    result = await conn.execute(delete(table).where(tuple_(*key).in_(chosen)))
    if result.rowcount:
        return {str(table.name): result.rowcount}
    table = data_subject_exports
    result = await conn.execute(delete(table).where(*_is(table, app_id, request_id)))
    return {str(table.name): result.rowcount} if result.rowcount else {}


def _is(table: Any, app_id: str, request_id: str) -> tuple[Any, Any]:
    return table.c.app_id == UUID(app_id), table.c.request_id == UUID(request_id)


def _is_of(table: Any, other: Any) -> tuple[Any, Any]:
    return table.c.app_id == other.c.app_id, table.c.request_id == other.c.request_id


def _export(row: Any) -> Export | None:
    if row is None:
        return None
    return Export(
        str(row.app_id),
        str(row.request_id),
        row.expires_at,
        row.download_count,
        row.last_downloaded_at,
    )
