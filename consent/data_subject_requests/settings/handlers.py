"""/api/privacy/v1/settings: what an app has set about data subject requests."""

from dataclasses import asdict, replace

from aiohttp import web

from audience import public
from audience.errors import Invalid
from audience.server import clock
from audience.server.json_api import (
    document_of,
    json_response,
    no_content,
    read_query,
    read_resource,
    resource,
)
from audience.server.keys import DATABASE, SETTINGS
from audience.server.openapi import described
from consent.data_subject_requests.settings import storage
from consent.data_subject_requests.settings.schemas import AppQuery, RequestSettingsFields

KIND = "privacy/settings"


@described(query=AppQuery, answer=RequestSettingsFields, resource=KIND)
async def get_request_settings(request: web.Request) -> web.Response:
    """GET /api/privacy/v1/settings?website_id= -> 200."""
    app_id = read_query(request, AppQuery)["website_id"]
    async with request.app[DATABASE].transaction() as conn:
        await public.access_app(conn, public.caller_of(request), app_id)
        settings = await storage.get_settings(conn, app_id)
    return json_response(request, document_of(resource(KIND, app_id, asdict(settings))))


@described(query=AppQuery, body=RequestSettingsFields, resource=KIND, status=204)
async def update_request_settings(request: web.Request) -> web.Response:
    """PATCH /api/privacy/v1/settings?website_id= -> 204; what is left out stays as it is.

    data.id is the app ID.
    """
    app_id = read_query(request, AppQuery)["website_id"]
    given = await read_resource(
        request, KIND, RequestSettingsFields, resource_id=app_id, is_partial=True
    )
    if given.get("team_email") is not None:
        is_test = request.app[SETTINGS].allow_test_emails
        check = public.check_test_email if is_test else public.check_email
        given["team_email"] = check(given["team_email"])
        if given["team_email"] is None:
            message = "team_email must be an e-mail address like name@example.com"
            raise Invalid(message, path="team_email")
    caller, now = public.caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        await public.access_app(conn, caller, app_id, is_to_change=True)
        settings = replace(await storage.get_settings(conn, app_id), **given)
        await storage.save_settings(conn, app_id, settings, now)
        await public.record_audit_entry(
            conn, caller, "update_request_settings", now=now, app_id=app_id, target_type="app"
        )
    return no_content()
