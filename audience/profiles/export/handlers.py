"""POST /api/audiences/v1/profiles/: the profiles of an audience, streamed (contract D3.2)."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import asyncpg
import structlog
from aiohttp import web

from audience.apps.access import access_app, caller_of
from audience.apps.audit.operations import record_audit_entry
from audience.errors import Unavailable
from audience.profiles.export.columns import Column
from audience.profiles.export.operations import Export, prepare_export, stream_export
from audience.profiles.export.schemas import CSV, ExportBody
from audience.profiles.export.stream import ExportStream, accepts_gzip
from audience.server import clock
from audience.server.json_api import read_body
from audience.server.keys import DATABASE
from audience.server.log import describe_error
from audience.server.openapi import described

#: Exports of one process at a time: each holds a connection and reads as fast as it can.
MAX_EXPORTS = 2
_SLOTS = web.AppKey("export_slots", asyncio.Semaphore)
#: An export that takes longer is given up.
_LONGEST_SECONDS = 3600
_LOOK_FOR_CLIENT_SECONDS = 0.25
_CLOSE_WITHIN_SECONDS = 5


async def hold_exports(app: web.Application) -> AsyncIterator[None]:
    """Bounds the exports of this process while the service runs."""
    app[_SLOTS] = asyncio.Semaphore(MAX_EXPORTS)
    yield


@described(body=ExportBody, answer_type="text/csv")
async def export_profiles(request: web.Request) -> web.StreamResponse:
    """POST /api/audiences/v1/profiles/ -> 200, streamed: CSV with a header row, or a JSON array.

    Ordered by profile id; compressed when the client takes gzip. CSV: every value in quotes, lists
    as JSON text, missing ones empty; a text that a spreadsheet would run as a formula begins with
    an apostrophe unless `formula_guard` is false. Columns of one name in two field types are called
    `<field type>.<name>`. Nothing is sent when the audience is unknown (404), has more than
    1,000,000 profiles (400) or two exports are running (503). A stream that fails is cut off, so
    that nobody takes it for whole; a client that goes away ends the query.
    """
    body = await read_body(request, ExportBody)
    caller = caller_of(request)
    wanted = Export(
        body["website_id"],
        body["audience_id"],
        [Column(column["field_type"], column["name"]) for column in body["columns"]],
        is_csv=body["format"] == CSV,
        is_guarded=body["formula_guard"],
    )
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, wanted.app_id)
        await record_audit_entry(
            conn,
            caller,
            "export_profiles",
            now=clock.now(),
            app_id=wanted.app_id,
            target_type="audience",
            target_id=wanted.audience_id,
        )
    slots = request.app[_SLOTS]
    if slots.locked():
        message = f"{MAX_EXPORTS} exports are running, try again when one is done"
        raise Unavailable(message)
    async with slots:
        driver = await request.app[DATABASE].connect()
        try:
            return await _export(request, driver, wanted)
        finally:
            await driver.close(timeout=_CLOSE_WITHIN_SECONDS)


async def _export(
    request: web.Request, driver: asyncpg.Connection, wanted: Export
) -> web.StreamResponse:
    response = _response(request, wanted)
    try:
        # One snapshot, so that the rows are those that were counted.
        async with driver.transaction(isolation="repeatable_read", readonly=True):
            columns = await prepare_export(driver, wanted)
            await response.prepare(request)
            is_gzip = "Content-Encoding" in response.headers
            stream = ExportStream(response.write, is_gzip=is_gzip)
            async with asyncio.timeout(_LONGEST_SECONDS):
                copying = stream_export(driver, wanted, columns, stream.write)
                await _unless_client_goes(request, copying)
                await stream.finish()
    except Exception as error:
        if not response.prepared:
            raise
        # The beginning is sent already: only a cut connection says that the rest is missing.
        structlog.get_logger().warning("export failed", error=describe_error(error))
        if request.transport is not None:
            request.transport.abort()
    return response


def _response(request: web.Request, wanted: Export) -> web.StreamResponse:
    kind = "csv" if wanted.is_csv else "json"
    media_type = "text/csv" if wanted.is_csv else "application/json"
    headers = {
        "Content-Type": f"{media_type}; charset=utf-8",
        "Content-Disposition": f'attachment; filename="audience-{wanted.audience_id}.{kind}"',
        "Cache-Control": "no-store",
        "Vary": "Accept-Encoding",
    }
    if accepts_gzip(request.headers.get("Accept-Encoding", "")):
        headers["Content-Encoding"] = "gzip"
    return web.StreamResponse(headers=headers)


async def _unless_client_goes(request: web.Request, copying: Coroutine[Any, Any, None]) -> None:
    """Wait for the copying; give it up, and with it the query, when the client has gone.

    Errors: ConnectionResetError for a client that has gone, and those of the copying.
    """
    task = asyncio.create_task(copying)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_FOR_CLIENT_SECONDS)
            if request.transport is None or request.transport.is_closing():
                message = "the client went away"
                raise ConnectionResetError(message)
        await task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            # Whatever it was, it came of the client's going; asked for, so that nobody warns of it.
            task.exception()
