"""All SQL of executions: how far the work on a request has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.tables import apps
from consent.tables_requests import data_subject_executions


@dataclass(frozen=True, slots=True)
class Execution:
    """How far the work on a request has come; see the table.

    started_by: {"credential_id", "name", "organization_id", "organization"} of the caller.
    """

    app_id: str
    request_id: str
    phase: str
    hash_key: bytes
    started_at: datetime
    next_step_at: datetime
    cursor: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    instructions: Mapping[str, Any] = field(default_factory=dict)
    started_by: Mapping[str, str] = field(default_factory=dict)
    try_count: int = 0
    completed_at: datetime | None = None


_NAMES = tuple(entry.name for entry in fields(Execution))
_OBJECTS = ("cursor", "counts", "instructions", "started_by")


async def insert_execution(conn: AsyncConnection, execution: Execution) -> bool:
    """Store a new execution; False when the request has one already."""
    result = await conn.execute(
        insert(data_subject_executions).values(_values(execution)).on_conflict_do_nothing()
    )
    return result.rowcount == 1


async def find_execution(conn: AsyncConnection, app_id: str, request_id: str) -> Execution | None:
    """The request's execution, or None."""
    rows = await conn.execute(select(data_subject_executions).where(*_is(app_id, request_id)))
    row = rows.one_or_none()
    return None if row is None else _execution(row)


async def find_due_execution(
    conn: AsyncConnection, now: datetime, request_id: str | None = None
) -> Execution | None:
    """The execution that waits longest for its next step, its row locked, or None.

    Only a step that failed has to wait for its time: the clock may have been set back since the
    last one.
    request_id: only this request's, and however long its next step has been put off. Those of a
    deleted app are left out: they go with it, and who removes it has locks that a step waits for.
    """
    column = data_subject_executions.c
    statement = (
        select(data_subject_executions)
        .join(apps, (apps.c.app_id == column.app_id) & apps.c.deleted_at.is_(None))
        .where(column.completed_at.is_(None))
    )
    if request_id is None:
        statement = statement.where((column.try_count == 0) | (column.next_step_at <= now))
    else:
        statement = statement.where(column.request_id == UUID(request_id))
    rows = await conn.execute(
        statement.order_by(column.next_step_at)
        .limit(1)
        .with_for_update(of=data_subject_executions, skip_locked=True)
    )
    row = rows.one_or_none()
    return None if row is None else _execution(row)


async def save_execution(conn: AsyncConnection, execution: Execution) -> None:
    """Write the execution as it is now; its row must be locked."""
    await conn.execute(
        update(data_subject_executions)
        .where(*_is(execution.app_id, execution.request_id))
        .values(_values(execution))
    )


async def postpone(conn: AsyncConnection, execution: Execution, next_step_at: datetime) -> None:
    """Note one more try that failed, and when to try again."""
    await conn.execute(
        update(data_subject_executions)
        .where(*_is(execution.app_id, execution.request_id))
        .values(
            try_count=data_subject_executions.c.try_count + 1,
            next_step_at=next_step_at,
        )
    )


async def delete_unfinished(conn: AsyncConnection, app_id: str, request_id: str) -> None:
    """Forget an execution that is not done, if there is one; waits for the step it is in."""
    await conn.execute(
        data_subject_executions.delete().where(
            *_is(app_id, request_id), data_subject_executions.c.completed_at.is_(None)
        )
    )


def _is(app_id: str, request_id: str) -> tuple[Any, Any]:
    column = data_subject_executions.c
    return column.app_id == UUID(app_id), column.request_id == UUID(request_id)


def _values(execution: Execution) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(execution, name) for name in _NAMES}
    values |= {name: dict(values[name]) for name in _OBJECTS}
    values["app_id"], values["request_id"] = UUID(execution.app_id), UUID(execution.request_id)
    return values


def _execution(row: Any) -> Execution:
    values = {name: getattr(row, name) for name in _NAMES}
    values["app_id"], values["request_id"] = str(row.app_id), str(row.request_id)
    return Execution(**values)
