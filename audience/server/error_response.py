"""Errors of the public surface: short text/plain, never JSON, never empty (contract D1.14, F)."""

from aiohttp import web

from audience.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    NotFound,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

_STATUS: dict[type[DomainError], int] = {
    Invalid: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Unavailable: 503,
}
_WITH_TITLE = {400: "Bad Request", 413: "Payload Too Large"}


def text_error(error: DomainError) -> web.Response:
    """The answer to a refused public request."""
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    title = _WITH_TITLE.get(status)
    response = plain_text(status, f"{title}: {error.message}" if title else error.message)
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def http_error(error: web.HTTPException) -> web.Response:
    """Aiohttp's own refusals (unknown path, wrong method, body too large) in the same form."""
    if error.status == 413:  # noqa: PLR2004 - Payload Too Large
        text = "Payload Too Large: the body may have at most 1 MiB, also after inflating"
    else:
        text = f"{error.reason}"
    response = plain_text(error.status, text)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def plain_text(status: int, text: str) -> web.Response:
    """A text/plain answer that no cache keeps."""
    return web.Response(
        status=status,
        text=text + "\n",
        content_type="text/plain",
        charset="utf-8",
        headers={"Cache-Control": "no-store"},
    )
