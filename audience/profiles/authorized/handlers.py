"""Authorized reads of profiles: GET /api/audiences/v1/profiles/..."""

import orjson
from aiohttp import web

from audience.apps.access import access_app, caller_of
from audience.apps.audit.operations import record_audit_entry
from audience.errors import Invalid, InvalidParameter
from audience.profiles.authorized.operations import (
    MERGE_KIND,
    PROFILE_KIND,
    find_merges,
    get_profile_document,
    profile_resource,
)
from audience.profiles.authorized.schemas import (
    FindQuery,
    MergeAttributes,
    MergesQuery,
    ProfileAttributes,
    ProfileDocument,
    WebsiteQuery,
)
from audience.profiles.handlers import json_bytes
from audience.profiles.operations import find_profile_documents
from audience.server import clock
from audience.server.json_api import document_of, json_response, read_query
from audience.server.keys import DATABASE
from audience.server.openapi import described
from audience.uuid_text import parse_uuid


@described(query=FindQuery, answer=ProfileDocument, is_list=True)
async def find_profiles(request: web.Request) -> web.StreamResponse:
    """GET /api/audiences/v1/profiles/get?website_id=&identifier=&value= -> 200.

    A plain JSON array of the profiles that hold the identifier, newest update first; [] when there
    is none.  Source: contract D3.3.
    """
    query = read_query(request, FindQuery)
    caller, now, app_id = caller_of(request), clock.now(), query["website_id"]
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        try:
            found = await find_profile_documents(conn, app_id, query["identifier"], query["value"])
        except Invalid as error:
            raise InvalidParameter(error.message, path=error.path) from None
        found = found[: query["limit"]]
        for target in [document["id"] for document in found] or [None]:
            await record_audit_entry(
                conn,
                caller,
                "find_profiles",
                now=now,
                app_id=app_id,
                target_type="profile",
                target_id=target,
            )
    return json_bytes(orjson.dumps(found))


@described(query=WebsiteQuery, answer=ProfileAttributes, resource=PROFILE_KIND)
async def get_profile(request: web.Request) -> web.Response:
    """GET /api/audiences/v1/profiles/{id}/?website_id= -> 200.

    The id of an absorbed profile answers with its survivor, whose id is in the document.
    """
    app_id = read_query(request, WebsiteQuery)["website_id"]
    profile_id = profile_id_of(request)
    caller, now = caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        document = await get_profile_document(conn, app_id, profile_id)
        await record_audit_entry(
            conn,
            caller,
            "get_profile",
            now=now,
            app_id=app_id,
            target_type="profile",
            target_id=document["id"],
        )
    return json_response(request, document_of(profile_resource(document)))


@described(query=MergesQuery, answer=MergeAttributes, resource=MERGE_KIND, is_list=True)
async def list_merges(request: web.Request) -> web.Response:
    """GET /api/audiences/v1/profiles/{id}/merges/?website_id=&limit=&offset= -> 200.

    Every merge that made the profile what it is, oldest first, with both sides as they were before;
    undone ones have `undone_at`. meta: total, and `refusals` (merges that were not made, and why).
    """
    query = read_query(request, MergesQuery)
    app_id, profile_id = query["website_id"], profile_id_of(request)
    caller, now = caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        found = await find_merges(conn, app_id, profile_id, query["limit"], query["offset"])
        await record_audit_entry(
            conn,
            caller,
            "list_merges",
            now=now,
            app_id=app_id,
            target_type="profile",
            target_id=profile_id,
        )
    meta = {"total": found.total, "refusals": found.refusals}
    return json_response(request, document_of(found.merges, meta=meta))


def profile_id_of(request: web.Request) -> str:
    """The profile id of the path.  Errors: Invalid when it is no UUID."""
    return parse_uuid(request.match_info["profile_id"], "profile_id")
