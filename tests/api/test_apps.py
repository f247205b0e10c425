"""/api/apps/v2 and the audit log, over HTTP."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from audience import public
from audience.apps.deletion import erase_deleted_app
from audience.profiles.attribute_statistics.jobs import count_due_attributes
from audience.profiles.identifiers import Identifier
from audience.server import clock
from audience.tables import metadata
from consent.data_subject_requests.opendsr.callbacks import report_some
from tests.api.audience_api import Audiences, leaf
from tests.api.every_operation import OPERATIONS, VISITOR, make_world
from tests.conftest import App, Authorized, MakeApp, MakeClient
from tests.consents import new_visitor
from tests.data_subjects import Office

APPS = "/api/apps/v2"
UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"


def _document(**attributes: Any) -> dict[str, Any]:
    return {"data": {"type": "ppms/app", "attributes": attributes}}


async def test_app_is_made_read_changed_and_listed(authorized: Authorized) -> None:
    status, made = await authorized.post(APPS, json=_document(name="Shop", timezone="Asia/Tokyo"))
    assert status == 201
    app_id = made["data"]["id"]
    assert made["data"]["attributes"] | {"createdAt": "", "updatedAt": ""} == {
        "name": "Shop",
        "organization": "default",
        "urls": [],
        "timezone": "Asia/Tokyo",
        "currency": "USD",
        "gdpr": True,
        "gdprUserModeEnabled": False,
        "privacyCookieDomainsEnabled": False,
        "privacyCookieDomains": [],
        "privacyCookieExpirationPeriod": 31536000,
        "gdprLocationRecognition": False,
        "gdprDataAnonymization": True,
        "gdprDataAnonymizationMode": "session_cookie_id",
        "customConsentForm": False,
        "createdAt": "",
        "updatedAt": "",
    }
    change = _document(gdpr=False, privacyCookieDomains=["*.example.com"], currency="EUR")
    change["data"]["id"] = app_id
    assert await authorized.patch(f"{APPS}/{app_id}", json=change) == (204, "")
    _, found = await authorized.get(f"{APPS}/{app_id}/")
    attributes = found["data"]["attributes"]
    assert attributes["gdpr"] is False
    assert attributes["privacyCookieDomains"] == ["*.example.com"]
    assert (attributes["name"], attributes["timezone"]) == ("Shop", "Asia/Tokyo")
    _, listed = await authorized.get(APPS, params={"search": "HO"})
    assert [app["id"] for app in listed["data"]] == [app_id]
    assert listed["meta"] == {"total": 1}
    assert (await authorized.get(APPS, params={"search": "%"}))[1]["data"] == []


async def test_answer_has_the_content_type_that_was_asked_for(authorized: Authorized) -> None:
    headers = {"Authorization": f"Bearer {authorized.token}"}
    answer = await authorized.service.get(APPS, headers=headers)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    headers["Accept"] = "application/vnd.api+json"
    answer = await authorized.service.get(APPS, headers=headers)
    assert answer.headers["Content-Type"] == "application/vnd.api+json"


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({}, "/data"),
        ({"data": {"type": "app", "attributes": {}}}, "/data/type"),
        (_document(), "/data/attributes/name"),
        (_document(name=""), "/data/attributes/name"),
        (_document(name="x" * 101), "/data/attributes/name"),
        (_document(name="x", timezone="Mars/Base"), "/data/attributes/timezone"),
        (_document(name="x", gdpr="yes"), "/data/attributes/gdpr"),
        (_document(name="x", urls=["ftp://a"]), "/data/attributes/urls/0"),
        (_document(name="x", currency="euro"), "/data/attributes/currency"),
        (
            _document(name="x", privacyCookieExpirationPeriod=1.5),
            "/data/attributes/privacyCookieExpirationPeriod",
        ),
        (_document(name="x", nonsense=1), "/data/attributes/nonsense"),
        (_document(name="x", id="1"), "/data/attributes/id"),
    ],
)
async def test_wrong_document_names_the_field_and_changes_nothing(
    authorized: Authorized, rows: asyncpg.Connection, document: Any, pointer: str
) -> None:
    status, body = await authorized.post(APPS, json=document)
    assert status == 400
    (error,) = body["errors"]
    assert error["source"] == {"pointer": pointer}
    assert error.keys() == {"status", "code", "title", "detail", "source"}
    assert await rows.fetchval("SELECT count(*) FROM apps") == 0


async def test_wrong_media_type_is_415(authorized: Authorized) -> None:
    status, body = await authorized.post(APPS, data=b"{}", headers={"Content-Type": "text/xml"})
    assert status == 415
    assert body["errors"][0]["detail"] == (
        '"text/xml" is not a valid JSON API Content-Type header, '
        'use "application/vnd.api+json" instead'
    )


@pytest.mark.parametrize(
    ("query", "parameter"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("offset=-1", "offset")],
)
async def test_wrong_query_names_the_parameter(
    authorized: Authorized, query: str, parameter: str
) -> None:
    status, body = await authorized.get(f"{APPS}?{query}")
    assert status == 400
    assert body["errors"][0]["source"] == {"parameter": parameter}


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_app_of_another_organization_answers_like_none(
    make_app: MakeApp, make_client: MakeClient, method: str
) -> None:
    app, stranger = await make_app(), await make_client("admin", organization="other")
    answers = []
    for app_id in (app.app_id, UNKNOWN):
        document = _document(name="mine now")
        document["data"]["id"] = app_id
        path = f"{APPS}/{app_id}?confirm=test"
        status, body = await stranger.request(method, path, json=document)
        answers.append((status, str(body).replace(app_id, "")))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert (await stranger.get(APPS))[1]["data"] == []


async def test_deleted_app_is_gone_and_its_rows_follow(
    app: App, noise: App, authorized: Authorized, rows: asyncpg.Connection
) -> None:
    item = {"user_id": "jbond", "attributes": [{"name": "a", "value": "b"}]}
    await app.write(item)
    await noise.write(item)
    await app.allow("a")
    path = f"{APPS}/{app.app_id}"
    status, body = await authorized.delete(path)
    assert (status, body["errors"][0]["source"]) == (400, {"parameter": "confirm"})
    assert (await authorized.delete(f"{path}?confirm=other"))[0] == 400
    assert await authorized.delete(f"{path}?confirm=test") == (204, "")
    assert (await authorized.get(path))[0] == 404
    assert (await app.write(item))[0] == 403
    while await erase_deleted_app(app.service.app):
        pass
    for table in ("apps", "profiles", "profile_identifiers", "attribute_definitions"):
        kept = await rows.fetch(f"SELECT DISTINCT app_id::text FROM {table}")
        assert [row[0] for row in kept] == [noise.app_id], table
    assert await app.count("attribute_whitelist") == 0


#: Who did what is known longer than the app: docs/audiences.md.
_OUTLIVES_APP = {"audit_entries"}


async def _tables_with_rows(app: App) -> set[str]:
    """Of all tables of the database with a column app_id, those that have a row of the app."""
    tables = await app.rows.fetch(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') "
        "AND NOT c.relispartition AND a.attname = 'app_id' AND NOT a.attisdropped"
    )
    return {row[0] for row in tables if await app.count(row[0])}


async def _fill(app: App, client: Authorized, office: Office) -> None:
    """Something of every feature, of persons and of the team."""
    ids = await make_world(app, client)
    await _fill_audiences(app, client)
    await app.allow("color")
    assert (await new_visitor(app).send({"event": "form_view", "source": 1}))[0] == 204
    for name in ("update_consent_settings", "update_request_settings", "split_profile"):
        status, body = await OPERATIONS[name].send(client, ids)
        assert status == OPERATIONS[name].expected, body
    conversion = {"type": "Attribute", "id": "attributes:color"}
    conversion |= {"attributes": {"value_type": "numeric"}}
    path = f"/api/audiences/v1/attributes/?website_id={app.app_id}&confirm=true"
    assert (await client.patch(path, json={"data": conversion}))[0] == 202
    await office.ask_and_get_mail("new@shop.example")
    await office.ask("later@shop.example")
    operation = OPERATIONS["submit_opendsr_request"]
    assert operation.body is not None
    asked = operation.body(ids) | {"status_callback_urls": ["http://127.0.0.1:9/"]}
    assert (await client.post(operation.path, json=asked))[0] == 201
    assert (await client.delete(f"{operation.path}/{asked['subject_request_id']}"))[0] == 202
    # Nobody listens: the callback waits for another try.
    assert await report_some(app.service.app)
    async with app.database.transaction() as conn:
        gone = [Identifier("user_id", "gone")]
        await public.erase_person(conn, app.app_id, gone, clock.now())


async def _fill_audiences(app: App, client: Authorized) -> None:
    """Members, also for a time, counted; a refused merge; an order; statistics of attributes."""
    audiences = Audiences(app, client)
    recent = {"amount": 3, "unit": "days"}
    await audiences.create(leaf("within_last", recent, field_type="profile", name="created_at"))
    await app.write({"user_id": "a", "device_id": "shared"}, {"user_id": "b"}, {"user_id": "gone"})
    await app.write({"user_id": "b", "device_id": "shared"})
    fact = {"website_id": app.app_id, "analytics_visitor_id": VISITOR, "analytics": {}}
    fact |= {"occurred_at": "2026-03-01T12:00:00Z", "order": {"id": "o", "revenue": 1}}
    status, body = await client.post("/api/audiences/v1/analytics/", json=[fact])
    assert status == 200, body
    # Only audiences of yesterday are counted.
    await app.rows.execute("UPDATE audiences SET created_at = created_at - interval '2 days'")
    await audiences.run_jobs()
    while await count_due_attributes(app.service.app):
        pass


async def test_no_table_has_a_row_of_a_deleted_app_but_the_audit_log(
    office: Office, app: App, noise: App, authorized: Authorized
) -> None:
    app = replace(app, service=office.service)
    client = Authorized(office.service, authorized.token)
    await _fill(app, client, office)
    of_others = await _tables_with_rows(noise)
    tables = {table.name for table in metadata.sorted_tables if "app_id" in table.c}
    assert await _tables_with_rows(app) == tables
    assert (await client.delete(f"{APPS}/{app.app_id}?confirm=test"))[0] == 204
    while await erase_deleted_app(app.service.app):
        pass
    assert await _tables_with_rows(app) == _OUTLIVES_APP
    assert await _tables_with_rows(noise) == of_others


async def test_deleted_app_with_an_upload_under_way_holds_no_writer_up(
    app: App, noise: App, authorized: Authorized, database_url: str
) -> None:
    item = {"user_id": "jbond"}
    upload = await asyncpg.connect(database_url)
    try:
        transaction = upload.transaction()
        await transaction.start()
        # What an added row that refers to the app does.
        await upload.execute("SELECT FROM apps WHERE app_id = $1 FOR KEY SHARE", app.app_id)
        assert await authorized.delete(f"{APPS}/{app.app_id}?confirm=test") == (204, "")
        while await asyncio.wait_for(erase_deleted_app(app.service.app), timeout=5):
            pass
        assert (await app.write(item))[0] == 403
        assert (await noise.write(item))[0] == 204
        assert await app.count("apps") == 1
        await transaction.commit()
    finally:
        await upload.close()
    while await erase_deleted_app(app.service.app):
        pass
    assert await app.count("apps") == 0


async def test_audit_log_names_operations_and_never_values(
    authorized: Authorized, make_client: MakeClient
) -> None:
    _, made = await authorized.post(APPS, json=_document(name="Marker name"))
    app_id = made["data"]["id"]
    stranger = await make_client("admin", organization="other")
    status, body = await authorized.get("/api/audit/v1/entries", params={"website_id": app_id})
    assert status == 200
    (entry,) = body["data"]
    assert entry["type"] == "audit/entry"
    assert entry["attributes"]["operation"] == "create_app"
    assert entry["attributes"]["outcome"] == "done"
    assert entry["attributes"]["actor"] == "test"
    assert "Marker name" not in str(body)
    assert (await stranger.get("/api/audit/v1/entries"))[1]["data"] == []
    late = {"since": "2999-01-01T00:00:00Z"}
    assert (await authorized.get("/api/audit/v1/entries", params=late))[1]["data"] == []
    wrong = await authorized.get("/api/audit/v1/entries", params={"since": "yesterday"})
    assert wrong[1]["errors"][0]["source"] == {"parameter": "since"}


async def test_unknown_path_and_wrong_method_are_json_api(authorized: Authorized) -> None:
    for method, path, expected in (("GET", "/api/nothing", 404), ("PUT", "//api/apps//v2", 405)):
        status, body = await authorized.request(method, path)
        assert status == expected
        assert body["errors"][0]["status"] == str(expected)
    answer = await authorized.service.options(APPS)
    assert answer.status == 405
    assert "Access-Control-Allow-Origin" not in answer.headers
