"""Public reads: attributes, audiences, check; what SDKs ask byte for byte."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import UNUSED_AUDIENCE, App

VISITOR = "0123456789abcdef"


async def _get(app: App, path: str, **query: str) -> Any:
    return await app.service.get(
        f"/data/public/api/profiles/{path}", params={"website_id": app.app_id, **query}
    )


async def _write(app: App, **attributes: Any) -> None:
    entries = [{"name": name, "value": value} for name, value in attributes.items()]
    status, _ = await app.write({"analytics_visitor_id": VISITOR, "attributes": entries})
    assert status == 204


async def _join_audience(app: App, audience_id: str) -> None:
    await app.rows.execute(
        "INSERT INTO audience_members SELECT $1, $2, profile_id, now() FROM profiles "
        "WHERE app_id = $1",
        app.app_id,
        audience_id,
    )


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("audience_id={audience}&website_id={app}", id="Android"),
        pytest.param("website_id={app}&audience_id={audience}", id="iOS"),
    ],
)
async def test_sdk_check_byte_for_byte(app: App, query: str) -> None:
    await _write(app)
    filled = query.format(audience=UNUSED_AUDIENCE, app=app.app_id)
    url = f"/data/public/api/profiles/{VISITOR}/audiences/check/?{filled}"
    answer = await app.service.get(url, headers={"Accept-Encoding": "gzip"})
    assert (answer.status, await answer.json()) == (200, {"result": False})
    await _join_audience(app, UNUSED_AUDIENCE)
    answer = await app.service.get(url)
    assert (answer.status, await answer.json()) == (200, {"result": True})
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "ETag" not in answer.headers


async def test_audiences_are_listed_in_order(app: App) -> None:
    await _write(app)
    ids = sorted(str(uuid4()) for _ in range(5))
    for audience_id in reversed(ids):
        await _join_audience(app, audience_id)
    answer = await _get(app, f"{VISITOR}/audiences/")
    assert (answer.status, await answer.json()) == (200, ids)


async def test_only_whitelisted_attributes_are_shown(app: App) -> None:
    await _write(app, color="green", age=32, tags=["b", "a"], secret="s")
    answer = await _get(app, f"{VISITOR}/attributes/")
    assert (answer.status, await answer.json()) == (200, [])
    for name in ("tags", "age", "color", "never written"):
        await app.allow(name)
    answer = await _get(app, f"{VISITOR}/attributes/")
    assert await answer.json() == [
        {"name": "age", "value": 32, "field_type": "attributes"},
        {"name": "color", "value": "green", "field_type": "attributes"},
        {"name": "tags", "value": ["b", "a"], "field_type": "attributes"},
    ]


async def test_analytics_attributes_come_first(app: App) -> None:
    await _write(app, country="custom", Zone="z")
    await app.rows.execute("""UPDATE profiles SET analytics = '{"os": "Linux", "country": "pl"}'""")
    for field_type in ("attributes", "analytics"):
        await app.allow("country", field_type)
    await app.allow("os", "analytics")
    await app.allow("Zone")
    answer = await _get(app, f"{VISITOR}/attributes/")
    assert [(row["field_type"], row["name"], row["value"]) for row in await answer.json()] == [
        ("analytics", "country", "pl"),
        ("analytics", "os", "Linux"),
        ("attributes", "Zone", "z"),
        ("attributes", "country", "custom"),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.0, "5"),
        (-3, "-3"),
        (0.1, "0.1"),
        (9007199254740991, "9007199254740991"),
        (1e15, "1" + "0" * 15),
    ],
)
async def test_numbers_are_shown_without_exponent_or_empty_fraction(
    app: App, value: float, text: str
) -> None:
    await _write(app, n=value)
    await app.allow("n")
    answer = await _get(app, f"{VISITOR}/attributes/")
    assert f'"value": {text}' in await answer.text()


async def test_unknown_visitor(app: App) -> None:
    other = "f" * 16
    answer = await _get(app, f"{other}/audiences/")
    assert (answer.status, await answer.json()) == (200, [])
    answer = await _get(app, f"{other}/audiences/check/", audience_id=UNUSED_AUDIENCE)
    assert (answer.status, await answer.json()) == (200, {"result": False})
    answer = await _get(app, f"{other}/attributes/")
    assert (answer.status, answer.content_type) == (404, "text/plain")
    assert await answer.text() == "Profile not found\n"


async def test_visitor_id_in_upper_case_is_the_same_visitor(app: App) -> None:
    await _write(app, color="green")
    await app.allow("color")
    answer = await _get(app, f"{VISITOR.upper()}/attributes/")
    assert len(await answer.json()) == 1


async def test_every_visitor_id_of_a_merged_profile_resolves(app: App) -> None:
    other = "f" * 16
    await app.write({"analytics_visitor_id": VISITOR, "attributes": [{"name": "a", "value": "x"}]})
    await app.write({"analytics_visitor_id": other, "attributes": [{"name": "b", "value": "y"}]})
    await app.write({"analytics_visitor_id": VISITOR, "user_id": "m"})
    await app.write({"analytics_visitor_id": other, "user_id": "m"})
    await app.allow("a")
    await app.allow("b")
    for visitor in (VISITOR, other):
        answer = await _get(app, f"{visitor}/attributes/")
        assert [row["name"] for row in await answer.json()] == ["a", "b"]


@pytest.mark.parametrize(
    ("path", "query", "status", "problem"),
    [
        (f"{VISITOR}/attributes/", {"website_id": ""}, 400, "website_id is required"),
        (f"{VISITOR}/attributes/", {"website_id": "5"}, 400, "website_id must be a UUID"),
        ("xyz/attributes/", {}, 400, "analytics_visitor_id (in the path) must be 16 hex digits"),
        ("0123/audiences/", {}, 400, "analytics_visitor_id (in the path) must be 16 hex digits"),
        (f"{VISITOR}/audiences/check/", {}, 400, "audience_id is required"),
        (f"{VISITOR}/audiences/check/", {"audience_id": "5"}, 400, "audience_id must be a UUID"),
    ],
)
async def test_malformed_read_names_the_field(
    app: App, path: str, query: dict[str, str], status: int, problem: str
) -> None:
    answer = await _get(app, path, **query)
    assert (answer.status, answer.content_type) == (status, "text/plain")
    assert (await answer.text()).startswith(f"Bad Request: {problem}")


@pytest.mark.parametrize("path", ["attributes/", "audiences/", "audiences/check/"])
async def test_unknown_or_switched_off_app_is_403(app: App, path: str) -> None:
    await _write(app)
    query = {"audience_id": UNUSED_AUDIENCE}
    answer = await _get(app, f"{VISITOR}/{path}", **query, website_id=str(uuid4()))
    assert (answer.status, answer.content_type) == (403, "text/plain")
    assert (await _get(app, f"{VISITOR}/{path}", **query)).status == 200
    await app.rows.execute("UPDATE apps SET is_audience_manager_enabled = false")
    assert (await _get(app, f"{VISITOR}/{path}", **query)).status == 403


async def test_denied_attribute_is_gone_from_the_next_read(app: App) -> None:
    await _write(app, color="green")
    await app.allow("color")
    assert await (await _get(app, f"{VISITOR}/attributes/")).json() != []
    await app.rows.execute("DELETE FROM attribute_whitelist")
    assert json.loads(await (await _get(app, f"{VISITOR}/attributes/")).text()) == []
