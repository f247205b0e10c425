"""Requests from browsers: POST /consent/collect with a request's event."""

from functools import partial
from typing import Any

from aiohttp import web

from audience import public
from audience.errors import Forbidden, NotFound
from audience.server import clock
from audience.server.keys import DATABASE, SETTINGS
from audience.server.rate_limit import RateLimit, client_address
from consent.data_subject_requests.intake.operations import check_origin, receive_request
from consent.data_subject_requests.intake.received import parse_received
from consent.data_subject_requests.texts import best_language, known_language
from consent.decisions.collected import analytics_visitor_id
from consent.decisions.handlers import origin_host

#: From one address, beside the limit of everything that is collected. Addresses are kept in memory
#: only, so each worker counts alone and allows its share.
REQUESTS_PER_MINUTE = 10
REQUEST_LIMIT = web.AppKey("request_limit", RateLimit)


async def collect_request(request: web.Request, body: dict[str, Any]) -> web.Response:
    """POST /consent/collect with event view_data, change_data or delete_data -> 204, stored.

    The same answer in the same time whether or not the e-mail is known. 400 malformed (the text
    names the field), 403 unknown app or a host name it does not collect from, 429 too many from
    one address, from one e-mail or to one app: nothing is stored.  Source: contract L1, L3, E4.6.
    """
    settings = request.app[SETTINGS]
    request.app[REQUEST_LIMIT].check(client_address(request, settings.trusted_proxies))
    # What is remembered of e-mails that were collected makes known ones quicker to check.
    check = partial(public.check_email_afresh, is_test=settings.allow_test_emails)
    received = parse_received(body, check, analytics_visitor_id)
    language = known_language(received.language) or best_language(
        request.headers.get("Accept-Language")
    )
    async with request.app[DATABASE].transaction() as conn:
        try:
            app = await public.get_app(conn, received.app_id)
        except NotFound:
            message = "Forbidden"
            raise Forbidden(message) from None
        await check_origin(conn, received, origin_host(request))
        await receive_request(conn, app, received, language, clock.now())
    return web.Response(status=204)
