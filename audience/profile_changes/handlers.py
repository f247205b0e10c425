"""Public writes: attributes (contract D1.4), and the analytics trackers that SDKs call first."""

from collections.abc import AsyncIterator, Sequence

import orjson
import structlog
from aiohttp import web

from audience.profile_changes.emails import email_check
from audience.profile_changes.items import Skip, parse_items
from audience.profile_changes.public_schemas import AttributesItem, FormItem, SkippedEntries
from audience.profile_changes.write_request import SkippedStrictly, WriteRequest
from audience.profile_changes.writer import make_writer
from audience.server import metrics
from audience.server.batcher import Batcher
from audience.server.keys import DATABASE, SETTINGS
from audience.server.openapi import described
from audience.server.ready_response import ReadyResponse, ResponseHead
from audience.server.request_body import drain, read_json

_WRITES = web.AppKey("writes", Batcher[WriteRequest, list[Skip]])
#: Attribute entries in one batch: keeps a batch's transaction short.
_MAX_BATCH_WEIGHT = 2000
_MAX_LOGGED_NAMES, _MAX_LOGGED_NAME = 10, 100
_NO_CONTENT = ResponseHead(204, {})


async def hold_writes(app: web.Application) -> AsyncIterator[None]:
    """Coalesces public writes on one connection while the service runs."""
    writer = make_writer(app[DATABASE].hold())
    app[_WRITES] = Batcher[WriteRequest, list[Skip]](
        writer.write,
        max_weight=_MAX_BATCH_WEIGHT,
        on_batch=metrics.batch_counter("writes"),
        settle=writer.locks.settle,
        gathers=app[SETTINGS].workers > 1,
    )
    writer.locks.has_waiting = app[_WRITES].has_waiting
    writer.take_also = app[_WRITES].take_also
    yield
    await app[_WRITES].close()
    await writer.close()


@described(body=AttributesItem, is_body_list=True, answer=SkippedEntries)
async def modify_attributes(request: web.Request) -> web.StreamResponse:
    """POST /audiences/tracker/attributes/ -> 204, or 200 with what was skipped.

    Body: contract D1.5. 200: {"skipped": [{"item", "entry", "name", "reason"}]}, everything else is
    applied; with `Prefer: handling=strict` a skip makes it 400 with that body, nothing applied.
    400 malformed, 403 unknown app, 413 too large, 503 overload or database away: nothing applied,
    unless the database went away or was too slow while it was saving.
    On repeat: the same state, but for the action `add`.  Source: contract D1.4-D1.16, decision 1.
    """
    return await _store(request, are_forms=False)


@described(body=FormItem, is_body_list=True, answer=SkippedEntries)
async def submit_form(request: web.Request) -> web.StreamResponse:
    """POST /audiences/tracker/forms/ -> 204, or 200 with what was skipped.

    Body: one object or an array of {website_id, form_id, url, attributes} with at least one
    identifier. Sets forms.<form_id> of the profile to the newest {timestamp, url} and applies the
    attributes; everything else is as for `modify_attributes`.  Source: contract D5.1, decision 6.
    """
    return await _store(request, are_forms=True)


async def _store(request: web.Request, *, are_forms: bool) -> web.StreamResponse:
    writes = request.app[_WRITES]
    await writes.turn()
    payload = await read_json(request)
    check = email_check(is_test=request.app[SETTINGS].allow_test_emails)
    items = parse_items(payload, check, are_forms=are_forms)
    if not items.items:
        return ReadyResponse(_NO_CONTENT)
    weight = len(items.items) + sum(len(item.entries) for item in items.items)
    try:
        skipped = await writes.submit(WriteRequest(items, is_strict(request)), weight)
    except SkippedStrictly as refusal:
        return skipped_response(400, refusal.skipped)
    if skipped:
        _tell_operator(items.items[0].app_id, skipped)
        return skipped_response(200, skipped)
    return ReadyResponse(_NO_CONTENT)


def _tell_operator(app_id: str, skipped: Sequence[Skip]) -> None:
    """Count what is skipped, and log which attributes: names, never values (contract C3.3)."""
    for skip in skipped:
        metrics.SKIPPED_ENTRIES.labels(skip.reason).inc()
    names = sorted({f"{skip.reason} {skip.name[:_MAX_LOGGED_NAME]}" for skip in skipped})
    structlog.get_logger().info("skipped", app_id=app_id, entries=names[:_MAX_LOGGED_NAMES])


async def drop_analytics(request: web.Request) -> web.Response:
    """GET and POST /ppms.php and /piwik.php -> 204: what they carry is dropped and counted.

    The Android SDK sends analytics first and holds attributes back when that fails (F1.13).
    """
    await drain(request)
    metrics.DROPPED_ANALYTICS.inc()
    return web.Response(status=204)


def is_strict(request: web.Request) -> bool:
    """True for `Prefer: handling=strict` (RFC 7240; decision 1)."""
    if "Prefer" not in request.headers:
        return False
    preferences = ",".join(request.headers.getall("Prefer", ()))
    wanted = (part.partition(";")[0].replace(" ", "") for part in preferences.split(","))
    return any(part.lower().replace('"', "") == "handling=strict" for part in wanted)


def skipped_response(status: int, skipped: Sequence[Skip]) -> web.Response:
    """What was not applied, or in a strict request would not have been."""
    rows = [
        {key: value for key, value in skip._asdict().items() if value is not None}
        for skip in skipped
    ]
    return web.Response(
        status=status,
        body=orjson.dumps({"skipped": rows}),
        headers={
            "Content-Type": "application/json; charset=utf-8",
            "Cache-Control": "no-store",
        },
    )
