"""Downloading access exports: by the link of the mail, and by the privacy team."""

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial

import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import NotFound
from audience.server import clock
from audience.server.database import Database
from audience.server.keys import DATABASE
from audience.server.log import describe_error
from audience.server.openapi import described
from consent.data_subject_requests import storage as requests
from consent.data_subject_requests.execution import storage as executions
from consent.data_subject_requests.execution.access import SECTIONS
from consent.data_subject_requests.execution.composers import hash_of_link
from consent.data_subject_requests.execution.exports import storage
from consent.data_subject_requests.execution.exports.archive import About, make_archive
from consent.data_subject_requests.execution.exports.storage import Export
from consent.data_subject_requests.handling.handlers import access_request
from consent.data_subject_requests.operations import REQUESTER, note_event
from consent.data_subject_requests.storage import DataSubjectRequest
from consent.data_subject_requests.texts import day

_HEADERS = {
    "Content-Type": "application/zip",
    "Content-Disposition": 'attachment; filename="data.zip"',
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


async def download_by_link(request: web.Request) -> web.StreamResponse:
    """GET /privacy/exports/{secret} -> 200, the ZIP; for seven days.

    Each download is counted and in the request's history. 404 for a link that is unknown, expired
    or replaced by a newer mail's.
    """
    now = clock.now()
    async with request.app[DATABASE].transaction() as conn:
        link_hash = hash_of_link(request.match_info["secret"])
        export = await storage.find_export_by_link(conn, link_hash)
        about = None if export is None else await _open(conn, export, now)
        # Programs that check links in mails ask with HEAD: that is no download.
        if export is not None and about is not None and request.method != "HEAD":
            await _count(conn, export, REQUESTER, now)
    if export is None or about is None:
        message = "Not Found: the link is unknown or has expired"
        raise NotFound(message)
    return await _send(request, export, about)


@described()
async def download_export(request: web.Request) -> web.StreamResponse:
    """GET /api/privacy/v1/requests/{request_id}/export -> 200, the ZIP of an access request.

    For answers by letter. 404 before it is made, and seven days later.
    """
    caller, now, about = public.caller_of(request), clock.now(), None
    async with request.app[DATABASE].transaction() as conn:
        found, _ = await access_request(conn, request, is_locked=False)
        export = await storage.find_export(conn, found.app_id, found.request_id)
        if export is not None:
            about = await _open(conn, export, now)
        if export is not None and about is not None and request.method != "HEAD":
            await _count(conn, export, caller.name, now)
            await public.record_audit_entry(
                conn,
                caller,
                "download_export",
                now=now,
                app_id=export.app_id,
                target_type="request",
                target_id=found.request_id,
            )
    if export is None or about is None:
        message = f"there is no export of the request {found.request_id}"
        raise NotFound(message)
    return await _send(request, export, about)


async def _open(conn: AsyncConnection, export: Export, now: datetime) -> About | None:
    """What the export says of itself. None when there is none (yet, or any more)."""
    execution = await executions.find_execution(conn, export.app_id, export.request_id)
    found = await requests.find_request(conn, export.request_id)
    is_done = execution is not None and execution.completed_at is not None
    if found is None or execution is None or not is_done or export.expires_at <= now:
        return None
    site = await public.get_app(conn, export.app_id)
    return _about(found, site, execution.completed_at or now)


async def _count(conn: AsyncConnection, export: Export, actor: str, now: datetime) -> None:
    await storage.count_download(conn, export, now)
    found = await requests.find_request(conn, export.request_id)
    if found is not None:
        await note_event(conn, found, "downloaded", actor=actor, now=now)


def _about(found: DataSubjectRequest, site: public.App, made_at: datetime) -> About:
    return About(
        found.request_id,
        found.app_id,
        site.name,
        found.language,
        made_at,
        day(made_at, site.timezone),
        SECTIONS,
    )


async def _send(request: web.Request, export: Export, about: About) -> web.StreamResponse:
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    parts = partial(_parts, request.app[DATABASE], export)
    try:
        async for piece in make_archive(about, parts):
            if piece:
                await response.write(piece)
        await response.write_eof()
    except Exception as error:  # noqa: BLE001 - whatever it is, the rest is missing
        # The beginning is sent already: only a cut connection says so.
        structlog.get_logger().warning("download failed", error=describe_error(error))
        if request.transport is not None:
            request.transport.abort()
    return response


async def _parts(database: Database, export: Export, section: str) -> AsyncIterator[str]:
    """The section's parts, each read in a transaction of its own: a download may be slow.

    Errors: NotFound when the export has expired or was erased meanwhile.
    """
    after = -1
    while True:
        async with database.transaction() as conn:
            found = await storage.find_part(conn, export, section, after)
            # Looked at last: before parts go, the export is no longer to be downloaded.
            current = await storage.find_export(conn, export.app_id, export.request_id)
        if current is None or current.expires_at <= clock.now():
            message = "the export is gone"
            raise NotFound(message)
        if found is None:
            return
        after, content = found
        yield content
