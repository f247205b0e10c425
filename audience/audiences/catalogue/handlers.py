"""/api/audiences/v1/audiences/: the audiences of an app (JSON:API type Audience)."""

from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.apps.access import access_app, caller_of
from audience.apps.audit.operations import record_audit_entry
from audience.audiences.catalogue import operations
from audience.audiences.catalogue.audience import AudienceFields, history_of
from audience.audiences.catalogue.operations import CountedAudience
from audience.audiences.catalogue.schemas import (
    AppQuery,
    AudienceAnswer,
    AudienceListed,
    AudiencesQuery,
    AudienceWrite,
)
from audience.audiences.catalogue.storage import AudiencePage
from audience.profiles.profile import timestamp_text
from audience.server import clock
from audience.server.json_api import (
    document_of,
    json_response,
    no_content,
    read_query,
    read_resource,
    resource,
)
from audience.server.keys import DATABASE
from audience.server.openapi import described
from audience.uuid_text import parse_uuid

KIND = "Audience"


@described(query=AudiencesQuery, answer=AudienceListed, resource=KIND, is_list=True)
async def list_app_audiences(request: web.Request) -> web.Response:
    """GET /api/audiences/v1/audiences/?website_id= -> 200, a page of the app's audiences.

    Source: contract D3.1, D3.1a, D3.1b.
    """
    query = read_query(request, AudiencesQuery)
    page = AudiencePage(
        limit=query["limit"],
        offset=query["offset"],
        order_by=query["order_by"].removeprefix("-"),
        is_descending=query["order_by"].startswith("-"),
        name_contains=query["name"],
        include_deleted=query["include_deleted"],
    )
    async with request.app[DATABASE].transaction() as conn:
        app = await access_app(conn, caller_of(request), query["website_id"])
        found = await operations.list_audiences(conn, app.app_id, page)
    data = [resource(KIND, row.audience.audience_id, _listed(row)) for row in found]
    return json_response(request, document_of(data))


@described(query=AppQuery, body=AudienceWrite, answer=AudienceAnswer, resource=KIND, status=201)
async def create_audience(request: web.Request) -> web.Response:
    """POST /api/audiences/v1/audiences/?website_id= -> 201, the new audience.

    Its members are worked out in the background when the app has many profiles (`is_filling`).
    meta.warnings names attributes that no profile has had yet. 409 past 1,000 audiences.
    """
    app_id = read_query(request, AppQuery)["website_id"]
    fields = AudienceFields(**await read_resource(request, KIND, AudienceWrite))
    caller, now = caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        audience_id = await operations.create_audience(conn, app_id, fields, caller.name, now)
        await record_audit_entry(
            conn,
            caller,
            "create_audience",
            now=now,
            app_id=app_id,
            target_type="audience",
            target_id=audience_id,
        )
        document = await _document(conn, app_id, audience_id, is_warned=True)
    return json_response(request, document, 201)


@described(query=AppQuery, answer=AudienceAnswer, resource=KIND)
async def get_audience(request: web.Request) -> web.Response:
    """GET /api/audiences/v1/audiences/{id}/?website_id= -> 200, deleted ones as well."""
    app_id, audience_id = _ids(request)
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller_of(request), app_id)
        document = await _document(conn, app_id, audience_id)
    return json_response(request, document)


@described(query=AppQuery, body=AudienceWrite, answer=AudienceAnswer, resource=KIND)
async def replace_audience(request: web.Request) -> web.Response:
    """PUT /api/audiences/v1/audiences/{id}/?website_id= -> 200, the audience as it is now.

    A changed definition or duration makes a new version, whose members are worked out anew.
    """
    app_id, audience_id = _ids(request)
    fields = AudienceFields(
        **await read_resource(request, KIND, AudienceWrite, resource_id=audience_id)
    )
    caller, now = caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        await operations.update_audience(conn, app_id, audience_id, fields, now)
        await record_audit_entry(
            conn,
            caller,
            "replace_audience",
            now=now,
            app_id=app_id,
            target_type="audience",
            target_id=audience_id,
        )
        document = await _document(conn, app_id, audience_id, is_warned=True)
    return json_response(request, document)


@described(query=AppQuery, status=204)
async def delete_audience(request: web.Request) -> web.Response:
    """DELETE /api/audiences/v1/audiences/{id}/?website_id= -> 204; at once nobody is a member.

    409 naming the audiences that ask about it.
    """
    app_id, audience_id = _ids(request)
    caller, now = caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        await operations.delete_audience(conn, app_id, audience_id, now)
        await record_audit_entry(
            conn,
            caller,
            "delete_audience",
            now=now,
            app_id=app_id,
            target_type="audience",
            target_id=audience_id,
        )
    return no_content()


def _ids(request: web.Request) -> tuple[str, str]:
    app_id: str = read_query(request, AppQuery)["website_id"]
    return app_id, parse_uuid(request.match_info["audience_id"], "audience_id")


async def _document(
    conn: AsyncConnection, app_id: str, audience_id: str, *, is_warned: bool = False
) -> dict[str, Any]:
    audience = await operations.get_audience(conn, app_id, audience_id, may_be_deleted=True)
    (counted,) = await operations.count_audiences(conn, app_id, [audience])
    attributes = {
        **_listed(counted),
        "description": audience.description,
        "definition": audience.definition,
        "membership_duration_days": audience.membership_duration_days,
        "version": audience.version,
        "created_at": timestamp_text(audience.created_at),
        "updated_at": timestamp_text(audience.updated_at),
        "author": audience.author,
        "is_filling": audience.is_filling,
        "filling_progress": audience.filling_progress,
    }
    warnings = None
    if is_warned:
        warnings = await operations.warnings_of(conn, app_id, audience.definition)
    meta = {"warnings": [warning.as_document() for warning in warnings]} if warnings else None
    return document_of(resource(KIND, audience_id, attributes), meta=meta)


def _listed(counted: CountedAudience) -> dict[str, Any]:
    audience, count = counted.audience, counted.count
    today = clock.now().date()
    return {
        "name": audience.name,
        "count": count,
        "history_count": history_of(audience, counted.snapshots, count, today),
        "is_deleted": audience.is_deleted,
    }
