"""What the team does: note a request, change it, give it more time."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import Conflict, Invalid
from audience.server.clock import new_id
from audience.server.settings import Settings
from consent.data_subject_requests import lifecycle, storage
from consent.data_subject_requests.execution import storage as executions
from consent.data_subject_requests.handling.storage import lock_leader
from consent.data_subject_requests.mails.operations import Letter, queue_mail
from consent.data_subject_requests.mails.storage import Mail
from consent.data_subject_requests.operations import move_request, note_event
from consent.data_subject_requests.storage import DataSubjectRequest
from consent.data_subject_requests.texts import day, text
from consent.data_subject_requests.verification.operations import ask_for_proof

#: Purposes of mails to the requester.
EXTENSION, REJECTION = "extension", "rejection"
#: {what the team may write at any time: the entry that its change leaves in the history}
_FREE_TEXTS = {"note": "noted", "assignee": "assigned"}


async def note_request(
    conn: AsyncConnection, app: public.App, given: dict[str, Any], *, actor: str, now: datetime
) -> DataSubjectRequest:
    """A new request that did not come through the form, unverified.

    given: as `schemas.RequestCreation` has it, e-mail in comparable form, received_at set.
    """
    received_at = given["received_at"]
    request = DataSubjectRequest(
        app_id=app.app_id,
        request_id=new_id(),
        request_type=given["request_type"],
        status=lifecycle.UNVERIFIED,
        channel=given["channel"],
        received_at=received_at,
        due_at=lifecycle.due_at(received_at, app.timezone),
        email=given.get("email"),
        content=given.get("content") or None,
        identities=given["identities"],
        language=given["language"],
    )
    await storage.insert_request(conn, request)
    await note_event(conn, request, "received", actor=actor, now=now)
    if given["asks_for_proof"]:
        await ask_for_proof(conn, request, now)
    return request


async def change_request(
    conn: AsyncConnection,
    request: DataSubjectRequest,
    given: dict[str, Any],
    *,
    actor: str,
    now: datetime,
) -> DataSubjectRequest:
    """The request with another status, note or assignee; its row must be locked.

    given: as `schemas.RequestChange` has it. A requester whose e-mail is proved is told of a
    rejection.  Errors: Conflict for a move that is not allowed, while a job executes it, and while
    somebody else changes its leader; Invalid for a duplicate without a fitting leader.
    """
    note, assignee = (given.get(name, getattr(request, name)) or None for name in _FREE_TEXTS)
    changed = replace(request, note=note, assignee=assignee)
    if changed != request:
        await storage.save_request(conn, changed)
    for name, event in _FREE_TEXTS.items():
        if getattr(changed, name) != getattr(request, name):
            await note_event(conn, changed, event, actor=actor, now=now)
    status = given.get("status")
    if status is None or status == changed.status:
        return changed
    if changed.status == lifecycle.IN_PROGRESS and await _is_executing(conn, changed):
        message = "the request is being executed: it moves on by itself when that is done"
        raise Conflict(message, code="executing", path="status")
    reason, leader_id = given.get("reason"), None
    if status == lifecycle.DUPLICATE:
        leader_id = await _leader_id(conn, changed, given.get("leader_id"))
    moved = await move_request(
        conn, changed, status, actor=actor, now=now, detail=reason, leader_id=leader_id
    )
    if status == lifecycle.REJECTED:
        await _tell(conn, moved, REJECTION, reason, now)
    return moved


async def _leader_id(
    conn: AsyncConnection, request: DataSubjectRequest, leader_id: str | None
) -> str:
    """The id of the request that is worked on instead, its row locked.

    Errors: Invalid when it can't be; Conflict while somebody else changes it.
    """
    if leader_id is None:
        message = "leader_id is required: which request is worked on instead?"
        raise Invalid(message, path="leader_id")
    _check_leader(request, await storage.find_request(conn, leader_id))
    # Two requests that lead each other would be worked on by nobody. Not waited for: the other one
    # may be waiting for this.
    leader = await lock_leader(conn, leader_id)
    if leader is None:
        message = "somebody is changing the request leader_id just now, try again"
        raise Conflict(message, code="leader_changing", path="leader_id")
    _check_leader(request, leader)
    return leader_id


def _check_leader(request: DataSubjectRequest, leader: DataSubjectRequest | None) -> None:
    is_fit = (
        leader is not None
        and leader.request_id != request.request_id
        and (leader.app_id, leader.request_type) == (request.app_id, request.request_type)
        and leader.status in lifecycle.OPEN
    )
    if not is_fit:
        message = "leader_id must be an open request of the same app and type"
        raise Invalid(message, path="leader_id")


async def _is_executing(conn: AsyncConnection, request: DataSubjectRequest) -> bool:
    execution = await executions.find_execution(conn, request.app_id, request.request_id)
    return execution is not None and execution.completed_at is None


async def extend_request(
    conn: AsyncConnection,
    request: DataSubjectRequest,
    reason: str,
    *,
    timezone: str,
    actor: str,
    now: datetime,
) -> DataSubjectRequest:
    """The request with two more months to answer it; its row must be locked.

    A requester whose e-mail is proved is told, as the law demands.
    Errors: Conflict when it was extended before, is closed, or is due already.
    """
    if request.extended_at is not None:
        message = "a request can be extended once"
        raise Conflict(message, code="already_extended")
    if request.status in lifecycle.CLOSED:
        message = f"a request that is {request.status} can't be extended"
        raise Conflict(message, code="move_not_allowed")
    if now > request.due_at:
        message = "the time to answer is over: an extension must be told to the requester within it"
        raise Conflict(message, code="too_late")
    extended = replace(
        request,
        extended_at=now,
        extension_reason=reason,
        due_at=lifecycle.due_at(request.received_at, timezone, is_extended=True),
        reminded_at=None,
    )
    await storage.save_request(conn, extended)
    await note_event(conn, extended, "extended", actor=actor, now=now, detail=reason)
    await _tell(conn, extended, EXTENSION, reason, now)
    return extended


async def _tell(
    conn: AsyncConnection,
    request: DataSubjectRequest,
    purpose: str,
    reason: str | None,
    now: datetime,
) -> None:
    if not request.is_verified or request.email is None:
        return
    await queue_mail(
        conn,
        app_id=request.app_id,
        request_id=request.request_id,
        purpose=purpose,
        recipient=request.email,
        language=request.language,
        parameters={"reason": reason},
        now=now,
    )


async def compose_news(
    conn: AsyncConnection,
    mail: Mail,
    settings: Settings,  # noqa: ARG001 - every composer has it
    now: datetime,  # noqa: ARG001 - every composer has it
) -> Letter | None:
    """The letter that tells a requester of an extension or a rejection."""
    found = mail.request_id and await storage.find_request(conn, mail.request_id)
    if not found:
        return None
    app = await public.get_app(conn, found.app_id)
    language = mail.language
    values = {
        "site": app.name,
        "date": day(found.received_at, app.timezone),
        "due": day(found.due_at, app.timezone),
        "what": text(language, f"what_{found.request_type}"),
        "reason": (mail.parameters or {}).get("reason") or text(language, "no_reason"),
    }
    return Letter(
        text(language, f"{mail.purpose}_subject", **values),
        text(language, f"{mail.purpose}_text", **values),
    )
