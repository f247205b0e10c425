"""Reading bodies: bounded, inflated, JSON whatever the Content-Type says (contract D1.13)."""

import asyncio
from typing import Any

import orjson
from aiohttp import ClientError, web
from aiohttp.http_exceptions import HttpProcessingError

from audience.errors import Invalid, TooLarge

#: Longest body, before and after inflating.
MAX_BODY_BYTES = 1024 * 1024
#: A body that trickles in does not hold a connection for longer.
READ_WITHIN_SECONDS = 20
_MAX_DRAINED_BYTES = 8 * 1024 * 1024


async def read_json(request: web.Request) -> Any:
    """The body as JSON.  Errors: as `read_body` and `parse_json`."""
    return parse_json(await read_body(request))


async def read_body(request: web.Request) -> bytes:
    """The body; can be read once.

    A gzip or deflate body is inflated while it is read and refused as soon as it is too large.
    Errors: Invalid when it can't be inflated, is empty or does not arrive; TooLarge past 1 MiB.
    """
    try:
        if request.content.is_eof():
            # All of it has arrived with the headers, as the bodies of most writes.
            body = request.content.read_nowait()
        else:
            async with asyncio.timeout(READ_WITHIN_SECONDS):
                body = await request.read()
    except TimeoutError:
        message = f"the body did not arrive within {READ_WITHIN_SECONDS} seconds"
        raise Invalid(message) from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except (ClientError, HttpProcessingError, web.RequestPayloadError, ValueError) as error:
        message = "the body could not be read: its Content-Encoding and its content do not match"
        raise Invalid(message) from error
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    if not body:
        message = "the body is empty, expected a JSON array of items"
        raise Invalid(message)
    return body


async def read_form(request: web.Request) -> dict[str, str]:
    """The text fields of an HTML form's body; the last one of a name counts.

    Errors: Invalid when it can't be decoded as it says, TooLarge past 1 MiB.
    """
    try:
        form = await request.post()
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        # Some charsets make halves of surrogate pairs, which nothing could store or hash.
        "".join([*fields, *fields.values()]).encode()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except (ClientError, HttpProcessingError, web.RequestPayloadError, ValueError, LookupError):
        # LookupError: a charset that nobody knows. Not the error itself: it carries the body.
        message = "the body is not a form in the encoding that its Content-Type names"
        raise Invalid(message) from None
    return fields


def parse_json(body: bytes) -> Any:
    """The JSON of a body, with or without a byte order mark.  Errors: Invalid saying where."""
    try:
        return orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        message = f"the body is not valid JSON (line {error.lineno}, column {error.colno})"
        raise Invalid(message) from None


def _too_large() -> TooLarge:
    return TooLarge("the body may have at most 1 MiB, also after inflating")


async def drain(request: web.Request) -> None:
    """Read the body and forget it, at most 8 MiB; past that the connection is closed."""
    seen = 0
    try:
        async for chunk in request.content.iter_chunked(65536):
            seen += len(chunk)
            if seen > _MAX_DRAINED_BYTES:
                request.protocol.force_close()
                return
    except (ClientError, HttpProcessingError, web.RequestPayloadError):
        request.protocol.force_close()
