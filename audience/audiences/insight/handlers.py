"""Previews and explanations: .../audiences/preview/ and .../audiences/{id}/explain/."""

from datetime import datetime

from aiohttp import web

from audience.apps.access import access_app, caller_of
from audience.apps.audit.operations import record_audit_entry
from audience.audiences.catalogue.operations import get_audience, warnings_of
from audience.audiences.catalogue.schemas import AppQuery
from audience.audiences.definition import parse_definition
from audience.audiences.insight import operations
from audience.audiences.insight.schemas import (
    ExplainAnswer,
    ExplainBody,
    PreviewAnswer,
    PreviewBody,
)
from audience.audiences.patterns import compile_pattern
from audience.profiles.profile import timestamp_text
from audience.server import clock
from audience.server.database import raw
from audience.server.json_api import (
    document_of,
    json_response,
    read_body,
    read_query,
    resource,
)
from audience.server.keys import DATABASE
from audience.server.openapi import described
from audience.uuid_text import parse_uuid

PREVIEW, EXPLANATION = "AudiencePreview", "AudienceExplanation"


@described(query=AppQuery, body=PreviewBody, answer=PreviewAnswer)
async def preview_audience(request: web.Request) -> web.Response:
    """POST /api/audiences/v1/audiences/preview/?website_id= {definition} -> 200, whom it matches.

    Stores nothing. meta.warnings names attributes that no profile has had yet.
    """
    app_id = read_query(request, AppQuery)["website_id"]
    body = await read_body(request, PreviewBody)
    definition = parse_definition(body["definition"], compile_pattern)
    caller, now = caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        app = await access_app(conn, caller, app_id)
        found = await operations.preview_definition(
            await raw(conn), app_id, definition, app.timezone, now
        )
        warnings = await warnings_of(conn, app_id, body["definition"])
        await record_audit_entry(conn, caller, "preview_audience", now=now, app_id=app_id)
    attributes = {
        "count": found.count,
        "total": found.total,
        "share": found.count / found.total if found.total else 0,
        "sample_profile_ids": found.sample_profile_ids,
    }
    meta = {"warnings": [warning.as_document() for warning in warnings]} if warnings else None
    return json_response(request, document_of(resource(PREVIEW, app_id, attributes), meta=meta))


@described(query=AppQuery, body=ExplainBody, answer=ExplainAnswer)
async def explain_audience(request: web.Request) -> web.Response:
    """POST /api/audiences/v1/audiences/{id}/explain/?website_id= {identifier, value} -> 200.

    Why the holder of the identifier is a member or not; 404 when nobody holds it.
    """
    app_id = read_query(request, AppQuery)["website_id"]
    audience_id = parse_uuid(request.match_info["audience_id"], "audience_id")
    body = await read_body(request, ExplainBody)
    identifier = operations.checked_identifier(body["identifier"], body["value"])
    caller, now = caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        app = await access_app(conn, caller, app_id)
        audience = await get_audience(conn, app_id, audience_id)
        found = await operations.explain_membership(await raw(conn), app, audience, identifier, now)
        await record_audit_entry(
            conn,
            caller,
            "explain_audience",
            now=now,
            app_id=app_id,
            target_type="profile",
            target_id=found.profile_id,
        )
    attributes = {
        "profile_id": found.profile_id,
        "is_member": found.member_since is not None,
        "member_since": _text(found.member_since),
        "member_until": _text(found.member_until),
        "is_filling": audience.is_filling,
        "tree": found.tree,
    }
    return json_response(request, document_of(resource(EXPLANATION, audience_id, attributes)))


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp_text(moment)
