"""GET /api/audit/v1/entries: who did what."""

from typing import Any

from aiohttp import web

from audience.apps.access import caller_of
from audience.apps.audit import storage
from audience.apps.audit.schemas import AuditEntry, AuditQuery
from audience.server.json_api import document_of, json_response, read_query, resource
from audience.server.keys import DATABASE
from audience.server.openapi import described

KIND = "audit/entry"


@described(query=AuditQuery, answer=AuditEntry, resource=KIND, is_list=True)
async def list_audit_entries(request: web.Request) -> web.Response:
    """GET /api/audit/v1/entries -> 200, the organization's entries, newest first.

    meta.total says how many match. Entries name operations and ids, never values.
    """
    query = read_query(request, AuditQuery)
    async with request.app[DATABASE].transaction() as conn:
        rows, total = await storage.list_audit_entries(
            conn,
            caller_of(request).organization_id,
            app_id=query.get("website_id"),
            operation=query.get("operation"),
            since=query.get("since"),
            until=query.get("until"),
            limit=query["limit"],
            offset=query["offset"],
        )
    data = [resource(KIND, str(row.entry_id), _attributes(row)) for row in rows]
    return json_response(request, document_of(data, meta={"total": total}))


def _attributes(row: Any) -> dict[str, Any]:
    found = {
        "occurred_at": row.occurred_at.isoformat().replace("+00:00", "Z"),
        "actor": row.actor,
        "credential_id": None if row.credential_id is None else str(row.credential_id),
        "operation": row.operation,
        "outcome": row.outcome,
        "website_id": None if row.app_id is None else str(row.app_id),
        "target_type": row.target_type,
        "target_id": row.target_id,
        "details": row.details,
    }
    return {name: value for name, value in found.items() if value is not None}
