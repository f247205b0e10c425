"""All SQL of reminders and retention."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, case, delete, exists, func, literal, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.tables import apps
from consent.data_subject_requests.lifecycle import CLOSED, DUPLICATE, UNVERIFIED
from consent.data_subject_requests.settings.storage import RequestSettings
from consent.data_subject_requests.storage import (
    DataSubjectRequest,
    awaiting_answer,
    request_of,
)
from consent.tables_requests import (
    data_subject_request_events,
    data_subject_requests,
    data_subject_settings,
    data_subject_verifications,
    mails,
    opendsr_requests,
)

_DEFAULTS = RequestSettings()
#: What of a request is personal.
PERSONAL: dict[str, Any] = {
    "email": None,
    "content": None,
    "visitor_id": None,
    "analytics_visitor_id": None,
    "identities": [],
    "hostname": None,
    "note": None,
    "verification_reason": None,
    "extension_reason": None,
}


class Due(NamedTuple):
    """A request that the team is to be reminded of."""

    request: DataSubjectRequest
    recipient: str
    language: str


async def list_requests_to_remind(conn: AsyncConnection, now: datetime, limit: int) -> list[Due]:
    """Requests to answer soon of which nobody was reminded, rows locked; soonest due first.

    Without an address to remind a request is left out.
    """
    column, settings = data_subject_requests.c, data_subject_settings.c
    days = func.coalesce(settings.reminder_days, _DEFAULTS.reminder_days)
    recipient = func.coalesce(
        settings.team_email, case((column.assignee.like("%_@_%"), column.assignee))
    )
    rows = await conn.execute(
        select(
            data_subject_requests,
            recipient.label("recipient"),
            func.coalesce(settings.team_language, literal("en")).label("team_language"),
        )
        .select_from(_WITH_SETTINGS)
        .where(
            awaiting_answer(),
            column.reminded_at.is_(None),
            column.due_at <= literal(now) + _days(days),
            recipient.is_not(None),
            apps.c.deleted_at.is_(None),
        )
        .order_by(column.due_at)
        .limit(limit)
        .with_for_update(of=data_subject_requests, skip_locked=True)
    )
    return [Due(request_of(row), row.recipient, row.team_language) for row in rows]


async def list_requests_to_forget(
    conn: AsyncConnection, now: datetime, limit: int
) -> list[DataSubjectRequest]:
    """Requests whose personal content is kept for too long, rows locked.

    Closed ones count from their end; unverified ones, also duplicates, from when they were stored,
    because a letter may be noted long after its receipt.
    """
    column, settings = data_subject_requests.c, data_subject_settings.c
    closed = func.coalesce(settings.retention_days, _DEFAULTS.retention_days)
    unverified = func.coalesce(
        settings.unverified_retention_days, _DEFAULTS.unverified_retention_days
    )
    rows = await conn.execute(
        select(data_subject_requests)
        .select_from(_WITH_SETTINGS)
        .where(
            column.content_erased_at.is_(None),
            or_(
                and_(
                    column.status.in_(sorted(CLOSED)),
                    column.closed_at <= literal(now) - _days(closed),
                ),
                and_(
                    # A duplicate may never have been confirmed either.
                    column.status.in_([UNVERIFIED, DUPLICATE]),
                    column.verified_at.is_(None),
                    _is_stored_by(literal(now) - _days(unverified)),
                ),
            ),
        )
        .limit(limit)
        .with_for_update(of=data_subject_requests, skip_locked=True)
    )
    return [request_of(row) for row in rows]


async def list_erased_contents(
    conn: AsyncConnection, request_ids: Collection[str]
) -> dict[str, datetime | None]:
    """{request_id: when its personal content was erased, or None} of those that there are."""
    column = data_subject_requests.c
    rows = await conn.execute(
        select(column.request_id, column.content_erased_at).where(
            column.request_id.in_([UUID(one) for one in request_ids])
        )
    )
    return {str(row.request_id): row.content_erased_at for row in rows}


async def erase_personal_content(
    conn: AsyncConnection, request: DataSubjectRequest, now: datetime
) -> dict[str, int]:
    """Take everything personal out of a request, its history, its proof and its mails.

    {table: rows deleted}.  On repeat: nothing.
    """
    ids = {"app_id": UUID(request.app_id), "request_id": UUID(request.request_id)}
    deleted = {}
    for table in (mails, data_subject_verifications):
        result = await conn.execute(delete(table).where(_is(table, ids)))
        deleted[str(table.name)] = result.rowcount
    await conn.execute(
        update(data_subject_request_events)
        .where(
            _is(data_subject_request_events, ids), data_subject_request_events.c.detail.is_not(None)
        )
        .values(detail=None)
    )
    # A hash of the controller's body would still tell whether it was about a given e-mail.
    await conn.execute(
        update(opendsr_requests).where(_is(opendsr_requests, ids)).values(body_sha256=b"")
    )
    await conn.execute(
        update(data_subject_requests)
        .where(_is(data_subject_requests, ids))
        .values(**PERSONAL, content_erased_at=now)
    )
    return deleted


_WITH_SETTINGS = data_subject_requests.join(
    apps, apps.c.app_id == data_subject_requests.c.app_id
).outerjoin(data_subject_settings, data_subject_settings.c.app_id == data_subject_requests.c.app_id)
_DAY = text("interval '1 day'")


def _is_stored_by(moment: Any) -> Any:
    """Whether the request was stored by then: its history begins with that."""
    event, request = data_subject_request_events.c, data_subject_requests.c
    return exists().where(
        event.app_id == request.app_id,
        event.request_id == request.request_id,
        event.occurred_at <= moment,
    )


def _days(number: Any) -> Any:
    return number * _DAY


def _is(table: Any, ids: dict[str, UUID]) -> Any:
    return and_(*(table.c[name] == value for name, value in ids.items()))
