"""POST /consent/collect: decisions and form events from browsers."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from audience import public
from audience.server import metrics
from audience.server.batcher import Batcher
from audience.server.keys import DATABASE, SETTINGS
from audience.server.rate_limit import RateLimit, client_address
from audience.server.ready_response import ReadyResponse, ResponseHead
from audience.server.request_body import read_json
from consent.decisions.app_batch import Collect
from consent.decisions.collected import parse_collected
from consent.decisions.operations import CollectResult, find_visitor_consents
from consent.decisions.writer import make_writer

_COLLECTS = web.AppKey("collects", Batcher[Collect, CollectResult])
_RATE_LIMIT = web.AppKey("collect_rate_limit", RateLimit)
EventHandler = Callable[[web.Request, dict[str, Any]], Awaitable[web.Response]]
#: {event: what answers it} of the events that other features take (contract L3).
OTHER_EVENTS = web.AppKey("other_events", dict[str, EventHandler])
#: Requests in one batch: keeps a batch's transaction short.
_MAX_BATCH = 500
_NO_CONTENT = ResponseHead(204, {})


async def hold_collects(app: web.Application) -> AsyncIterator[None]:
    """Coalesces collected requests on one connection while the service runs."""
    public.use_visitor_consents(find_visitor_consents)
    writer = make_writer(app[DATABASE].hold())
    app[_RATE_LIMIT] = RateLimit(app[SETTINGS].collect_per_minute, time.monotonic)
    app[_COLLECTS] = Batcher[Collect, CollectResult](
        writer.write,
        max_weight=_MAX_BATCH,
        on_batch=metrics.batch_counter("collects"),
        settle=writer.locks.settle,
    )
    writer.locks.has_waiting = app[_COLLECTS].has_waiting
    writer.take_also = app[_COLLECTS].take_also
    yield
    await app[_COLLECTS].close()
    await writer.close()


async def collect(request: web.Request) -> web.StreamResponse:
    """POST /consent/collect -> 204 once it is stored for good, and for a repetition.

    Body: see `collected.py` (data subject requests: `intake/received.py` of their feature), JSON
    whatever the Content-Type says. 400 malformed (the text names the field), 403 unknown app or a
    host name it does not collect from, 413 too large, 429 too many from one address, 503 overload
    or database away: nothing is stored.
    On repeat: with the same decisionId, or the same full state within 5 s, nothing.
    Source: contract L1-L5; issue "The consent service", items 1 and 8.
    """
    request.app[_RATE_LIMIT].check(client_address(request, request.app[SETTINGS].trusted_proxies))
    collects = request.app[_COLLECTS]
    await collects.turn()
    body = await read_json(request)
    event = body.get("event") if isinstance(body, dict) else None
    if isinstance(event, str) and event in request.app[OTHER_EVENTS]:
        return await request.app[OTHER_EVENTS][event](request, body)
    is_gpc_signalled = request.headers.get("Sec-GPC") == "1"
    collected = parse_collected(body, is_gpc_signalled=is_gpc_signalled)
    refusal = await collects.submit(Collect(collected, origin_host(request)))
    if refusal is not None:
        raise refusal
    return ReadyResponse(_NO_CONTENT)


def origin_host(request: web.Request) -> str | None:
    """The host of the Origin header; of an opaque one (`null`) the empty string."""
    origin = request.headers.get("Origin")
    if origin is None:
        return None
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""
