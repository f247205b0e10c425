"""/opendsr/v1: discovery, requests of controllers, the certificate. All answers are signed.

Source: OpenDSR specification 2.0.
"""

from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import DomainError, Unauthenticated
from audience.server import clock
from audience.server.database import CONNECTION_ERRORS
from audience.server.error_response import add_retry_after, status_of
from audience.server.keys import DATABASE, SETTINGS
from audience.server.log import describe_error
from audience.server.openapi import described
from audience.server.request_body import parse_json, read_body
from audience.uuid_text import parse_uuid
from consent.data_subject_requests.opendsr import operations
from consent.data_subject_requests.opendsr.schemas import (
    OpendsrCancelled,
    OpendsrDiscovery,
    OpendsrReceived,
    OpendsrRequest,
    OpendsrStatus,
)
from consent.data_subject_requests.opendsr.signed import (
    JSON,
    domain_of,
    signature_headers,
    signed,
)
from consent.data_subject_requests.opendsr.wire import (
    API_VERSION,
    IDENTITIES,
    RAW,
    REQUEST_TYPES,
    parse_submission,
)

_NO_STORE = {"Cache-Control": "no-store"}
_UNAVAILABLE = 503
_DATABASE_ERRORS: tuple[type[Exception], ...] = (*CONNECTION_ERRORS, SQLAlchemyError)


@described(answer=OpendsrDiscovery)
async def discover_opendsr(request: web.Request) -> web.Response:
    """GET /opendsr/v1/discovery -> 200: version, identities, types, the certificate's address."""
    document = {
        "api_version": API_VERSION,
        "supported_identities": [
            {"identity_type": name, "identity_format": RAW} for name in IDENTITIES
        ],
        "supported_subject_request_types": list(REQUEST_TYPES),
        "processor_certificate": f"{request.app[SETTINGS].origin}/opendsr/v1/certificate.pem",
    }
    async with request.app[DATABASE].transaction() as conn:
        return await _answer(conn, request, document)


@described(answer_type="application/x-pem-file")
async def show_certificate(request: web.Request) -> web.Response:
    """GET /opendsr/v1/certificate.pem -> 200, the certificate of the key that signs."""
    async with request.app[DATABASE].transaction() as conn:
        settings, now = request.app[SETTINGS], clock.now()
        pem = await public.make_certificate(conn, domain_of(settings), now)
        headers = await signature_headers(conn, pem, settings, now)
    return web.Response(
        body=pem, content_type="application/x-pem-file", headers={**headers, **_NO_STORE}
    )


@described(body=OpendsrRequest, answer=OpendsrReceived, status=201)
async def submit_opendsr_request(request: web.Request) -> web.Response:
    """POST /opendsr/v1/requests -> 201, signed; the request waits for the team, as proved.

    400 names the field. 409 for a subject_request_id that was used for another body.
    On repeat with the same body: the same answer.
    """
    settings = request.app[SETTINGS]
    check = public.check_test_email if settings.allow_test_emails else public.check_email
    body = await read_body(request)
    submission = parse_submission(parse_json(body), domain_of(settings), check)
    caller, now = public.caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        document = await operations.submit_request(conn, caller, submission, body, now)
        await _audit(conn, caller, "submit_opendsr_request", submission.subject_request_id)
        return await _answer(conn, request, document, 201)


@described(answer=OpendsrStatus)
async def get_opendsr_request(request: web.Request) -> web.Response:
    """GET /opendsr/v1/requests/{subject_request_id} -> 200, signed: how it stands."""
    subject_request_id, caller = _subject_request_id(request), public.caller_of(request)
    async with request.app[DATABASE].transaction() as conn:
        document = await operations.tell_status(
            conn, caller, subject_request_id, request.app[SETTINGS].origin
        )
        return await _answer(conn, request, document)


@described(answer=OpendsrCancelled, status=202)
async def cancel_opendsr_request(request: web.Request) -> web.Response:
    """DELETE /opendsr/v1/requests/{subject_request_id} -> 202, signed: it is cancelled.

    409 when it is not pending any more.
    """
    subject_request_id, caller = _subject_request_id(request), public.caller_of(request)
    async with request.app[DATABASE].transaction() as conn:
        document = await operations.cancel_request(conn, caller, subject_request_id, clock.now())
        await _audit(conn, caller, "cancel_opendsr_request", subject_request_id)
        return await _answer(conn, request, document, 202)


def refuse_opendsr(_request: web.Request, error: DomainError) -> web.Response:
    """A refusal in the form of OpenDSR (section 7.6)."""
    response = _error(status_of(error), error.code, error.message)
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    return add_retry_after(response, error)


def fail_opendsr(status: int, code: str, detail: str) -> web.Response:
    """Any other refusal: no such path, a failure of ours."""
    return _error(status, code, detail)


async def seal_opendsr(request: web.Request, refusal: web.Response) -> None:
    """Sign a refusal: the bytes that are sent, whoever asked and whatever was wrong.

    Without the database, which has the key, it goes unsigned: an answer is better than none.
    """
    if refusal.status == _UNAVAILABLE or not isinstance(refusal.body, bytes):
        return
    try:
        async with request.app[DATABASE].transaction() as conn:
            headers = await signature_headers(
                conn, refusal.body, request.app[SETTINGS], clock.now()
            )
    except _DATABASE_ERRORS as error:
        structlog.get_logger().warning("refusal not signed", error=describe_error(error))
        return
    refusal.headers.update(headers)


def _error(status: int, code: str, message: str) -> web.Response:
    reason = {"domain": "opendsr", "reason": code, "message": message}
    document = {"error": {"code": status, "message": message, "errors": [reason]}}
    return web.Response(
        status=status, body=orjson.dumps(document), content_type=JSON, headers=_NO_STORE
    )


async def _answer(
    conn: AsyncConnection, request: web.Request, document: Mapping[str, Any], status: int = 200
) -> web.Response:
    body, headers = await signed(conn, document, request.app[SETTINGS], clock.now())
    return web.Response(status=status, body=body, headers={**headers, **_NO_STORE})


def _subject_request_id(request: web.Request) -> str:
    return parse_uuid(request.match_info["subject_request_id"], "subject_request_id")


async def _audit(
    conn: AsyncConnection, caller: public.Caller, operation: str, subject_request_id: str
) -> None:
    known = await operations.get_controllers_request(conn, caller, subject_request_id)
    await public.record_audit_entry(
        conn,
        caller,
        operation,
        now=clock.now(),
        app_id=known.app_id,
        target_type="request",
        target_id=known.request_id,
    )
