"""/api/audiences/v1/attributes/: list with statistics, declaring, the whitelist, over HTTP."""

from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient

from audience import public
from audience.profiles.attribute_statistics import jobs, storage
from audience.server import clock
from audience.server.database import Database
from audience.server.settings import Settings
from consent.app import create_app
from tests.conftest import App, Authorized, MakeApp, MakeClient, serve_in_test

ATTRIBUTES = "/api/audiences/v1/attributes/"
VISITOR = "00000000000000a1"


def _url(app: App, **query: Any) -> str:
    extra = "".join(f"&{name}={value}" for name, value in query.items())
    return f"{ATTRIBUTES}?website_id={app.app_id}{extra}"


def _document(attribute_id: str | None = None, **attributes: Any) -> dict[str, Any]:
    data = {"type": "Attribute", "attributes": attributes}
    return {"data": data if attribute_id is None else {**data, "id": attribute_id}}


async def _count(app: App) -> None:
    while await jobs.count_due_attributes(app.service.app):
        pass


async def _list(app: App, client: Authorized, **query: Any) -> dict[str, Any]:
    status, body = await client.get(_url(app, **query))
    assert status == 200
    return {one["id"]: one["attributes"] for one in body["data"]}


def _item(user_id: str, **attributes: Any) -> dict[str, Any]:
    entries = [{"name": name, "value": value} for name, value in attributes.items()]
    return {"user_id": user_id, "attributes": entries}


async def test_attributes_are_listed_with_statistics_and_their_time(
    app: App, noise: App, authorized: Authorized
) -> None:
    await app.write(
        _item("a", age=30, likes=["x", "y"], city="Ulm"),
        _item("b", age=30.0, likes=["x"]),
        _item("c", age=41, likes="x"),
        _item("d"),
    )
    fact = {"website_id": app.app_id, "analytics_visitor_id": VISITOR, "analytics": {"os": "BSD"}}
    await authorized.post(
        "/api/audiences/v1/analytics/", json={**fact, "occurred_at": "2026-01-01T00:00:00Z"}
    )
    before = await _list(app, authorized)
    assert list(before) == ["analytics:os", "attributes:age", "attributes:city", "attributes:likes"]
    assert "statistics" not in before["attributes:age"]
    await _count(app)
    found = await _list(app, authorized)
    age = found["attributes:age"]
    moment = age["statistics"].pop("refreshed_at")
    assert age.pop("first_seen_at") < moment
    assert age == {
        "field_type": "attributes",
        "name": "age",
        "value_type": "numeric",
        "is_public": False,
        "statistics": {
            "share": 0.6,
            "profile_count": 3,
            "distinct_count": 2,
            "most_common": [{"value": 30, "count": 2}, {"value": 41, "count": 1}],
        },
    }
    likes = found["attributes:likes"]["statistics"]
    assert (likes["profile_count"], likes["distinct_count"]) == (3, 2)
    assert likes["most_common"] == [{"value": "x", "count": 3}, {"value": "y", "count": 1}]
    assert found["analytics:os"]["statistics"]["share"] == 0.2
    assert "attributes:noise" in await _list(noise, authorized)


async def test_only_the_five_most_common_values_are_kept(app: App, authorized: Authorized) -> None:
    await app.write(*(_item(f"u{n}", x=f"v{n % 7}") for n in range(20)))
    await _count(app)
    statistics = (await _list(app, authorized))["attributes:x"]["statistics"]
    assert statistics["distinct_count"] == 7
    assert [row["count"] for row in statistics["most_common"]] == [3, 3, 3, 3, 3]


async def test_long_values_are_counted_and_not_shown(app: App, authorized: Authorized) -> None:
    await app.write(_item("a", x="v" * 300), _item("b", x="short"), _item("c", y="v" * 300))
    await _count(app)
    found = await _list(app, authorized)
    assert found["attributes:x"]["statistics"]["distinct_count"] == 2
    common = [found[f"attributes:{name}"]["statistics"]["most_common"] for name in "xy"]
    assert common == [[{"value": "short", "count": 1}], []]


async def test_statistics_are_refreshed_when_they_are_due(app: App, authorized: Authorized) -> None:
    await app.write(_item("a", x="1"))
    await _count(app)
    await app.write(_item("b", x="2"))
    await _count(app)
    assert (await _list(app, authorized))["attributes:x"]["statistics"]["profile_count"] == 1
    due = "UPDATE attribute_counts SET due_at = now() WHERE app_id = $1 RETURNING refreshed_at"
    earlier = await app.rows.fetchval(due, app.app_id)
    await _count(app)
    assert (await _list(app, authorized))["attributes:x"]["statistics"]["profile_count"] == 2
    assert await app.rows.fetchval(due, app.app_id) > earlier


