"""Changes of single profiles by hand, over the authorized API."""

from datetime import datetime
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.apps.access import access_app, caller_of
from audience.apps.audit.operations import record_audit_entry
from audience.errors import Invalid
from audience.profile_changes.curation.operations import (
    delete_profile_by_id,
    merge_profiles_by_id,
    split_profile_by_id,
)
from audience.profile_changes.curation.schemas import MergeBody, SplitBody
from audience.profile_changes.curation.undo import undo_merge_by_id
from audience.profiles.authorized.handlers import profile_id_of
from audience.profiles.authorized.operations import PROFILE_KIND, profile_resource
from audience.profiles.authorized.schemas import ProfileAnswer, ProfileAttributes, WebsiteQuery
from audience.profiles.identifiers import Identifier, parse_identifier
from audience.profiles.profile import Profile, profile_document
from audience.profiles.storage import lock_apps
from audience.server import clock
from audience.server.database import raw
from audience.server.json_api import (
    document_of,
    json_response,
    no_content,
    read_body,
    read_query,
)
from audience.server.keys import DATABASE
from audience.server.openapi import described
from audience.uuid_text import parse_uuid


@described(query=WebsiteQuery, status=204)
async def delete_profile(request: web.Request) -> web.Response:
    """DELETE /api/audiences/v1/profiles/{id}/?website_id= -> 204; everything of it is gone.

    The id of an absorbed profile deletes its survivor: they are one person.
    """
    app_id = read_query(request, WebsiteQuery)["website_id"]
    profile_id = profile_id_of(request)
    caller, now = caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        deleted = await delete_profile_by_id(await raw(conn), app_id, profile_id)
        await record_audit_entry(
            conn,
            caller,
            "delete_profile",
            now=now,
            app_id=app_id,
            target_type="profile",
            target_id=deleted,
        )
    return no_content()


@described(query=WebsiteQuery, body=MergeBody, answer=ProfileAnswer)
async def merge_profiles(request: web.Request) -> web.Response:
    """POST /api/audiences/v1/profiles/{id}/merge/?website_id= -> 200, the survivor: {id}.

    Body: {"profile_id", "force"?}. 409 `same_profile`, `different_user_ids` (never forced),
    `different_emails` (unless forced: the survivor keeps its own), `too_many_identifiers`.
    """
    app_id = read_query(request, WebsiteQuery)["website_id"]
    profile_id = profile_id_of(request)
    body = await read_body(request, MergeBody)
    caller = caller_of(request)
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        now = await _moment_of_change(conn, app_id)
        merged = await merge_profiles_by_id(
            await raw(conn),
            app_id,
            (profile_id, body["profile_id"]),
            now,
            is_forced=body["force"],
        )
        await record_audit_entry(
            conn,
            caller,
            "merge_profiles",
            now=now,
            app_id=app_id,
            target_type="profile",
            target_id=merged.profile_id,
        )
    return json_response(request, _document(app_id, merged))


@described(query=WebsiteQuery, body=SplitBody, answer=ProfileAnswer, status=201)
async def split_profile(request: web.Request) -> web.Response:
    """POST /api/audiences/v1/profiles/{id}/split/?website_id= -> 201, the new profile.

    Body: {"identifiers": [{"identifier", "value"}]}, which the new profile gets; attributes and
    everything else stay. 400 for an identifier the profile does not hold, 409 `no_identifier_left`.
    """
    app_id = read_query(request, WebsiteQuery)["website_id"]
    profile_id = profile_id_of(request)
    identifiers = _identifiers((await read_body(request, SplitBody))["identifiers"])
    caller = caller_of(request)
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        now = await _moment_of_change(conn, app_id)
        new = await split_profile_by_id(await raw(conn), app_id, profile_id, identifiers, now)
        await record_audit_entry(
            conn,
            caller,
            "split_profile",
            now=now,
            app_id=app_id,
            target_type="profile",
            target_id=profile_id,
        )
    return json_response(request, _document(app_id, new), 201)


@described(query=WebsiteQuery, answer=ProfileAttributes, resource=PROFILE_KIND)
async def undo_merge(request: web.Request) -> web.Response:
    """POST /api/audiences/v1/merges/{id}/undo/?website_id= -> 200, the profile that is back.

    What was written since the merge stays with the survivor. 404 for an unknown merge, 409
    `merge_undone` when it was taken back before, `person_erased` for somebody erased since.
    """
    app_id = read_query(request, WebsiteQuery)["website_id"]
    merge_id = parse_uuid(request.match_info["merge_id"], "merge_id")
    caller = caller_of(request)
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        now = await _moment_of_change(conn, app_id)
        restored = await undo_merge_by_id(await raw(conn), app_id, merge_id, now)
        await record_audit_entry(
            conn,
            caller,
            "undo_merge",
            now=now,
            app_id=app_id,
            target_type="merge",
            target_id=merge_id,
        )
    return json_response(request, _document(app_id, restored))


async def _moment_of_change(conn: AsyncConnection, app_id: str) -> datetime:
    """Now, under the app's lock: so the ledger has merges in the order in which they happened."""
    await lock_apps(await raw(conn), [app_id])
    return clock.now()


def _identifiers(given: list[dict[str, str]]) -> list[Identifier]:
    found = []
    for position, pair in enumerate(given):
        identifier = parse_identifier(pair["identifier"], pair["value"])
        if identifier is None:
            path = f"identifiers[{position}].value"
            message = f"{path} is no {pair['identifier']}"
            raise Invalid(message, path=path)
        found.append(identifier)
    return found


def _document(app_id: str, profile: Profile) -> dict[str, Any]:
    return document_of(profile_resource(profile_document(app_id, profile)))
