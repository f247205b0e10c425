"""Requests of controllers: taking them in, telling how they stand, cancelling them."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import Conflict, Invalid, NotFound
from audience.server.clock import new_id
from consent.data_subject_requests import lifecycle
from consent.data_subject_requests import storage as requests
from consent.data_subject_requests.lifecycle import VIEW_DATA
from consent.data_subject_requests.opendsr import storage
from consent.data_subject_requests.opendsr.storage import ControllersRequest
from consent.data_subject_requests.opendsr.wire import API_VERSION, COMPLETED, PENDING, Submission
from consent.data_subject_requests.operations import get_request, move_request, note_event
from consent.data_subject_requests.storage import DataSubjectRequest
from consent.data_subject_requests.verification.operations import BY_CONTROLLER, verify_request

CHANNEL = "opendsr"
_OLDEST_DAYS = 366


async def submit_request(
    conn: AsyncConnection,
    caller: public.Caller,
    submission: Submission,
    body: bytes,
    now: datetime,
) -> dict[str, Any]:
    """The answer to a controller's request, which counts as proved: the controller answers for it.

    It waits for the team like any other.  On repeat with the same body: the same answer.
    Errors: Conflict for another body under the same id; NotFound for an unknown app; Invalid.
    """
    # One at a time per id, so that a request that is sent twice at once is one request.
    lock = f"OpenDSR request {caller.organization_id} {submission.subject_request_id}"
    await requests.lock_by_text(conn, lock)
    known = await storage.find_controllers_request(
        conn, caller.organization_id, submission.subject_request_id
    )
    digest = hashlib.sha256(body).digest()
    if known is None:
        app = await _app(conn, caller, submission)
        known = await _store(conn, caller, app, submission, digest, now)
    # Without its content, after an erasure, nothing is left to compare with.
    elif known.body_sha256 not in (digest, b""):
        message = "subject_request_id has been used for another request"
        raise Conflict(message, path="subject_request_id")
    request = await get_request(conn, known.request_id)
    return {
        "controller_id": known.controller_id,
        "expected_completion_time": _text(request.due_at),
        "received_time": _text(_moment_of(known.request_id)),
        "encoded_request": base64.b64encode(body).decode(),
        "subject_request_id": known.subject_request_id,
        "api_version": API_VERSION,
    }


async def tell_status(
    conn: AsyncConnection, caller: public.Caller, subject_request_id: str, origin: str
) -> dict[str, Any]:
    """How the controller's request stands.  Errors: NotFound."""
    known = await get_controllers_request(conn, caller, subject_request_id)
    request = await get_request(conn, known.request_id)
    status = await storage.find_status(conn, known.app_id, known.request_id) or PENDING
    return status_document(known, request, status, origin)


def status_document(
    known: ControllersRequest, request: DataSubjectRequest, status: str, origin: str
) -> dict[str, Any]:
    """The members that answers and callbacks share; results_url: of a completed access request."""
    document = {
        "controller_id": known.controller_id,
        "expected_completion_time": _text(request.due_at),
        "subject_request_id": known.subject_request_id,
        "request_status": status,
        "api_version": API_VERSION,
    }
    if status == COMPLETED and request.request_type == VIEW_DATA:
        worked_on = request.leader_id or request.request_id
        document["results_url"] = f"{origin}/api/privacy/v1/requests/{worked_on}/export"
    return document


async def cancel_request(
    conn: AsyncConnection, caller: public.Caller, subject_request_id: str, now: datetime
) -> dict[str, Any]:
    """The answer to a cancellation.  On repeat: the same.

    Errors: NotFound; Conflict once somebody works on it or it is done.
    """
    known = await get_controllers_request(conn, caller, subject_request_id)
    request = await get_request(conn, known.request_id)
    status = await storage.find_status(conn, known.app_id, known.request_id)
    if request.status != lifecycle.CANCELLED:
        if status != PENDING:
            message = f"a request that is {status} can't be cancelled"
            raise Conflict(message, code="not_pending")
        await move_request(conn, request, lifecycle.CANCELLED, actor=caller.name, now=now)
    return {
        "controller_id": known.controller_id,
        "subject_request_id": known.subject_request_id,
        "received_time": _text(now),
        "api_version": API_VERSION,
    }


async def get_controllers_request(
    conn: AsyncConnection, caller: public.Caller, subject_request_id: str
) -> ControllersRequest:
    """What the caller's organization has sent under the id.  Errors: NotFound."""
    known = await storage.find_controllers_request(conn, caller.organization_id, subject_request_id)
    message = f"there is no request with the subject_request_id {subject_request_id}"
    if known is None:
        raise NotFound(message)
    try:
        await public.access_app(conn, caller, known.app_id)
    except NotFound:
        raise NotFound(message) from None
    return known


async def _app(conn: AsyncConnection, caller: public.Caller, submission: Submission) -> public.App:
    app_id = submission.app_id
    if app_id is None:
        found = await storage.list_app_ids(conn, caller.organization_id)
        if len(found) != 1:
            message = "property_id is required: which of your apps is it about?"
            raise Invalid(message, path="property_id")
        (app_id,) = found
    return await public.access_app(conn, caller, app_id)


async def _store(
    conn: AsyncConnection,
    caller: public.Caller,
    app: public.App,
    submission: Submission,
    digest: bytes,
    now: datetime,
) -> ControllersRequest:
    received_at = submission.submitted_at
    if not now - timedelta(days=_OLDEST_DAYS) <= received_at <= now + timedelta(minutes=5):
        message = "submitted_time must be within the last year and not in the future"
        raise Invalid(message, path="submitted_time")
    request = DataSubjectRequest(
        app_id=app.app_id,
        request_id=new_id(),
        request_type=submission.request_type,
        status=lifecycle.UNVERIFIED,
        channel=CHANNEL,
        received_at=received_at,
        due_at=lifecycle.due_at(received_at, app.timezone),
        email=submission.email,
        identities=submission.identities,
    )
    await requests.insert_request(conn, request)
    await note_event(conn, request, "received", actor=caller.name, now=now)
    known = ControllersRequest(
        app.app_id,
        request.request_id,
        submission.subject_request_id,
        caller.organization_id,
        submission.regulation,
        digest,
        PENDING,
        submission.submitted_at,
        submission.callback_urls,
    )
    await storage.insert_controllers_request(conn, known)
    await verify_request(conn, request.request_id, by=BY_CONTROLLER, actor=caller.name, now=now)
    return known


def _moment_of(request_id: str) -> datetime:
    """When `clock.new_id` made the id."""
    return datetime.fromtimestamp((UUID(request_id).int >> 80) / 1000, UTC)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
