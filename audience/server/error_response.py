"""Errors of the public surface: short text/plain, never JSON, never empty (contract D1.14, F)."""

from aiohttp import web

from audience.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnsupportedType,
)

STATUS_OF: dict[type[DomainError], int] = {
    Invalid: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    UnsupportedType: 415,
    TooManyRequests: 429,
    Unavailable: 503,
}
_WITH_TITLE = {400: "Bad Request", 413: "Payload Too Large"}


def status_of(error: DomainError) -> int:
    """The HTTP status of a refusal, on every surface."""
    return next((status for kind, status in STATUS_OF.items() if isinstance(error, kind)), 500)


def add_retry_after(response: web.Response, error: DomainError) -> web.Response:
    """The response, with Retry-After when the same request may work later."""
    if isinstance(error, Unavailable | TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def text_error(error: DomainError) -> web.Response:
    """The answer to a refused public request."""
    status = status_of(error)
    title = _WITH_TITLE.get(status)
    response = plain_text(status, f"{title}: {error.message}" if title else error.message)
    return add_retry_after(response, error)


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