async def test_list_is_paged_and_filtered(app: App, authorized: Authorized) -> None:
    await app.write(_item("a", **{f"attr{n:02}": "x" for n in range(12)}, Other="x"))
    status, body = await authorized.get(_url(app))
    assert (status, len(body["data"]), body["meta"]) == (200, 10, {"total": 13})
    names = [one["attributes"]["name"] for one in body["data"]]
    assert names == ["Other", *(f"attr{n:02}" for n in range(9))]
    assert list(await _list(app, authorized, offset=12)) == ["attributes:attr11"]
    assert list(await _list(app, authorized, name="OTH")) == ["attributes:Other"]
    assert await _list(app, authorized, name="%25") == {}
    assert await _list(app, authorized, field_type="analytics") == {}
    for wrong in ("limit=101", "field_type=forms", "offset=-1", "name=%00"):
        status, body = await authorized.get(f"{_url(app)}&{wrong}")
        assert status == 400
        assert body["errors"][0]["source"] == {"parameter": wrong.partition("=")[0]}


async def test_declared_attribute_keeps_its_type(app: App, authorized: Authorized) -> None:
    made = _document(name="age", value_type="numeric", is_public=True)
    status, body = await authorized.post(_url(app), json=made)
    assert (status, body["data"]["id"]) == (201, "attributes:age")
    assert body["data"]["attributes"]["value_type"] == "numeric"
    assert body["data"]["attributes"]["is_public"] is True
    status, text = await app.write(_item("u", age="forty"))
    assert (status, "type_mismatch" in text) == (200, True)
    assert (await app.write(_item("u", age="40")))[0] == 204
    assert (await app.profile("user_id", "u"))["attributes"] == {"age": 40}
    status, body = await authorized.post(_url(app), json=made)
    assert (status, body["errors"][0]["code"]) == (409, "attribute_exists")


async def test_attribute_declared_without_a_type_gets_that_of_its_first_value(
    app: App, authorized: Authorized
) -> None:
    _, body = await authorized.post(_url(app), json=_document(name="x"))
    assert "value_type" not in body["data"]["attributes"]
    await app.write(_item("u", x=5))
    assert (await _list(app, authorized))["attributes:x"]["value_type"] == "numeric"


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({}, "/data/attributes/name"),
        ({"name": ""}, "/data/attributes/name"),
        ({"name": "x" * 256}, "/data/attributes/name"),
        ({"name": "x", "value_type": "date"}, "/data/attributes/value_type"),
        ({"name": "x", "field_type": "forms"}, "/data/attributes/field_type"),
        ({"name": "x", "is_public": "yes"}, "/data/attributes/is_public"),
        ({"name": "x", "field_type": "analytics"}, "/data/attributes/name"),
        (
            {"name": "os", "field_type": "analytics", "value_type": "numeric"},
            "/data/attributes/name",
        ),
    ],
)
async def test_malformed_declaration_is_refused(
    app: App, authorized: Authorized, attributes: dict[str, Any], pointer: str
) -> None:
    status, body = await authorized.post(_url(app), json=_document(**attributes))
    assert (status, body["errors"][0]["source"]) == (400, {"pointer": pointer})
    assert await app.count("attribute_definitions") == 0


@pytest.mark.parametrize("is_in_path", [True, False])
async def test_whitelist_takes_effect_on_the_next_read_of_every_worker(
    app: App, authorized: Authorized, database_url: str, *, is_in_path: bool
) -> None:
    name = "likes/this? 100%"
    await app.write({"analytics_visitor_id": VISITOR, "attributes": [{"name": name, "value": "x"}]})
    attribute_id = f"attributes:{name}"
    path = "attributes%3Alikes%2Fthis%3F%20100%25/" if is_in_path else ""
    change = f"{ATTRIBUTES}{path}?website_id={app.app_id}"
    public = f"/audiences/public/api/profiles/{VISITOR}/attributes/?website_id={app.app_id}"
    worker = TestClient(serve_in_test(create_app(Settings(), database_url, with_jobs=False)))
    async with worker:
        for is_public, expected in ((True, 1), (True, 1), (False, 0)):
            document = _document(attribute_id, is_public=is_public)
            status, body = await authorized.patch(change, json=document)
            assert (status, body) == (204, "")
            for client in (app.service, worker):
                assert len(await (await client.get(public)).json()) == expected
            listed = await _list(app, authorized)
            assert listed[attribute_id]["is_public"] is is_public


