"""/api/consents/v1/: settings, forms and versions of texts of an app."""

from datetime import datetime
from typing import Any

from aiohttp import web

from audience.public import access_app, caller_of, record_audit_entry
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
from consent.forms import operations, storage
from consent.forms.schemas import (
    AppQuery,
    FormsQuery,
    SettingsAnswer,
    SettingsFields,
    TextAnswer,
    TextPublication,
    VersionsQuery,
)
from consent.forms.storage import StoredVersion
from consent.forms.texts import TextVersion

SETTINGS_KIND, TEXT_KIND = "ConsentSettings", "ConsentText"


@described(query=AppQuery, answer=SettingsAnswer, resource=SETTINGS_KIND)
async def get_consent_settings(request: web.Request) -> web.Response:
    """GET /api/consents/v1/settings/?website_id= -> 200."""
    app_id = read_query(request, AppQuery)["website_id"]
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller_of(request), app_id)
        settings = await operations.get_settings(conn, app_id)
    attributes = {name: getattr(settings, name) for name in SettingsFields().fields}
    return json_response(request, document_of(resource(SETTINGS_KIND, app_id, attributes)))


@described(query=AppQuery, body=SettingsFields, resource=SETTINGS_KIND, status=204)
async def update_consent_settings(request: web.Request) -> web.Response:
    """PATCH /api/consents/v1/settings/?website_id= -> 204; what is left out stays as it is.

    data.id is the app ID. Containers show the change within seconds, browsers within minutes.
    """
    app_id = read_query(request, AppQuery)["website_id"]
    given = await read_resource(
        request, SETTINGS_KIND, SettingsFields, resource_id=app_id, is_partial=True
    )
    caller, now = caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id, is_to_change=True)
        await operations.update_settings(conn, app_id, given, now)
        await record_audit_entry(
            conn, caller, "update_consent_settings", now=now, app_id=app_id, target_type="app"
        )
    return no_content()


@described(query=FormsQuery, answer=TextAnswer, resource=TEXT_KIND, is_list=True)
async def list_consent_texts(request: web.Request) -> web.Response:
    """GET /api/consents/v1/forms/?website_id= -> 200, the texts that visitors see now."""
    query = read_query(request, FormsQuery)
    app_id = query["website_id"]
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller_of(request), app_id)
        form = await operations.get_form(conn, app_id)
        published = {
            one.version.history_id: one for one in await storage.list_current_texts(conn, app_id)
        }
    shown = [
        version
        for language, texts in form.texts.items()
        if query["language"] in (None, language)
        for version in texts.values()
    ]
    data = [_text(version, published.get(version.history_id)) for version in shown]
    return json_response(request, document_of(data))


@described(query=AppQuery, body=TextPublication, answer=TextAnswer, resource=TEXT_KIND, status=201)
async def publish_consent_text(request: web.Request) -> web.Response:
    """POST /api/consents/v1/forms/publish/?website_id= -> 201, the new version, shown from now on.

    With ask_again visitors who decided about the type before are asked again.
    """
    app_id = read_query(request, AppQuery)["website_id"]
    given = await read_resource(request, TEXT_KIND, TextPublication)
    caller, now = caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id, is_to_change=True)
        stored = await operations.publish_text(
            conn,
            app_id,
            given["language"],
            given["text_key"],
            given["content"],
            now=now,
            asks_again=given["ask_again"],
        )
        await record_audit_entry(
            conn,
            caller,
            "publish_consent_text",
            now=now,
            app_id=app_id,
            target_type="consent_text",
            target_id=stored.version.history_id,
        )
    return json_response(request, document_of(_text(stored.version, stored)), 201)


@described(query=VersionsQuery, answer=TextAnswer, resource=TEXT_KIND, is_list=True)
async def list_consent_text_versions(request: web.Request) -> web.Response:
    """GET /api/consents/v1/versions/?website_id= -> 200, every version ever shown, newest first."""
    query = read_query(request, VersionsQuery)
    app_id = query.pop("website_id")
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller_of(request), app_id)
        found = await storage.list_versions(conn, app_id, **query)
    return json_response(request, document_of([_text(one.version, one) for one in found]))


@described(query=AppQuery, answer=TextAnswer, resource=TEXT_KIND)
async def get_consent_text_version(request: web.Request) -> web.Response:
    """GET /api/consents/v1/versions/{history_id}/?website_id= -> 200, the exact text; 404."""
    app_id = read_query(request, AppQuery)["website_id"]
    history_id = parse_uuid(request.match_info["history_id"], "history_id")
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller_of(request), app_id)
        found = await operations.get_version(conn, app_id, history_id)
    return json_response(request, document_of(_text(found.version, found)))


def _text(version: TextVersion, stored: StoredVersion | None) -> dict[str, Any]:
    """A ready-made text that nobody has been shown yet has no time."""
    attributes = {
        "language": version.language,
        "text_key": version.text_key,
        "content": dict(version.content),
        "sha256": version.sha256,
        "origin": storage.READY_MADE if stored is None else stored.origin,
        "published_at": None if stored is None else _moment(stored.published_at),
        "asks_again_at": None if stored is None else _moment(stored.asks_again_at),
    }
    return resource(TEXT_KIND, version.history_id, attributes)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
