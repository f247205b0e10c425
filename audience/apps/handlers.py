"""The apps of an organization: /api/apps/v2 (JSON:API type ppms/app)."""

from dataclasses import replace
from typing import Any

from aiohttp import web

from audience.apps import operations, storage
from audience.apps.access import access_app, caller_of
from audience.apps.audit.operations import record_audit_entry
from audience.apps.consent_settings import (
    CONSENT_SETTING_DEFAULTS,
    with_defaults,
    without_defaults,
)
from audience.apps.schemas import AppAnswer, AppCreation, AppDeletion, AppFields, AppsQuery
from audience.apps.storage import App
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

KIND = "ppms/app"


@described(query=AppsQuery, answer=AppAnswer, resource=KIND, is_list=True)
async def list_apps(request: web.Request) -> web.Response:
    """GET /api/apps/v2 -> 200, the organization's apps by name; meta.total counts all."""
    query = read_query(request, AppsQuery)
    async with request.app[DATABASE].transaction() as conn:
        found, total = await storage.list_apps_of(
            conn,
            caller_of(request).organization_id,
            search=query["search"],
            limit=query["limit"],
            offset=query["offset"],
        )
    data = [_resource(app) for app in found]
    return json_response(request, document_of(data, meta={"total": total}))


@described(body=AppCreation, answer=AppAnswer, resource=KIND, status=201)
async def create_app(request: web.Request) -> web.Response:
    """POST /api/apps/v2 -> 201, the new app.

    409 when the id in the body is taken. An app belongs to the caller's organization.
    """
    given = await read_resource(request, KIND, AppCreation)
    caller, now = caller_of(request), clock.now()
    app = _changed(App(given.get("id") or clock.new_id(), "", caller.organization), given)
    async with request.app[DATABASE].transaction() as conn:
        await operations.create_app(conn, app, caller.organization_id, now)
        created = await access_app(conn, caller, app.app_id)
        await record_audit_entry(
            conn, caller, "create_app", now=now, app_id=app.app_id, target_type="app"
        )
    return json_response(request, document_of(_resource(created)), 201)


@described(answer=AppAnswer, resource=KIND)
async def get_app(request: web.Request) -> web.Response:
    """GET /api/apps/v2/{id} -> 200; 404 also for another organization's app."""
    async with request.app[DATABASE].transaction() as conn:
        found = await access_app(conn, caller_of(request), _app_id(request))
    return json_response(request, document_of(_resource(found)))


@described(body=AppFields, resource=KIND, status=204)
async def update_app(request: web.Request) -> web.Response:
    """PATCH /api/apps/v2/{id} -> 204; attributes that are left out stay as they are."""
    app_id = _app_id(request)
    given = await read_resource(request, KIND, AppFields, resource_id=app_id, is_partial=True)
    caller, now = caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        app = await access_app(conn, caller, app_id, is_to_change=True)
        await operations.update_app(conn, _changed(app, given), now)
        await record_audit_entry(
            conn, caller, "update_app", now=now, app_id=app_id, target_type="app"
        )
    return no_content()


@described(query=AppDeletion, status=204)
async def delete_app(request: web.Request) -> web.Response:
    """DELETE /api/apps/v2/{id}?confirm=<name> -> 204; everything of the app goes.

    The app is gone for everybody at once; its rows are removed in the background. 400 without the
    app's name as `confirm`.
    """
    query = read_query(request, AppDeletion)
    caller, now, app_id = caller_of(request), clock.now(), _app_id(request)
    async with request.app[DATABASE].transaction() as conn:
        app = await access_app(conn, caller, app_id)
        await operations.delete_app(conn, app, query["confirm"], now)
        await record_audit_entry(
            conn, caller, "delete_app", now=now, app_id=app_id, target_type="app"
        )
    return no_content()


def _app_id(request: web.Request) -> str:
    return parse_uuid(request.match_info["app_id"], "app_id")


def _changed(app: App, given: dict[str, Any]) -> App:
    consent = {name: value for name, value in given.items() if name in CONSENT_SETTING_DEFAULTS}
    return replace(
        app,
        name=given.get("name", app.name),
        urls=tuple(given.get("urls", app.urls)),
        timezone=given.get("timezone", app.timezone),
        currency=given.get("currency", app.currency),
        consent_settings=without_defaults({**with_defaults(dict(app.consent_settings)), **consent}),
    )


def _resource(app: App) -> dict[str, Any]:
    attributes = {
        "name": app.name,
        "organization": app.organization,
        "urls": list(app.urls),
        "timezone": app.timezone,
        "currency": app.currency,
        **with_defaults(dict(app.consent_settings)),
    }
    for name, moment in (("createdAt", app.created_at), ("updatedAt", app.updated_at)):
        if moment is not None:
            attributes[name] = moment.isoformat().replace("+00:00", "Z")
    return resource(KIND, app.app_id, attributes)
