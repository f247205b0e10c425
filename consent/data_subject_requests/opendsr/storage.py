"""All SQL of OpenDSR: how controllers named their requests, and callbacks that wait."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, delete, insert, literal, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.tables import apps
from consent.data_subject_requests.lifecycle import DUPLICATE
from consent.data_subject_requests.opendsr.wire import CANCELLED, PENDING, RUNNING, STATUSES
from consent.tables_requests import data_subject_requests, opendsr_callbacks, opendsr_requests


@dataclass(frozen=True, slots=True)
class ControllersRequest:
    """How a controller named a request; reported_status: what was said of it last."""

    app_id: str
    request_id: str
    subject_request_id: str
    controller_id: str
    regulation: str
    body_sha256: bytes
    reported_status: str
    submitted_at: datetime
    callback_urls: Sequence[str]


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback that waits."""

    app_id: str
    callback_id: str
    request_id: str
    url: str
    request_status: str
    created_at: datetime
    next_try_at: datetime
    try_count: int = 0


async def insert_controllers_request(conn: AsyncConnection, request: ControllersRequest) -> None:
    """Store how a controller named a request."""
    await conn.execute(
        insert(opendsr_requests).values(
            app_id=UUID(request.app_id),
            request_id=UUID(request.request_id),
            subject_request_id=UUID(request.subject_request_id),
            controller_id=UUID(request.controller_id),
            regulation=request.regulation,
            body_sha256=request.body_sha256,
            reported_status=request.reported_status,
            submitted_at=request.submitted_at,
            callback_urls=list(request.callback_urls),
        )
    )


async def find_controllers_request(
    conn: AsyncConnection, controller_id: str, subject_request_id: str
) -> ControllersRequest | None:
    """What the controller has sent under the id, or None."""
    column = opendsr_requests.c
    rows = await conn.execute(
        select(opendsr_requests).where(
            column.subject_request_id == UUID(subject_request_id),
            column.controller_id == UUID(controller_id),
        )
    )
    row = rows.first()
    return None if row is None else _request(row)


async def find_request_of(
    conn: AsyncConnection, app_id: str, request_id: str
) -> ControllersRequest | None:
    """How the controller named one of our requests, or None."""
    rows = await conn.execute(select(opendsr_requests).where(_is(app_id, request_id)))
    row = rows.one_or_none()
    return None if row is None else _request(row)


async def list_app_ids(conn: AsyncConnection, organization_id: str) -> list[str]:
    """Up to two apps of the organization."""
    rows = await conn.execute(
        select(apps.c.app_id)
        .where(apps.c.organization_id == UUID(organization_id), apps.c.deleted_at.is_(None))
        .limit(2)
    )
    return [str(row.app_id) for row in rows]


async def find_status(conn: AsyncConnection, app_id: str, request_id: str) -> str | None:
    """How the request stands in the words of OpenDSR, or None when it is gone."""
    statement = select(_STATUS).select_from(_REQUESTS).where(_is(app_id, request_id))
    found: str | None = await conn.scalar(statement)
    return found


async def list_changed(conn: AsyncConnection, limit: int) -> list[tuple[ControllersRequest, str]]:
    """[(request, its status)] where it is another than was said last; rows locked."""
    column = opendsr_requests.c
    rows = await conn.execute(
        select(opendsr_requests, _STATUS.label("request_status"))
        .select_from(_REQUESTS)
        .where(
            # As the index has it: not parameters.
            column.reported_status.in_(_NOT_ENDED),
            column.reported_status != _STATUS,
        )
        .limit(limit)
        .with_for_update(of=opendsr_requests, skip_locked=True)
    )
    return [(_request(row), row.request_status) for row in rows]


async def save_reported_status(
    conn: AsyncConnection, request: ControllersRequest, status: str
) -> None:
    """Note what is said of the request from now on."""
    await conn.execute(
        update(opendsr_requests)
        .where(_is(request.app_id, request.request_id))
        .values(reported_status=status)
    )


async def insert_callback(conn: AsyncConnection, callback: Callback) -> None:
    """Store a callback."""
    await conn.execute(
        insert(opendsr_callbacks).values(
            app_id=UUID(callback.app_id),
            callback_id=UUID(callback.callback_id),
            request_id=UUID(callback.request_id),
            url=callback.url,
            request_status=callback.request_status,
            try_count=callback.try_count,
            created_at=callback.created_at,
            next_try_at=callback.next_try_at,
        )
    )


async def find_due_callback(conn: AsyncConnection, now: datetime) -> Callback | None:
    """The callback that has been due longest, its row locked, or None."""
    rows = await conn.execute(
        select(opendsr_callbacks)
        .where(opendsr_callbacks.c.next_try_at <= now)
        .order_by(opendsr_callbacks.c.next_try_at, opendsr_callbacks.c.callback_id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = rows.one_or_none()
    if row is None:
        return None
    return Callback(
        str(row.app_id),
        str(row.callback_id),
        str(row.request_id),
        row.url,
        row.request_status,
        row.created_at,
        row.next_try_at,
        row.try_count,
    )


async def count_try(conn: AsyncConnection, callback: Callback, next_try_at: datetime) -> None:
    """Note one more try, and when the next one is due should this one fail."""
    await conn.execute(
        update(opendsr_callbacks)
        .where(_is_callback(callback))
        .values(try_count=callback.try_count + 1, next_try_at=next_try_at)
    )


async def delete_callback(conn: AsyncConnection, callback: Callback) -> None:
    """Forget a callback."""
    await conn.execute(delete(opendsr_callbacks).where(_is_callback(callback)))


_NOT_ENDED: list[Any] = [literal_column(f"'{status}'") for status in (PENDING, RUNNING)]
_OURS, _LEADER = data_subject_requests, data_subject_requests.alias("leader")
_WORKED_ON = case(
    ((_OURS.c.status == DUPLICATE) & _LEADER.c.status.is_not(None), _LEADER.c.status),
    else_=_OURS.c.status,
)
_STATUS = case(STATUSES, value=_WORKED_ON, else_=literal(CANCELLED))
_REQUESTS = opendsr_requests.join(
    _OURS,
    (_OURS.c.app_id == opendsr_requests.c.app_id)
    & (_OURS.c.request_id == opendsr_requests.c.request_id),
).outerjoin(
    _LEADER,
    (_LEADER.c.app_id == _OURS.c.app_id) & (_LEADER.c.request_id == _OURS.c.leader_id),
)


def _is(app_id: str, request_id: str) -> Any:
    column = opendsr_requests.c
    return (column.app_id == UUID(app_id)) & (column.request_id == UUID(request_id))


def _is_callback(callback: Callback) -> Any:
    column = opendsr_callbacks.c
    return (column.app_id == UUID(callback.app_id)) & (
        column.callback_id == UUID(callback.callback_id)
    )


def _request(row: Any) -> ControllersRequest:
    return ControllersRequest(
        str(row.app_id),
        str(row.request_id),
        str(row.subject_request_id),
        str(row.controller_id),
        row.regulation,
        row.body_sha256,
        row.reported_status,
        row.submitted_at,
        tuple(row.callback_urls),
    )
