"""The busiest routes, found by their whole path in one look-up before the router tries its own.

aiohttp's router tries patterns and makes objects on the way; a tenth of the time of a read goes
there. Everything that is not exactly a hot path goes to the router as before, so this is only about
speed: the router knows the hot routes too.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from aiohttp.web_protocol import RequestHandler

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SLASH = "/"


class HotRoutes:
    """Paths without a parameter, or with one as the segment after `/profiles/`."""

    def __init__(self, app: web.Application, surround: Middleware) -> None:
        """surround: the application's one middleware."""
        self._app = app
        self._surround = surround
        self._fixed: dict[tuple[str, str], web.UrlMappingMatchInfo] = {}
        self._with_id: dict[tuple[str, str, str], tuple[str, web.AbstractRoute]] = {}

    def add(self, method: str, path: str, route: web.AbstractRoute) -> None:
        """Find the route quickly, with and without slash at the end.

        path: as registered, like `/a/b` or `/a/profiles/{name}/b`.
        """
        before, brace, rest = path.partition("{")
        name, _, after = rest.partition("}")
        for slash in ("", _SLASH):
            if brace:
                self._with_id[method, before, after + slash] = (name, route)
            else:
                # Nothing in it is the request's, so all requests may share it.
                self._fixed[method, path + slash] = self._match({}, route)

    def before(self, otherwise: Answer) -> Answer:
        """Answers hot requests, passes others on.

        otherwise: the application, which asks its router.
        """
        fixed, with_id, surround = self._fixed, self._with_id, self._surround

        async def answer(request: web.Request) -> web.StreamResponse:
            path = request.raw_path.partition("?")[0]
            match = fixed.get((request.method, path))
            if match is None:
                start, marker, rest = path.partition("/profiles/")
                value, _, end = rest.partition(_SLASH)
                found = with_id.get((request.method, start + marker, _SLASH + end))
                # An escaped value is the router's to read.
                if found is None or not value or "%" in value:
                    return await otherwise(request)
                match = self._match({found[0]: value}, found[1])
            if hdrs.EXPECT in request.headers:
                return await otherwise(request)
            # What the application does with what its router found.
            request._match_info = match  # noqa: SLF001
            return await surround(request, match.handler)

        return answer

    def _match(self, values: dict[str, str], route: web.AbstractRoute) -> web.UrlMappingMatchInfo:
        match = web.UrlMappingMatchInfo(values, route)
        match.add_app(self._app)
        match.freeze()
        return match


HOT_ROUTES = web.AppKey("hot_routes", HotRoutes)


#: Every so manieth request has a task of its own: it gives way to all others, while a connection
#: that sends one request behind the other would be served without a pause.
_OTHERS_TURN = 16


class _OneTaskLoop:
    """The loop of a server's connections, in which a request needs no task of its own.

    aiohttp starts one for each request, so that the context variables of one request are unknown to
    the next one; there are none here. The connection's task waits for it anyway, so it may as well
    do it. (Newer Pythons begin such tasks at once; there aiohttp asks for that.)
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._count = 0
        # What is asked for with each request is found without a detour.
        self.time, self.create_future = loop.time, loop.create_future

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def create_task(self, coroutine: Coroutine[Any, Any, Any], **options: Any) -> Awaitable[Any]:
        """A task; of the handling of a request the coroutine itself, which can be awaited too."""
        if coroutine.__name__ == _HANDLING:  # type: ignore[attr-defined]
            self._count += 1
            if self._count % _OTHERS_TURN:
                return coroutine
        return self._loop.create_task(coroutine, **options)


_HANDLING = RequestHandler._handle_request.__name__  # noqa: SLF001


class HotRunner(web.AppRunner):
    """Runs an application with its hot routes in front of its router."""

    async def setup(self) -> None:
        """As that of every runner."""
        await super().setup()
        assert self.server is not None  # noqa: S101 - made by setup
        if sys.version_info < (3, 12):
            self.server._loop = _OneTaskLoop(self.server._loop)  # type: ignore[assignment]  # noqa: SLF001
        self.server.request_handler = self.app[HOT_ROUTES].before(self.server.request_handler)  # type: ignore[assignment]
