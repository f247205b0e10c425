"""/api/consents/v1/: decisions and state of one visitor, receipts, export of an app's history."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import structlog
from aiohttp import web

from audience.public import access_app, caller_of, record_audit_entry
from audience.server import clock
from audience.server.database import raw
from audience.server.json_api import document_of, json_response, read_query, resource
from audience.server.keys import DATABASE, SETTINGS
from audience.server.log import describe_error
from audience.server.openapi import described
from audience.uuid_text import parse_uuid
from consent.decisions.chain import Link
from consent.decisions.enums import CONSENT_ACTIONS, CONSENT_SCOPES, CONSENT_SOURCES, labelled
from consent.decisions.history import operations, storage
from consent.decisions.history.export import csv_head, csv_lines, json_lines
from consent.decisions.history.schemas import (
    CSV,
    ConsentDecisionAnswer,
    ConsentReceiptAnswer,
    ConsentStateAnswer,
    HistoryExportQuery,
    HistoryQuery,
    ReceiptQuery,
)
from consent.forms.schemas import AppQuery

DECISION_KIND, STATE_KIND, RECEIPT_KIND = "ConsentDecision", "ConsentState", "ConsentReceipt"
_EXPORTED_AT_ONCE = 1000
#: A client that takes nothing for so long has gone, even if its connection has not.
_STALLED_AFTER_SECONDS = 60


@described(query=HistoryQuery, answer=ConsentDecisionAnswer, resource=DECISION_KIND, is_list=True)
async def list_consent_history(request: web.Request) -> web.Response:
    """GET /api/consents/v1/visitors/{visitor_id}/history/?website_id= -> 200, newest first.

    Empty for a visitor who never decided or was erased: then nobody can tell whose rows are whose.
    """
    query = read_query(request, HistoryQuery)
    app_id, visitor_id = query["website_id"], _visitor_id(request)
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller_of(request), app_id)
        links = await operations.list_history(
            conn, app_id, visitor_id, limit=query["limit"], offset=query["offset"]
        )
        await _audit(conn, request, "list_consent_history", app_id)
    data = [resource(DECISION_KIND, one.row.decision_id, decision_attributes(one)) for one in links]
    return json_response(request, document_of(data))


@described(query=AppQuery, answer=ConsentStateAnswer, resource=STATE_KIND)
async def get_consent_state(request: web.Request) -> web.Response:
    """GET /api/consents/v1/visitors/{visitor_id}/state/?website_id= -> 200; 404 unknown visitor."""
    app_id, visitor_id = read_query(request, AppQuery)["website_id"], _visitor_id(request)
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller_of(request), app_id)
        found = await operations.get_state(conn, app_id, visitor_id, clock.now())
        await _audit(conn, request, "get_consent_state", app_id)
    attributes = {
        "consents": {
            name: {
                "status": one.status,
                "decided_at": moment_text(one.decided_at),
                "history_id": one.history_id,
                "is_gpc": one.is_gpc,
            }
            for name, one in found.types.items()
        },
        "expired": found.expired,
        "analytics_visitor_id": found.visitor.analytics_visitor_id,
        "last_decided_at": moment_text(found.visitor.last_decided_at),
    }
    return json_response(request, document_of(resource(STATE_KIND, visitor_id, attributes)))


@described(query=ReceiptQuery, answer=ConsentReceiptAnswer, resource=RECEIPT_KIND)
async def get_consent_receipt(request: web.Request) -> web.Response:
    """GET /api/consents/v1/visitors/{visitor_id}/receipt/?website_id= -> 200, signed; 404.

    Of the newest decision, or of the one named by decision_id.
    """
    query = read_query(request, ReceiptQuery)
    app_id, visitor_id, now = query["website_id"], _visitor_id(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller_of(request), app_id)
        claims, jws = await operations.sign_receipt(
            conn,
            app_id,
            visitor_id,
            query["decision_id"],
            issuer=request.app[SETTINGS].token_issuer,
            now=now,
        )
        await _audit(conn, request, "get_consent_receipt", app_id)
    attributes = {"jws": jws, "receipt": claims}
    return json_response(request, document_of(resource(RECEIPT_KIND, claims["jti"], attributes)))


@described(query=HistoryExportQuery, answer_type="text/csv")
async def export_consent_history(request: web.Request) -> web.StreamResponse:
    """GET /api/consents/v1/history/export/?website_id=&format=csv|json -> 200, streamed.

    In the order of the chain. received_from and received_before limit it to a time. Visitors are
    hashes. A text that a spreadsheet would run as a formula begins with an apostrophe in CSV.
    """
    query = read_query(request, HistoryExportQuery)
    app_id = query["website_id"]
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller_of(request), app_id)
        await _audit(conn, request, "export_consent_history", app_id)
    is_csv = query["format"] == CSV
    media_type = "text/csv" if is_csv else "application/json"
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{media_type}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="consents-{app_id}.{query["format"]}"',
            "Cache-Control": "no-store",
        }
    )
    response.enable_compression()
    await response.prepare(request)
    try:
        await _write_export(request, response, query)
    except Exception as error:  # noqa: BLE001 - whatever it is, the beginning is sent already
        # Only a cut connection says that the rest is missing.
        structlog.get_logger().warning("export failed", error=describe_error(error))
        if request.transport is not None:
            request.transport.abort()
    return response


async def _write_export(
    request: web.Request, response: web.StreamResponse, query: dict[str, Any]
) -> None:
    """Write every decision, page by page.

    Errors: ConnectionResetError when the client went; NotFound when the app is deleted meanwhile.
    """
    is_csv, app_id = query["format"] == CSV, query["website_id"]
    await response.write(csv_head() if is_csv else b"[")
    after, is_first = 0, True
    while True:
        # Its own short transaction each time: a slow client holds no snapshot.
        async with request.app[DATABASE].transaction() as conn:
            links = await storage.list_decisions(await raw(conn), app_id, after, _EXPORTED_AT_ONCE)
            # Looked at last: of a deleted app some may be gone, which must not look like the end.
            await access_app(conn, caller_of(request), app_id)
        if not links:
            break
        after = links[-1].sequence
        wanted = [
            one
            for one in links
            if _is_between(one.row.received_at, query["received_from"], query["received_before"])
        ]
        if wanted:
            piece = csv_lines(wanted) if is_csv else json_lines(wanted, is_first=is_first)
            async with asyncio.timeout(_STALLED_AFTER_SECONDS):
                await response.write(piece)
            is_first = False
    if not is_csv:
        await response.write(b"]\n")
    await response.write_eof()


def decision_attributes(link: Link) -> dict[str, Any]:
    """A decision as the API shows it."""
    row = link.row
    return {
        "sequence": link.sequence,
        "decided_at": moment_text(row.decided_at),
        "received_at": moment_text(row.received_at),
        "consents": row.consents,
        "hostname": row.hostname,
        "consent_scope": labelled(CONSENT_SCOPES, row.consent_scope),
        "consent_action": labelled(CONSENT_ACTIONS, row.consent_action),
        "consent_source": labelled(CONSENT_SOURCES, row.consent_source),
        "method": row.method,
        "language": row.language,
        "is_late": row.is_late,
        "visitor_hash": row.visitor_hash.hex(),
        "row_hash": link.row_hash.hex(),
    }


def moment_text(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with `Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _is_between(moment: datetime, first: datetime | None, end: datetime | None) -> bool:
    return (first is None or moment >= first) and (end is None or moment < end)


def _visitor_id(request: web.Request) -> str:
    return parse_uuid(request.match_info["visitor_id"], "visitor_id")


async def _audit(conn: Any, request: web.Request, operation: str, app_id: str) -> None:
    # Not the visitor: an audit entry names no person.
    await record_audit_entry(
        conn,
        caller_of(request),
        operation,
        now=clock.now(),
        app_id=app_id,
        target_type="consent_decisions",
    )
