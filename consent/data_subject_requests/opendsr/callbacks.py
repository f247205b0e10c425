"""The job that tells controllers when the status of their requests changes."""

from datetime import datetime

import aiohttp
import structlog
from aiohttp import web

from audience.server import clock
from audience.server.keys import DATABASE, SETTINGS
from audience.server.log import describe_error
from consent.data_subject_requests import storage as requests
from consent.data_subject_requests.mails.operations import MAX_TRIES, pause_after
from consent.data_subject_requests.opendsr import storage
from consent.data_subject_requests.opendsr.addresses import open_public_socket
from consent.data_subject_requests.opendsr.operations import status_document
from consent.data_subject_requests.opendsr.signed import signed
from consent.data_subject_requests.opendsr.storage import Callback

_STEP = 100
_TIMEOUT = aiohttp.ClientTimeout(total=15)
_REDIRECTION = 300


async def report_some(app: web.Application) -> bool:
    """One step: note what has changed, and send one callback; True when one was due.

    Killed in the middle, the callback is sent once more after a pause.
    """
    now = clock.now()
    async with app[DATABASE].transaction() as conn:
        for request, status in await storage.list_changed(conn, _STEP):
            await storage.save_reported_status(conn, request, status)
            for url in request.callback_urls:
                await storage.insert_callback(
                    conn,
                    Callback(
                        request.app_id, clock.new_id(), request.request_id, url, status, now, now
                    ),
                )
    return await _send_one(app, now)


async def _send_one(app: web.Application, now: datetime) -> bool:
    async with app[DATABASE].transaction() as conn:
        callback = await storage.find_due_callback(conn, now)
        if callback is None:
            return False
        await storage.count_try(conn, callback, now + pause_after(callback.try_count + 1))
        known = await storage.find_request_of(conn, callback.app_id, callback.request_id)
        request = await requests.find_request(conn, callback.request_id)
        if known is None or request is None:
            await storage.delete_callback(conn, callback)
            return True
        settings = app[SETTINGS]
        document = status_document(known, request, callback.request_status, settings.origin)
        document["status_callback_url"] = callback.url
        body, headers = await signed(conn, document, settings, now)
    is_taken = await _post(callback, body, headers, may_be_private=settings.allow_private_callbacks)
    if is_taken or callback.try_count + 1 >= MAX_TRIES:
        async with app[DATABASE].transaction() as conn:
            await storage.delete_callback(conn, callback)
    return True


async def _post(
    callback: Callback, body: bytes, headers: dict[str, str], *, may_be_private: bool
) -> bool:
    """Whether the controller took the callback: any 2xx; redirects are not followed.

    may_be_private: the operator allows addresses of private networks.
    """
    problem: str
    # The factory sees the very address that is connected to; a proxy would hide it.
    connector = aiohttp.TCPConnector(socket_factory=None if may_be_private else open_public_socket)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=_TIMEOUT, trust_env=False
            ) as session,
            session.post(callback.url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            if answer.status < _REDIRECTION:
                return True
            problem = f"status {answer.status}"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        problem = describe_error(error)
    structlog.get_logger().warning(
        "callback not taken",
        callback=callback.callback_id,
        tries=callback.try_count + 1,
        error=problem,
    )
    return False
