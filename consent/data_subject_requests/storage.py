"""All SQL of data subject requests and their history."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, false, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.public import Identifier
from consent.data_subject_requests.lifecycle import FORM, OPEN, UNVERIFIED
from consent.tables_requests import data_subject_request_events, data_subject_requests

#: Verified by the team itself or by the controller: then what they say about the person counts.
CHECKED_BY = ("hand", "opendsr")
#: Identifiers that are one person's alone.
_PERSONAL = ("email", "user_id")


def only_personal(identifiers: Iterable[Identifier]) -> list[Identifier]:
    """Those that are one person's alone, each once: e-mail addresses, then user IDs, sorted.

    Devices and browsers are shared, so they make nobody the same. Who locks several identifiers
    does it in this order.
    """
    return sorted({one for one in identifiers if one.identifier_name in _PERSONAL})


def emails_among(identifiers: Iterable[Identifier]) -> list[str]:
    """The e-mail addresses among them."""
    return [value for name, value in identifiers if name == "email"]


@dataclass(frozen=True, slots=True)
class DataSubjectRequest:
    """One request, as the table `data_subject_requests` describes it.

    identities: [{"identifier_name", "identifier_value"}], claimed beside the e-mail.
    """

    app_id: str
    request_id: str
    request_type: str
    status: str
    channel: str
    received_at: datetime
    due_at: datetime
    email: str | None = None
    content: str | None = None
    visitor_id: str | None = None
    analytics_visitor_id: str | None = None
    identities: Sequence[Mapping[str, str]] = ()
    hostname: str | None = None
    note: str | None = None
    assignee: str | None = None
    language: str = "en"
    verified_by: str | None = None
    verification_reason: str | None = None
    extension_reason: str | None = None
    leader_id: str | None = None
    verified_at: datetime | None = None
    extended_at: datetime | None = None
    reminded_at: datetime | None = None
    closed_at: datetime | None = None
    content_erased_at: datetime | None = None

    @property
    def is_verified(self) -> bool:
        """Whether it is proved that the requester is who they say."""
        return self.verified_at is not None

    @property
    def personal_identifiers(self) -> list[Identifier]:
        """What `only_personal` leaves of the e-mail and the identities."""
        named = [Identifier(**one) for one in self.identities]
        if self.email is not None:
            named.append(Identifier("email", self.email))
        return only_personal(named)


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """Something that happened to a request."""

    event_id: str
    occurred_at: datetime
    actor: str
    event: str
    from_status: str | None = None
    to_status: str | None = None
    detail: str | None = None


_UUIDS = ("app_id", "request_id", "visitor_id", "leader_id")
_NAMES = tuple(entry.name for entry in fields(DataSubjectRequest))


async def insert_request(conn: AsyncConnection, request: DataSubjectRequest) -> None:
    """Store a new request."""
    await conn.execute(insert(data_subject_requests).values(_values(request)))


async def find_request(
    conn: AsyncConnection, request_id: str, *, for_update: bool = False
) -> DataSubjectRequest | None:
    """The request or None; for_update: its row is locked until the transaction ends."""
    statement = select(data_subject_requests).where(
        data_subject_requests.c.request_id == UUID(request_id)
    )
    if for_update:
        statement = statement.with_for_update()
    row = (await conn.execute(statement)).one_or_none()
    return None if row is None else request_of(row)


async def save_request(conn: AsyncConnection, request: DataSubjectRequest) -> None:
    """Write the request as it is now; its row must be locked by `find_request`."""
    column = data_subject_requests.c
    await conn.execute(
        update(data_subject_requests)
        .where(column.app_id == UUID(request.app_id), column.request_id == UUID(request.request_id))
        .values(_values(request))
    )


async def lock_persons_of(conn: AsyncConnection, request: DataSubjectRequest) -> None:
    """`lock_person` by all that makes other requests the same person's."""
    await lock_person(conn, request.app_id, request.personal_identifiers)


async def lock_person(
    conn: AsyncConnection, app_id: str, identifiers: Sequence[Identifier]
) -> None:
    """Wait until this transaction is the only one that decides which request of a person leads.

    identifiers: as `only_personal` sorts them, so that everybody waits in one order.
    """
    for name, value in identifiers:
        await lock_by_text(conn, f"requests of {app_id} {name} {value}")