async def test_patch_of_nothing_and_of_unknown_attributes(
    app: App, noise: App, authorized: Authorized
) -> None:
    await noise.write(_item("u", theirs="x"))
    for attribute_id in ("attributes:x", "attributes:theirs", "x", "forms:x", "attributes:a\x00"):
        document = _document(attribute_id, is_public=True)
        assert (await authorized.patch(_url(app), json=document))[0] == 404
    status, body = await authorized.patch(_url(app), json=_document(is_public=True))
    assert (status, body["errors"][0]["source"]) == (400, {"pointer": "/data/id"})
    await app.write(_item("u", x="1"))
    path = f"{ATTRIBUTES}attributes:x/?website_id={app.app_id}"
    other = _document("attributes:y", is_public=True)
    assert (await authorized.patch(path, json=other))[0] == 400
    nothing = _document("attributes:x")
    assert (await authorized.patch(path, json=nothing))[0] == 204
    unknown = _document("attributes:x", name="y")
    assert (await authorized.patch(path, json=unknown))[0] == 400


async def test_who_may_see_and_change_attributes(
    app: App, make_app: MakeApp, make_client: MakeClient
) -> None:
    await app.write(_item("u", x="1"))
    foreign = await make_app("other")
    writer, reader = await make_client("write"), await make_client("read")
    assert (await reader.get(_url(app)))[0] == 200
    assert (await (await make_client("privacy")).get(_url(app)))[0] == 403
    document = _document("attributes:x", is_public=True)
    assert (await reader.patch(_url(app), json=document))[0] == 403
    assert (await reader.post(_url(app), json=_document(name="y")))[0] == 403
    assert (await writer.get(_url(foreign)))[0] == 404
    assert (await writer.post(_url(foreign), json=_document(name="y")))[0] == 404
    assert (await writer.patch(_url(foreign), json=document))[0] == 404
    assert await app.count("attribute_whitelist") == 0


async def test_changes_are_audited(app: App, authorized: Authorized) -> None:
    await app.write(_item("u", x="secret-value"))
    await _count(app)
    await authorized.get(_url(app))
    await authorized.post(_url(app), json=_document(name="y"))
    await authorized.patch(_url(app), json=_document("attributes:x", is_public=True))
    rows = await app.rows.fetch("SELECT * FROM audit_entries ORDER BY entry_id")
    assert [(row["operation"], row["target_id"]) for row in rows] == [
        ("list_attributes", None),
        ("create_attribute", "attributes:y"),
        ("update_attribute", "attributes:x"),
    ]
    assert "secret-value" not in str(rows)


async def test_statistics_forget_what_only_a_deleted_profile_had(
    app: App, noise: App, authorized: Authorized
) -> None:
    await app.write(
        _item("a", city="Ulm", likes=["x", "mine"], name="secret-name"),
        _item("b", city="Ulm", likes=["x"], name="other"),
    )
    await noise.write(_item("a", name="secret-name"))
    await _count(app)
    profile_id = (await app.profile("user_id", "a"))["id"]
    url = f"/api/audiences/v1/profiles/{profile_id}/?website_id={app.app_id}"
    assert (await authorized.delete(url))[0] == 204
    found = await _list(app, authorized)
    common = {
        name: [row["value"] for row in found[f"attributes:{name}"]["statistics"]["most_common"]]
        for name in ("city", "likes", "name")
    }
    assert common == {"city": ["Ulm"], "likes": ["x"], "name": ["other"]}
    assert "secret-name" in str(await _list(noise, authorized))


async def test_statistics_forget_what_only_an_erased_person_had(
    app: App, authorized: Authorized, database: Database
) -> None:
    await app.write(_item("a", name="secret-name"), _item("b", name="other"))
    await _count(app)
    async with database.transaction() as conn:
        await public.erase_person(
            conn, app.app_id, [public.Identifier("user_id", "a")], clock.now()
        )
    found = (await _list(app, authorized))["attributes:name"]["statistics"]
    assert found["most_common"] == [{"value": "other", "count": 1}]


async def _erase(database: Database, app: App, user_id: str) -> None:
    async with database.transaction() as conn:
        whom = [public.Identifier("user_id", user_id)]
        await public.erase_person(conn, app.app_id, whom, clock.now())


