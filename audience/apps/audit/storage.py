"""All SQL of the audit log."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.tables import audit_entries


async def insert_audit_entry(conn: AsyncConnection, entry: dict[str, Any]) -> None:
    """Add one entry; its members are the columns."""
    await conn.execute(insert(audit_entries).values(entry))


async def list_audit_entries(
    conn: AsyncConnection,
    organization_id: str,
    *,
    app_id: str | None,
    operation: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    offset: int,
) -> tuple[list[Any], int]:
    """(rows newest first, how many match in all)."""
    column = audit_entries.c
    wanted = [column.organization_id == UUID(organization_id)]
    if app_id is not None:
        wanted.append(column.app_id == UUID(app_id))
    if operation is not None:
        wanted.append(column.operation == operation)
    if since is not None:
        wanted.append(column.occurred_at >= since)
    if until is not None:
        wanted.append(column.occurred_at < until)
    count = await conn.scalar(select(func.count()).select_from(audit_entries).where(*wanted))
    rows = await conn.execute(
        select(audit_entries)
        .where(*wanted)
        .order_by(column.entry_id.desc())
        .limit(limit)
        .offset(offset)
    )
    return list(rows), count or 0
