"""All SQL of listing requests."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.tables import apps
from consent.data_subject_requests.storage import (
    DataSubjectRequest,
    awaiting_answer,
    request_of,
)
from consent.tables_requests import data_subject_requests


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests of an organization; None: whatever."""

    organization_id: str
    app_id: str | None = None
    request_type: str | None = None
    status: str | None = None
    is_overdue: bool | None = None
    email: str | None = None


async def list_requests(
    conn: AsyncConnection, wanted: Wanted, now: datetime, *, order_by: str, limit: int, offset: int
) -> tuple[list[tuple[DataSubjectRequest, str]], int]:
    """([(request, timezone of its app)], how many there are in all).

    order_by: received_at or due_at, with `-` in front for the latest first.
    """
    column = data_subject_requests.c
    conditions = _conditions(wanted, now)
    source = data_subject_requests.join(apps, apps.c.app_id == column.app_id)
    count = await conn.scalar(select(func.count()).select_from(source).where(*conditions))
    key = column[order_by.lstrip("-")]
    if order_by.startswith("-"):
        order = (key.desc(), column.request_id.desc())
    else:
        order = (key.asc(), column.request_id.asc())
    rows = await conn.execute(
        select(data_subject_requests, apps.c.timezone)
        .select_from(source)
        .where(*conditions)
        .order_by(*order)
        .limit(limit)
        .offset(offset)
    )
    return [(request_of(row), row.timezone) for row in rows], count or 0


async def lock_leader(conn: AsyncConnection, leader_id: str) -> DataSubjectRequest | None:
    """The request, its row locked; None when it is gone or somebody else is changing it."""
    rows = await conn.execute(
        select(data_subject_requests)
        .where(data_subject_requests.c.request_id == UUID(leader_id))
        .with_for_update(skip_locked=True)
    )
    row = rows.one_or_none()
    return None if row is None else request_of(row)


async def list_duplicate_ids(conn: AsyncConnection, request: DataSubjectRequest) -> list[str]:
    """The ids of the requests that the request leads, oldest first."""
    column = data_subject_requests.c
    rows = await conn.execute(
        select(column.request_id)
        .where(column.app_id == UUID(request.app_id), column.leader_id == UUID(request.request_id))
        .order_by(column.request_id)
    )
    return [str(row.request_id) for row in rows]


def _conditions(wanted: Wanted, now: datetime) -> list[Any]:
    column = data_subject_requests.c
    found: list[Any] = [
        apps.c.organization_id == UUID(wanted.organization_id),
        apps.c.deleted_at.is_(None),
    ]
    if wanted.app_id is not None:
        found.append(column.app_id == UUID(wanted.app_id))
    if wanted.request_type is not None:
        found.append(column.request_type == wanted.request_type)
    if wanted.status is not None:
        found.append(column.status == wanted.status)
    if wanted.email is not None:
        found.append(column.email == wanted.email)
    if wanted.is_overdue is not None:
        late = awaiting_answer() & (column.due_at < now)
        found.append(late if wanted.is_overdue else ~late)
    return found
