"""GET /healthz and GET /readyz: is the process alive, can it serve."""

import asyncio

import structlog
from aiohttp import web

from audience.errors import Unavailable
from audience.server.error_response import plain_text
from audience.server.keys import DATABASE
from audience.server.log import describe_error
from audience.server.migrations import head_revision, stored_revision

_READY_WITHIN_SECONDS = 3


async def healthz(_request: web.Request) -> web.Response:
    """GET /healthz -> 200 as long as the process answers."""
    return plain_text(200, "ok")


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz -> 200 when the database answers and its migrations are at head, else 503."""
    try:
        async with asyncio.timeout(_READY_WITHIN_SECONDS):
            async with request.app[DATABASE].transaction() as conn:
                stored = await stored_revision(conn)
    except Exception as error:  # noqa: BLE001 - whatever it is, the service is not ready
        structlog.get_logger().warning("not ready", error=describe_error(error))
        message = "Service Unavailable: the database does not answer"
        raise Unavailable(message) from None
    head = head_revision()
    if stored != head:
        message = (
            f"Service Unavailable: the database is at migration {stored or 'none'}, the service "
            f"needs {head}; run `audience-consent migrate`"
        )
        raise Unavailable(message)
    return plain_text(200, "ready")
