"""What happens around every public request: request id, errors, CORS, metrics, one log line."""

import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from sqlalchemy.exc import SQLAlchemyError

from audience.errors import DomainError, Unavailable
from audience.server.cors import ANY_ORIGIN, preflight
from audience.server.database import CONNECTION_ERRORS, unavailable
from audience.server.error_response import http_error, plain_text, text_error
from audience.server.log import RequestLog, describe_error
from audience.server.metrics import count_request
from audience.server.ready_response import REQUEST_ID, ReadyResponse

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


@dataclass(frozen=True, slots=True)
class Surface:
    """How one part of the service refuses: below `prefix`, without CORS.

    refuse: the answer to an expected refusal; fail: (status, code, text) to any other; seal: is
    given either before it is sent, to add what only its final bytes tell. It raises nothing.
    """

    prefix: str
    refuse: Callable[[web.Request, DomainError], web.Response]
    fail: Callable[[int, str, str], web.Response]
    seal: Callable[[web.Request, web.Response], Awaitable[None]] | None = None

    def holds(self, path: str) -> bool:
        """Whether the path, perhaps with doubled slashes, is below the prefix."""
        while "//" in path:
            path = path.replace("//", "/")
        return path.startswith(self.prefix)


def all_surfaces(private: Sequence[Surface], private_routes: Collection[str]) -> Middleware:
    """The one middleware of the service.

    Every answer carries a request id. On the public surface every answer also carries CORS, every
    refusal is text/plain and a preflight of any path is answered 204; the private ones refuse in
    forms of their own. Nothing of the request but method, route and id is logged.
    private_routes: the names of the private surfaces' handlers.
    """
    log = RequestLog()
    private_names = frozenset(private_routes)
    # Unique per process without asking the system for randomness each time.
    prefix, counter = secrets.token_hex(4), itertools.count()

    @web.middleware
    async def surround(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request_id = f"{prefix}{next(counter):08x}"
        surface: Surface | None = None
        # The handler's name is the label: a path may hold a visitor ID.
        route = getattr(handler, "__name__", "unknown")
        try:
            if request.method == "OPTIONS" and _surface_of(request, private) is None:
                route = "preflight"
                response: web.StreamResponse = preflight(request)
            else:
                response = await handler(request)
        except web.HTTPException as error:
            surface = _surface_of(request, private)
            response = await _refuse_http(request, error, surface)
            route = "unmatched" if request.match_info.http_exception is not None else route
        except Exception as error:  # noqa: BLE001 - the caller gets an answer whatever happens
            surface = _surface_of(request, private)
            refusal = _refuse(request, error, request_id, route, surface)
            response = await _seal(request, refusal, surface)
        if type(response) is ReadyResponse:
            response.request_id = request_id
        elif not response.prepared:
            # A prepared one is a stream, which has sent its headers already.
            response.headers[REQUEST_ID] = request_id
            if surface is None and route not in private_names:
                response.headers["Access-Control-Allow-Origin"] = ANY_ORIGIN
        seconds = time.perf_counter() - started
        count_request(route, response.status, seconds)
        log.write(request_id, _known(request.method), route, response.status, seconds * 1000)
        return response

    return surround


def _known(method: str) -> str:
    return method if method in hdrs.METH_ALL else "OTHER"


def _surface_of(request: web.Request, private: Sequence[Surface]) -> Surface | None:
    """The private surface that the request asks, or None for the public one."""
    path = request.rel_url.raw_path
    return next((surface for surface in private if surface.holds(path)), None)


async def _refuse_http(
    request: web.Request, error: web.HTTPException, surface: Surface | None
) -> web.Response:
    if surface is None:
        return http_error(error)
    return await _seal(request, _private_http(surface, error), surface)


async def _seal(
    request: web.Request, refusal: web.Response, surface: Surface | None
) -> web.Response:
    if surface is not None and surface.seal is not None:
        await surface.seal(request, refusal)
    return refusal


def _private_http(surface: Surface, error: web.HTTPException) -> web.Response:
    response = surface.fail(error.status, _http_code(error.status), f"{error.reason}")
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _http_code(status: int) -> str:
    return {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(status, "refused")


def _refuse(
    request: web.Request, error: Exception, request_id: str, route: str, surface: Surface | None
) -> web.Response:
    """The answer to a request that failed; what the operator must know of it is logged."""
    log = structlog.get_logger()
    if isinstance(error, DomainError):
        if isinstance(error, Unavailable) and error.__cause__ is not None:
            cause = describe_error(error.__cause__)
            log.warning("unavailable", request_id=request_id, route=route, error=cause)
        return text_error(error) if surface is None else surface.refuse(request, error)
    if surface is not None and isinstance(error, (*CONNECTION_ERRORS, SQLAlchemyError)):
        # The authorized surface's transactions are SQLAlchemy's, whose errors wrap asyncpg's.
        below = getattr(error, "orig", None) or error
        is_lost = getattr(error, "connection_invalidated", False)
        if is_lost or isinstance(below, CONNECTION_ERRORS):
            return _refuse(request, unavailable(below), request_id, route, surface)
    # Not the traceback: its text may carry values.
    log.error("failed", request_id=request_id, route=route, error=describe_error(error))
    text = f"Internal Server Error: please report request {request_id}"
    if surface is not None:
        return surface.fail(_SERVER_ERRORS, "server_error", text)
    return plain_text(_SERVER_ERRORS, text)