async def _common_names(app: App, authorized: Authorized) -> list[dict[str, Any]]:
    found = (await _list(app, authorized))["attributes:name"]
    common: list[dict[str, Any]] = found["statistics"]["most_common"]
    return common


async def test_a_count_under_way_brings_nothing_of_an_erased_person_back(
    app: App, authorized: Authorized, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.write(
        _item("a", name="secret-name", likes=["often", "secret-like"]),
        _item("b", name="often", likes=["often"]),
        _item("c", name="often"),
    )
    count = storage.count_attributes

    async def count_then_erase(
        conn: asyncpg.Connection, app_id: str, most_common: int
    ) -> storage.Counted:
        counted = await count(conn, app_id, most_common)
        if app_id == app.app_id:
            await _erase(database, app, "a")
        return counted

    monkeypatch.setattr(storage, "count_attributes", count_then_erase)
    await _count(app)
    listed = await _list(app, authorized)
    assert "secret" not in str(listed)
    assert await _common_names(app, authorized) == [{"value": "often", "count": 2}]


async def test_statistics_forget_what_an_erased_person_had_when_they_were_counted(
    app: App, authorized: Authorized, database: Database
) -> None:
    likes = [{"name": "likes", "value": "secret-like", "action": "list-add"}]
    await app.write(_item("a", name="secret-name"), {"user_id": "a", "attributes": likes})
    await app.write(_item("b", name="often"), _item("c", name="often"))
    await _count(app)
    removed = [{"name": "likes", "value": "secret-like", "action": "list-remove"}]
    await app.write(_item("a", name="harmless"), {"user_id": "a", "attributes": removed})
    await _erase(database, app, "a")
    assert "secret" not in str(await _list(app, authorized))
    assert await _common_names(app, authorized) == [{"value": "often", "count": 2}]


async def test_statistics_forget_a_value_with_the_last_person_who_had_it(
    app: App, authorized: Authorized, database: Database
) -> None:
    await app.write(*[_item(user_id, name="theirs") for user_id in "ab"], _item("c", name="other"))
    await _count(app)
    await _erase(database, app, "a")
    once = [{"value": "theirs", "count": 1}, {"value": "other", "count": 1}]
    assert await _common_names(app, authorized) == once
    await _erase(database, app, "b")
    assert await _common_names(app, authorized) == [{"value": "other", "count": 1}]


async def test_statistics_forget_what_two_erased_persons_had_when_they_were_counted(
    app: App, authorized: Authorized, database: Database
) -> None:
    await app.write(*[_item(user_id, name="secret-name") for user_id in "ab"])
    await app.write(*[_item(user_id, name="often") for user_id in "cde"], _item("f", name="rare"))
    await _count(app)
    await app.write(_item("a", name="harmless"))
    await _erase(database, app, "a")
    # Of a nobody knows any more what it was counted with: so nothing that one alone has is shown.
    shown = [{"value": "often", "count": 3}, {"value": "secret-name", "count": 2}]
    assert await _common_names(app, authorized) == shown
    await app.write(_item("b", name="harmless"))
    await _erase(database, app, "b")
    assert await _common_names(app, authorized) == [{"value": "often", "count": 3}]


@pytest.mark.parametrize("has_changed", [False, True])
async def test_statistics_forget_what_persons_erased_during_and_after_a_count_had(
    app: App,
    authorized: Authorized,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    *,
    has_changed: bool,
) -> None:
    await app.write(*[_item(user_id, name="secret-name") for user_id in "ab"])
    await app.write(*[_item(user_id, name="often") for user_id in "cde"])
    count = storage.count_attributes

    async def count_then_erase(
        conn: asyncpg.Connection, app_id: str, most_common: int
    ) -> storage.Counted:
        counted = await count(conn, app_id, most_common)
        if app_id == app.app_id:
            await _erase(database, app, "a")
        return counted

    monkeypatch.setattr(storage, "count_attributes", count_then_erase)
    await _count(app)
    if has_changed:
        await app.write(_item("b", name="harmless"))
    await _erase(database, app, "b")
    assert await _common_names(app, authorized) == [{"value": "often", "count": 3}]


async def test_erasing_before_the_first_count_is_no_count(
    app: App, authorized: Authorized, database: Database
) -> None:
    await app.write(_item("a", name="mine"), _item("b", name="other"))
    await _erase(database, app, "a")
    assert "statistics" not in (await _list(app, authorized))["attributes:name"]
    await _count(app)
    assert await _common_names(app, authorized) == [{"value": "other", "count": 1}]
