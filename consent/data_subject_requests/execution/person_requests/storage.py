"""SQL of all requests of one person (of one app, by the e-mail)."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.data_subject_requests.storage import DataSubjectRequest, request_of
from consent.tables_requests import (
    data_subject_executions,
    data_subject_export_parts,
    data_subject_requests,
    mails,
)


async def list_requests_of(
    conn: AsyncConnection, request: DataSubjectRequest, after: str | None, limit: int
) -> list[DataSubjectRequest]:
    """Requests by the request's e-mail, itself among them, in the order of their ids."""
    column = data_subject_requests.c
    statement = select(data_subject_requests).where(
        _of_person(request), column.app_id == UUID(request.app_id)
    )
    if after is not None:
        statement = statement.where(column.request_id > UUID(after))
    rows = await conn.execute(statement.order_by(column.request_id).limit(limit))
    return [request_of(row) for row in rows]


async def lock_request(
    conn: AsyncConnection, app_id: str, request_id: str
) -> DataSubjectRequest | None:
    """The request, its row locked, or None."""
    column = data_subject_requests.c
    rows = await conn.execute(
        select(data_subject_requests)
        .where(column.app_id == UUID(app_id), column.request_id == UUID(request_id))
        .with_for_update()
    )
    row = rows.one_or_none()
    return None if row is None else request_of(row)


async def count_requests_of(conn: AsyncConnection, request: DataSubjectRequest) -> dict[str, int]:
    """{table: rows of the person's requests}."""
    app_id = UUID(request.app_id)
    column = data_subject_requests.c
    ids = select(column.request_id).where(_of_person(request), column.app_id == app_id)
    parts = data_subject_export_parts.c
    return {
        "data_subject_requests": await _count(
            conn, data_subject_requests, _of_person(request), column.app_id == app_id
        ),
        "mails": await _count(conn, mails, mails.c.app_id == app_id, mails.c.request_id.in_(ids)),
        "data_subject_export_parts": await _count(
            conn, data_subject_export_parts, parts.app_id == app_id, parts.request_id.in_(ids)
        ),
    }


async def erase_traces(conn: AsyncConnection, request: DataSubjectRequest) -> None:
    """Remove mails to the request's e-mail that belong to no request, and keys of corrections."""
    if request.email is not None:
        app_id = UUID(request.app_id)
        await conn.execute(
            delete(mails).where(mails.c.app_id == app_id, mails.c.recipient == request.email)
        )
    await empty_execution(conn, request)


async def empty_execution(conn: AsyncConnection, request: DataSubjectRequest) -> None:
    """Remove what the request's finished execution still holds: keys of corrections."""
    app_id, request_id = UUID(request.app_id), UUID(request.request_id)
    executions = data_subject_executions
    await conn.execute(
        update(executions)
        .where(
            executions.c.app_id == app_id,
            executions.c.request_id == request_id,
            executions.c.completed_at.is_not(None),
        )
        .values(cursor={}, instructions={}, hash_key=b"")
    )


def _of_person(request: DataSubjectRequest) -> Any:
    column = data_subject_requests.c
    own = column.request_id == UUID(request.request_id)
    return own if request.email is None else or_(own, column.email == request.email)


async def _count(conn: AsyncConnection, table: Any, *conditions: Any) -> int:
    return await conn.scalar(select(func.count()).select_from(table).where(*conditions)) or 0
