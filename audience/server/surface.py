"""What happens around every public request: request id, errors, CORS, metrics, one log line."""

import itertools
import secrets
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from audience.errors import DomainError, Unavailable
from audience.server.cors import ANY_ORIGIN, preflight
from audience.server.error_response import http_error, plain_text, text_error
from audience.server.log import RequestLog, describe_error
from audience.server.metrics import count_request

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_NOT_FOUND = 404
_SERVER_ERRORS = 500


class SlashedPath(web.PlainResource):
    """Finds the route of a path with doubled slashes, without a redirect (contract D0.11).

    Stands at `/`, so that the router asks it last: a well-formed path never gets here.
    """

    def __init__(self, router: web.UrlDispatcher) -> None:
        """router: where the collapsed path is looked up."""
        super().__init__("/")
        self._router = router

    async def resolve(
        self, request: web.Request
    ) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        """The match of the path with single slashes, if it had doubled ones."""
        path = request.rel_url.raw_path
        if "//" not in path:
            return None, set()
        while "//" in path:
            path = path.replace("//", "/")
        url = request.rel_url.with_path(path, encoded=True, keep_query=True)
        match = await self._router.resolve(request.clone(rel_url=url))
        is_unknown = match.http_exception is not None and match.http_exception.status == _NOT_FOUND
        return (None if is_unknown else match), set()


def public_surface() -> Middleware:
    """The one middleware of the service.

    Every answer carries CORS and a request id; every refusal is text/plain; a preflight of any path
    is answered 204; nothing of the request but method, route and id is logged.
    """
    log = RequestLog()
    # Unique per process without asking the system for randomness each time.
    prefix, counter = secrets.token_hex(4), itertools.count()

    @web.middleware
    async def surround(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request_id = f"{prefix}{next(counter):08x}"
        # The handler's name is the label: a path may hold a visitor ID.
        route = getattr(request.match_info.handler, "__name__", "unknown")
        try:
            if request.method == "OPTIONS":
                route = "preflight"
                response: web.StreamResponse = preflight(request)
            else:
                response = await handler(request)
        except web.HTTPException as error:
            response = http_error(error)
            route = "unmatched" if request.match_info.http_exception is not None else route
        except Exception as error:  # noqa: BLE001 - the caller gets an answer whatever happens
            response = _refuse(error, request_id, route)
        response.headers["X-Request-Id"] = request_id
        response.headers["Access-Control-Allow-Origin"] = ANY_ORIGIN
        seconds = time.perf_counter() - started
        count_request(route, response.status, seconds)
        log.write(request_id, _known(request.method), route, response.status, seconds * 1000)
        return response

    return surround


def _known(method: str) -> str:
    return method if method in hdrs.METH_ALL else "OTHER"


def _refuse(error: Exception, request_id: str, route: str) -> web.Response:
    """The answer to a request that failed; what the operator must know of it is logged."""
    log = structlog.get_logger()
    if isinstance(error, DomainError):
        if isinstance(error, Unavailable) and error.__cause__ is not None:
            cause = describe_error(error.__cause__)
            log.warning("unavailable", request_id=request_id, route=route, error=cause)
        return text_error(error)
    # Not the traceback: its text may carry values.
    log.error("failed", request_id=request_id, route=route, error=describe_error(error))
    text = f"Internal Server Error: please report request {request_id}"
    return plain_text(_SERVER_ERRORS, text)
