"""Declaring and changing attributes: POST and PATCH /api/audiences/v1/attributes/."""

from typing import Any

import asyncpg
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.apps.access import Caller, access_app, caller_of
from audience.apps.audit.operations import record_audit_entry
from audience.attributes.catalogue.operations import KIND, attribute_resource, get_attribute
from audience.attributes.catalogue.schemas import (
    AttributeAnswer,
    AttributeChange,
    AttributeCreation,
)
from audience.attributes.operations import allow_attribute, deny_attribute
from audience.errors import Invalid
from audience.profile_changes.type_conversions.operations import (
    begin_conversion,
    declare_attribute,
    forecast_conversion,
)
from audience.profile_changes.type_conversions.schemas import AttributeChangeQuery
from audience.profiles.authorized.schemas import WebsiteQuery
from audience.profiles.storage import lock_apps
from audience.server import clock
from audience.server.database import raw
from audience.server.json_api import (
    document_of,
    json_response,
    no_content,
    read_named_resource,
    read_query,
    read_resource,
)
from audience.server.keys import DATABASE
from audience.server.openapi import described


@described(
    query=WebsiteQuery, body=AttributeCreation, answer=AttributeAnswer, resource=KIND, status=201
)
async def create_attribute(request: web.Request) -> web.Response:
    """POST /api/audiences/v1/attributes/?website_id= -> 201, the attribute, before its first value.

    Without `value_type` the first value decides. 409 when it exists.
    """
    app_id = read_query(request, WebsiteQuery)["website_id"]
    given = await read_resource(request, KIND, AttributeCreation)
    caller, now = caller_of(request), clock.now()
    attribute = (given["field_type"], given["name"])
    attribute_id = ":".join(attribute)
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        driver = await raw(conn)
        await declare_attribute(driver, app_id, attribute, given.get("value_type"), now)
        if given.get("is_public"):
            await allow_attribute(conn, app_id, *attribute, now)
        await _record(conn, caller, "create_attribute", app_id, attribute_id)
        made = await get_attribute(driver, app_id, attribute_id)
    return json_response(request, document_of(attribute_resource(made)), 201)


@described(query=AttributeChangeQuery, body=AttributeChange, resource=KIND, status=204)
async def update_attribute(request: web.Request) -> web.Response:
    """PATCH /api/audiences/v1/attributes/[{id}/]?website_id=&confirm= -> 204, 200 or 202.

    The document's id, `<field_type>:<name>`, says which attribute. `is_public` counts from the next
    public read on, in every process (204). Another `value_type` is answered with what would become
    of the stored values, {"meta": {"convertible", "not_convertible", "examples"}}, and changes
    nothing at all (200); with `confirm=true` it counts for new writes at once, and stored values
    are converted in the background, those that can't be are removed (202).
    """
    query = read_query(request, AttributeChangeQuery)
    app_id = query["website_id"]
    attribute_id, given = await _read_change(request)
    caller = caller_of(request)
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        driver = await raw(conn)
        row = await _attribute(driver, app_id, attribute_id, given)
        meta = await _forecast(driver, app_id, row, given)
        if meta is not None and not query["confirm"]:
            # It shows values of profiles.
            await _record(conn, caller, "forecast_attribute", app_id, attribute_id)
            return json_response(request, document_of(attribute_resource(row), meta=meta))
        await _apply(conn, app_id, row, given)
        await _record(conn, caller, "update_attribute", app_id, attribute_id)
        if meta is None:
            return no_content()
        changed = await get_attribute(driver, app_id, attribute_id)
        meta["is_converting"] = True
        return json_response(request, document_of(attribute_resource(changed), meta=meta), 202)


async def _attribute(
    driver: asyncpg.Connection, app_id: str, attribute_id: str, given: dict[str, Any]
) -> dict[str, Any]:
    """The attribute; without a type it keeps none until the end of the transaction."""
    row = await get_attribute(driver, app_id, attribute_id)
    if row["value_type"] is not None or "value_type" not in given:
        return row
    # A write may be giving it its type: then there are values, and no change without a forecast.
    await lock_apps(driver, [app_id])
    return await get_attribute(driver, app_id, attribute_id)


async def _forecast(
    driver: asyncpg.Connection, app_id: str, row: dict[str, Any], given: dict[str, Any]
) -> dict[str, Any] | None:
    """What a change of the type would do to the stored values; None: there are none to convert."""
    value_type = given.get("value_type", row["value_type"])
    if value_type == row["value_type"]:
        return None
    if row["field_type"] != "attributes":
        message = "an analytics attribute is a text"
        raise Invalid(message, path="value_type")
    if row["value_type"] is None:
        return None
    forecast = await forecast_conversion(driver, app_id, row["attribute_name"], value_type)
    return {
        "convertible": forecast.convertible,
        "not_convertible": forecast.not_convertible,
        "examples": forecast.examples,
        "is_converting": False,
    }


async def _apply(
    conn: AsyncConnection, app_id: str, row: dict[str, Any], given: dict[str, Any]
) -> None:
    field_type, name = row["field_type"], row["attribute_name"]
    now = clock.now()
    value_type = given.get("value_type", row["value_type"])
    if value_type != row["value_type"]:
        await begin_conversion(await raw(conn), app_id, name, value_type, now)
    if given.get("is_public") is True:
        await allow_attribute(conn, app_id, field_type, name, now)
    elif given.get("is_public") is False:
        await deny_attribute(conn, app_id, field_type, name)


async def _read_change(request: web.Request) -> tuple[str, dict[str, Any]]:
    """(id, what is to be changed); the id is in the path or in the document alone."""
    attribute_id = request.match_info.get("attribute_id")
    if attribute_id is None:
        return await read_named_resource(request, KIND, AttributeChange)
    given = await read_resource(
        request, KIND, AttributeChange, resource_id=attribute_id, is_partial=True
    )
    return attribute_id, given


async def _record(
    conn: AsyncConnection, caller: Caller, operation: str, app_id: str, attribute_id: str
) -> None:
    await record_audit_entry(
        conn,
        caller,
        operation,
        now=clock.now(),
        app_id=app_id,
        target_type="attribute",
        target_id=attribute_id,
    )
