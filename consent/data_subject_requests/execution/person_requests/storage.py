"""SQL of all requests of one person: of one app, by any of the person's e-mails and user IDs.

A request itself is always among them, whatever identifiers are given.
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.public import Identifier
from consent.data_subject_requests.storage import (
    DataSubjectRequest,
    emails_among,
    is_by_person,
    request_of,
)
from consent.tables_requests import (
    data_subject_executions,
    data_subject_export_parts,
    data_subject_exports,
    data_subject_requests,
    data_subject_verifications,
    mails,
)


async def list_requests_of(
    conn: AsyncConnection,
    request: DataSubjectRequest,
    identifiers: Sequence[Identifier],
    after: str | None,
    limit: int,
) -> list[DataSubjectRequest]:
    """Requests by these identifiers and the request itself, in the order of their ids."""
    column = data_subject_requests.c
    statement = select(data_subject_requests).where(
        _of_person(request, identifiers), column.app_id == UUID(request.app_id)
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


async def count_requests_of(
    conn: AsyncConnection, request: DataSubjectRequest, identifiers: Sequence[Identifier]
) -> dict[str, int]:
    """{table: rows of the person's requests}, and of mails to the person."""
    app_id = UUID(request.app_id)
    column = data_subject_requests.c
    is_of_person = and_(_of_person(request, identifiers), column.app_id == app_id)
    ids = select(column.request_id).where(is_of_person)
    counts = {"data_subject_requests": await _count(conn, data_subject_requests, is_of_person)}
    for table in (
        data_subject_verifications,
        data_subject_exports,
        data_subject_export_parts,
        mails,
    ):
        is_theirs: Any = table.c.request_id.in_(ids)
        if table is mails:
            is_theirs = or_(is_theirs, mails.c.recipient.in_(emails_among(identifiers)))
        counts[str(table.name)] = await _count(conn, table, table.c.app_id == app_id, is_theirs)
    return counts


async def delete_mails_to(
    conn: AsyncConnection, app_id: str, recipients: Collection[str]
) -> dict[str, int]:
    """Delete what waits to be sent to these addresses; {table: rows deleted}."""
    result = await conn.execute(
        delete(mails).where(mails.c.app_id == UUID(app_id), mails.c.recipient.in_(recipients))
    )
    return {str(mails.name): result.rowcount}


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


def _of_person(request: DataSubjectRequest, identifiers: Sequence[Identifier]) -> Any:
    is_itself = data_subject_requests.c.request_id == UUID(request.request_id)
    return or_(is_itself, is_by_person(request, identifiers))


async def _count(conn: AsyncConnection, table: Any, *conditions: Any) -> int:
    return await conn.scalar(select(func.count()).select_from(table).where(*conditions)) or 0