async def lock_by_text(conn: AsyncConnection, of_what: str) -> None:
    """Wait for everybody who locks the same text, until the transaction ends."""
    digest = hashlib.sha256(of_what.encode()).digest()
    await conn.execute(ADVISORY_LOCK, {"key": int.from_bytes(digest[:8], "big", signed=True)})


async def list_requests_like(
    conn: AsyncConnection, request: DataSubjectRequest
) -> list[DataSubjectRequest]:
    """Every other request of the same type by the same person, oldest first, rows locked.

    request: as it is once verified. The same person: the same e-mail; or the same user ID, where it
    is checked in the request and in the other one, or the other one has no e-mail to prove, and one
    of the two has none. An address that is only named beside makes nobody the same: nobody would
    hear of the outcome.
    """
    column = data_subject_requests.c
    is_alike: Any = false() if request.email is None else column.email == request.email
    if request.verified_by in CHECKED_BY:
        user_ids = [one for one in request.personal_identifiers if one[0] == "user_id"]
        is_same = _names_one_of(user_ids)
        is_checked: Any = column.email.is_(None)
        if request.email is None:
            is_checked = or_(is_checked, column.verified_by.in_(CHECKED_BY))
        is_alike = or_(is_alike, and_(is_same, is_checked))
    rows = await conn.execute(
        select(data_subject_requests)
        .where(
            is_alike,
            column.app_id == UUID(request.app_id),
            column.request_type == request.request_type,
            column.request_id != UUID(request.request_id),
        )
        .order_by(column.request_id)
        .with_for_update()
    )
    return [request_of(row) for row in rows]


def is_by_person(request: DataSubjectRequest, identifiers: Sequence[Identifier]) -> Any:
    """The condition that a row is by the person of the request, who has these identifiers.

    identifiers: personal ones. By the person is what comes from one of the e-mails; and what has no
    e-mail and names one of the identifiers. Beside another e-mail they are only claimed, unless
    they are checked and the request has no e-mail itself.
    """
    column = data_subject_requests.c
    is_checked: Any = column.email.is_(None)
    if request.email is None:
        is_checked = or_(is_checked, column.verified_by.in_(CHECKED_BY))
    by_email = column.email.in_(emails_among(identifiers))
    return or_(by_email, and_(_names_one_of(identifiers), is_checked))


def _names_one_of(identifiers: Sequence[Identifier]) -> Any:
    identities = data_subject_requests.c.identities
    return or_(false(), *(identities.contains([one._asdict()]) for one in identifiers))


def awaiting_answer() -> Any:
    """The condition that `lifecycle.awaits_answer` holds for a row."""
    column = data_subject_requests.c
    is_letter = and_(column.status == UNVERIFIED, column.channel != FORM)
    return or_(column.status.in_(sorted(OPEN)), is_letter)


def first_id_of(moment: datetime) -> UUID:
    """The smallest id that `clock.new_id` makes from then on."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


ADVISORY_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


async def insert_event(
    conn: AsyncConnection, request: DataSubjectRequest, event: RequestEvent
) -> None:
    """Add one entry to the request's history."""
    await conn.execute(
        insert(data_subject_request_events).values(
            app_id=UUID(request.app_id),
            request_id=UUID(request.request_id),
            event_id=UUID(event.event_id),
            occurred_at=event.occurred_at,
            actor=event.actor,
            event=event.event,
            from_status=event.from_status,
            to_status=event.to_status,
            detail=event.detail,
        )
    )


async def list_events(conn: AsyncConnection, request: DataSubjectRequest) -> list[RequestEvent]:
    """The request's history, oldest first."""
    column = data_subject_request_events.c
    rows = await conn.execute(
        select(data_subject_request_events)
        .where(column.app_id == UUID(request.app_id), column.request_id == UUID(request.request_id))
        .order_by(column.event_id)
    )
    return [
        RequestEvent(
            str(row.event_id),
            row.occurred_at,
            row.actor,
            row.event,
            row.from_status,
            row.to_status,
            row.detail,
        )
        for row in rows
    ]


def _values(request: DataSubjectRequest) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(request, name) for name in _NAMES}
    for name in _UUIDS:
        values[name] = None if values[name] is None else UUID(values[name])
    values["identities"] = [dict(identity) for identity in request.identities]
    return values


def request_of(row: Any) -> DataSubjectRequest:
    """The request of a row of its table."""
    values = {name: getattr(row, name) for name in _NAMES}
    for name in _UUIDS:
        values[name] = None if values[name] is None else str(values[name])
    return DataSubjectRequest(**values)
