"""Data subject requests: /api/privacy/v1/requests (JSON:API type privacy/request)."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import Invalid, NotFound
from audience.server import clock
from audience.server.json_api import (
    document_of,
    json_response,
    no_content,
    read_query,
    read_resource,
)
from audience.server.keys import DATABASE, SETTINGS
from audience.server.openapi import described
from audience.uuid_text import parse_uuid
from consent.data_subject_requests import storage
from consent.data_subject_requests.audit import record_request_audit
from consent.data_subject_requests.handling import operations
from consent.data_subject_requests.handling.document import KIND, request_document, request_resource
from consent.data_subject_requests.handling.schemas import (
    Extension,
    RequestAnswer,
    RequestChange,
    RequestCreation,
    RequestsQuery,
    Verification,
)
from consent.data_subject_requests.handling.storage import Wanted
from consent.data_subject_requests.handling.storage import list_requests as list_wanted
from consent.data_subject_requests.storage import DataSubjectRequest
from consent.data_subject_requests.verification.operations import (
    BY_HAND,
    ask_for_proof,
)
from consent.data_subject_requests.verification.operations import verify_request as verify

_OLDEST_DAYS = 366


@described(query=RequestsQuery, answer=RequestAnswer, resource=KIND, is_list=True)
async def list_requests(request: web.Request) -> web.Response:
    """GET /api/privacy/v1/requests -> 200, the organization's requests, newest first.

    meta.total counts all that match. 404 for a website_id of another organization.
    """
    query = read_query(request, RequestsQuery)
    caller, now = public.caller_of(request), clock.now()
    email = query.get("email")
    if email is not None:
        # As it is stored; half an e-mail finds nothing.
        email = _check_of(request)(email) or email.strip().lower()
    wanted = Wanted(
        caller.organization_id,
        query.get("website_id"),
        query.get("request_type"),
        query.get("status"),
        query.get("overdue"),
        email,
    )
    async with request.app[DATABASE].transaction() as conn:
        if wanted.app_id is not None:
            await public.access_app(conn, caller, wanted.app_id)
        found, total = await list_wanted(
            conn,
            wanted,
            now,
            order_by=query["order_by"],
            limit=query["limit"],
            offset=query["offset"],
        )
        await public.record_audit_entry(
            conn, caller, "list_requests", now=now, app_id=wanted.app_id, target_type="request"
        )
    data = [request_resource(one, timezone, now) for one, timezone in found]
    return json_response(request, document_of(data, meta={"total": total}))


@described(body=RequestCreation, answer=RequestAnswer, resource=KIND, status=201)
async def create_request(request: web.Request) -> web.Response:
    """POST /api/privacy/v1/requests -> 201, a request that came by letter, mail or telephone.

    It is unverified. With asks_for_proof a mail with link and code goes to its e-mail.
    """
    given = await read_resource(request, KIND, RequestCreation)
    caller, now = public.caller_of(request), clock.now()
    given = _checked(request, given, now)
    async with request.app[DATABASE].transaction() as conn:
        app = await public.access_app(conn, caller, given["website_id"])
        made = await operations.note_request(conn, app, given, actor=caller.name, now=now)
        await record_request_audit(conn, caller, "create_request", made, now)
        document = await request_document(conn, made, app.timezone, now)
    return json_response(request, document, 201)


@described(answer=RequestAnswer, resource=KIND)
async def get_request(request: web.Request) -> web.Response:
    """GET /api/privacy/v1/requests/{id} -> 200, with its history and the ids of its duplicates."""
    caller, now = public.caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        found, app = await access_request(conn, request)
        await record_request_audit(conn, caller, "get_request", found, now)
        document = await request_document(conn, found, app.timezone, now)
    return json_response(request, document)


@described(body=RequestChange, resource=KIND, status=204)
async def update_request(request: web.Request) -> web.Response:
    """PATCH /api/privacy/v1/requests/{id} -> 204: status, note, assignee.

    409 for a move that is not allowed (`move_not_allowed`), and for one into work before the
    requester is verified (`not_verified`).
    """
    given = await _read(request, RequestChange, is_partial=True)
    caller, now = public.caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        found, _ = await access_request(conn, request)
        await operations.change_request(conn, found, given, actor=caller.name, now=now)
        await record_request_audit(conn, caller, "update_request", found, now)
    return no_content()


@described(body=Verification, answer=RequestAnswer, resource=KIND)
async def verify_request(request: web.Request) -> web.Response:
    """POST /api/privacy/v1/requests/{id}/verify -> 200, the request.

    By hand, with a reason: for requests by letter. With method `mail` link and code are sent
    (again) and the request stays unverified. 409 when it is closed.
    """
    given = await _read(request, Verification)
    caller, now = public.caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        found, app = await access_request(conn, request, is_locked=False)
        if given["method"] == BY_HAND:
            found = await verify(
                conn,
                found.request_id,
                by=BY_HAND,
                actor=caller.name,
                now=now,
                reason=given.get("reason"),
            )
        elif not found.is_verified:
            await ask_for_proof(conn, found, now)
        await record_request_audit(conn, caller, "verify_request", found, now)
        document = await request_document(conn, found, app.timezone, now)
    return json_response(request, document)


@described(body=Extension, answer=RequestAnswer, resource=KIND)
async def extend_request(request: web.Request) -> web.Response:
    """POST /api/privacy/v1/requests/{id}/extend -> 200, due two months later; once, with a reason.

    409 when it was extended before, is closed or is due already.
    """
    given = await _read(request, Extension)
    caller, now = public.caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        found, app = await access_request(conn, request)
        extended = await operations.extend_request(
            conn, found, given["reason"], timezone=app.timezone, actor=caller.name, now=now
        )
        await record_request_audit(conn, caller, "extend_request", extended, now)
        document = await request_document(conn, extended, app.timezone, now)
    return json_response(request, document)


async def access_request(
    conn: AsyncConnection, request: web.Request, *, is_locked: bool = True
) -> tuple[DataSubjectRequest, public.App]:
    """The request of the path and its app, when the app is the caller's organization's.

    Errors: NotFound, the same for somebody else's request as for one that does not exist.
    """
    request_id = _request_id(request)
    found = await storage.find_request(conn, request_id, for_update=is_locked)
    message = f"there is no request with the id {request_id}"
    if found is None:
        raise NotFound(message)
    try:
        app = await public.access_app(conn, public.caller_of(request), found.app_id)
    except NotFound:
        raise NotFound(message) from None
    return found, app


async def _read(request: web.Request, schema: Any, *, is_partial: bool = False) -> dict[str, Any]:
    return await read_resource(
        request, KIND, schema, resource_id=_request_id(request), is_partial=is_partial
    )


def _request_id(request: web.Request) -> str:
    return parse_uuid(request.match_info["request_id"], "request_id")


def _check_of(request: web.Request) -> Callable[[str], str | None]:
    is_test = request.app[SETTINGS].allow_test_emails
    return public.check_test_email if is_test else public.check_email


def _checked(request: web.Request, given: dict[str, Any], now: datetime) -> dict[str, Any]:
    email = given.get("email")
    if email is not None:
        email = _check_of(request)(email)
        if email is None:
            message = "email must be an e-mail address like name@example.com"
            raise Invalid(message, path="email")
    received_at = given.get("received_at", now)
    if not now - timedelta(days=_OLDEST_DAYS) <= received_at <= now:
        message = "received_at must be within the last year and not in the future"
        raise Invalid(message, path="received_at")
    return {**given, "email": email, "received_at": received_at}
