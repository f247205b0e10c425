"""The page behind a confirmation's link: /privacy/confirm/{link}.

Looking at it changes nothing, because mail scanners open links: only the button's POST does.
"""

from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import DomainError, NotFound
from audience.server import clock
from audience.server.error_response import add_retry_after, status_of
from audience.server.keys import DATABASE
from audience.server.request_body import read_form
from consent.data_subject_requests.storage import DataSubjectRequest
from consent.data_subject_requests.texts import best_language, day, known_language, text
from consent.data_subject_requests.verification.operations import (
    SENT,
    TOO_MANY,
    confirm_by_code,
    look_at_link,
    send_again,
)
from consent.data_subject_requests.verification.page import (
    ACTION,
    CODE,
    HEADERS,
    SEND_AGAIN,
    code_page,
    note_page,
)
from consent.data_subject_requests.verification.proof import (
    EXPIRED,
    LOCKED,
    UNKNOWN,
    USED,
    VALID_MINUTES,
    VERIFIED,
    WAITING,
    WRONG_CODE,
    Proof,
)

_STATUS = {
    WAITING: 200,
    VERIFIED: 200,
    USED: 200,
    SENT: 200,
    WRONG_CODE: 400,
    LOCKED: 403,
    EXPIRED: 410,
    TOO_MANY: 429,
    UNKNOWN: 404,
}
_MAX_FORM_CHARACTERS = 100
_NOT_FOUND = 404
_GONE = "gone"


async def show_confirmation(request: web.Request) -> web.Response:
    """GET /privacy/confirm/{link} -> 200, the page that asks for the code of the mail.

    410 when the link has expired, 403 when it is locked, 404 when there is none. Changes nothing.
    """
    async with request.app[DATABASE].transaction() as conn:
        found = await look_at_link(conn, request.match_info["link"], clock.now())
        return await _answer(conn, request, *found)


async def confirm_request(request: web.Request) -> web.Response:
    """POST /privacy/confirm/{link} -> 200, the requester's e-mail is proved by the code.

    Form fields: code; or action=send_again for a new mail in place of an expired one. 400 wrong
    code, 403 locked, 404 no such link, 410 expired, 429 no further mail.  On repeat: 200.
    """
    given = await read_form(request)
    link, now = request.match_info["link"], clock.now()
    async with request.app[DATABASE].transaction() as conn:
        if given.get(ACTION) == SEND_AGAIN:
            return await _answer(conn, request, await send_again(conn, link, now))
        code = given.get(CODE, "")[:_MAX_FORM_CHARACTERS]
        return await _answer(conn, request, *await confirm_by_code(conn, link, code, now))


async def _answer(
    conn: AsyncConnection,
    request: web.Request,
    state: str,
    found: DataSubjectRequest | None = None,
    proof: Proof | None = None,
) -> web.Response:
    language = _language(request, found)
    values: dict[str, Any] = {"minutes": VALID_MINUTES}
    if found is not None:
        app = await public.get_app(conn, found.app_id)
        values |= {
            "site": app.name,
            "date": day(found.received_at, app.timezone),
            "due": day(found.due_at, app.timezone),
            "what": text(language, f"what_{found.request_type}"),
        }
    if state in (WAITING, WRONG_CODE):
        tries_left = proof.tries_left if proof is not None and state == WRONG_CODE else None
        page = code_page(language, values, tries_left)
    else:
        page = note_page(language, state, values)
    return _html(_STATUS[state], page, language)


def refuse_page(request: web.Request, error: DomainError) -> web.Response:
    """The page for a request that failed as expected: database away, form too large.

    NotFound is what a download's link says once it leads nowhere any more.
    """
    language = _language(request, None)
    state = _GONE if isinstance(error, NotFound) else "failed"
    response = _html(status_of(error), note_page(language, state, {}), language)
    return add_retry_after(response, error)


def fail_page(status: int, _code: str, _detail: str) -> web.Response:
    """The page for anything else: no such page, wrong method, a failure of ours."""
    state = UNKNOWN if status == _NOT_FOUND else "failed"
    return _html(status, note_page("en", state, {}), "en")


def _language(request: web.Request, found: DataSubjectRequest | None) -> str:
    wanted = known_language(request.query.get("language"))
    if wanted is not None:
        return wanted
    if found is not None:
        return known_language(found.language) or "en"
    return best_language(request.headers.get("Accept-Language"))


def _html(status: int, page: str, language: str) -> web.Response:
    return web.Response(
        status=status, body=page.encode(), headers={**HEADERS, "Content-Language": language}
    )
