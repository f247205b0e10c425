"""Converting an attribute to another type, over HTTP; values are converted by the job's step."""

import asyncio
from typing import Any

import asyncpg
import pytest

from audience.profile_changes.type_conversions import handlers, operations, storage
from audience.profile_changes.type_conversions.jobs import convert_attributes
from tests.conftest import App, Authorized

ATTRIBUTES = "/api/audiences/v1/attributes/"


def _item(user_id: str, value: Any, action: str = "set") -> dict[str, Any]:
    return {"user_id": user_id, "attributes": [{"name": "x", "value": value, "action": action}]}


async def _patch(
    app: App, client: Authorized, value_type: str, *, confirm: bool, **others: Any
) -> tuple[int, Any]:
    attributes = {"value_type": value_type, **others}
    data = {"type": "Attribute", "id": "attributes:x", "attributes": attributes}
    url = f"{ATTRIBUTES}?website_id={app.app_id}" + ("&confirm=true" if confirm else "")
    return await client.patch(url, json={"data": data})


async def _convert(app: App) -> None:
    while await convert_attributes(app.service.app):
        pass


async def _look(app: App, client: Authorized) -> Any:
    _, body = await client.get(f"{ATTRIBUTES}?website_id={app.app_id}&name=x")
    return body["data"][0]["attributes"]


async def _values(app: App) -> dict[str, Any]:
    rows = await app.rows.fetch(
        "SELECT user_id FROM profiles WHERE app_id = $1 ORDER BY user_id", app.app_id
    )
    return {row[0]: (await app.profile("user_id", row[0]))["attributes"].get("x") for row in rows}


TEXTS = {
    "a": "1",
    "b": " 2.50 ",
    "c": ["3"],
    "d": "four",
    "e": ["5", "6"],
    "f": "four",
    "g": "1e999",
}


async def test_a_forecast_shows_values_and_is_audited(app: App, authorized: Authorized) -> None:
    await app.write(_item("a", "four"))
    _, body = await _patch(app, authorized, "numeric", confirm=False)
    assert body["meta"]["examples"] == ["four"]
    rows = await app.rows.fetch("SELECT operation, target_id FROM audit_entries")
    assert [tuple(row) for row in rows] == [("forecast_attribute", "attributes:x")]


async def test_forecast_counts_and_changes_nothing(
    app: App, noise: App, authorized: Authorized
) -> None:
    await app.write(*(_item(user_id, value) for user_id, value in TEXTS.items()))
    await app.write({"user_id": "without"})
    await noise.write(_item("a", "noise"))
    status, body = await _patch(app, authorized, "numeric", confirm=False, is_public=True)
    assert status == 200
    assert body["meta"] == {
        "convertible": 3,
        "not_convertible": 4,
        "examples": ["four", "1e999", ["5", "6"]],
        "is_converting": False,
    }
    assert body["data"]["attributes"]["value_type"] == "text"
    assert body["data"]["attributes"]["is_public"] is False
    await _convert(app)
    assert await _values(app) == {**TEXTS, "without": None}
    assert (await app.write(_item("a", "text")))[0] == 204


async def test_text_becomes_numeric_and_what_can_not_is_removed(
    app: App, noise: App, authorized: Authorized
) -> None:
    await app.write(*(_item(user_id, value) for user_id, value in TEXTS.items()))
    await noise.write(_item("a", "noise"))
    status, body = await _patch(app, authorized, "numeric", confirm=True, is_public=True)
    assert (status, body["meta"]["is_converting"]) == (202, True)
    assert body["data"]["attributes"]["value_type"] == "numeric"
    assert body["data"]["attributes"]["is_public"] is True
    assert "finished_at" not in body["data"]["attributes"]["conversion"]
    await _convert(app)
    assert await _values(app) == {
        **dict.fromkeys(TEXTS),
        "a": 1,
        "b": 2.5,
        "c": 3,
    }
    conversion = (await _look(app, authorized))["conversion"]
    assert (conversion["converted"], conversion["removed"]) == (3, 4)
    assert conversion["finished_at"] > conversion["requested_at"]
    assert (await noise.profile("user_id", "a"))["attributes"] == {"x": "noise"}
    assert (await app.write(_item("a", "text")))[0] == 200


async def test_numeric_becomes_text(app: App, authorized: Authorized) -> None:
    await app.write(_item("a", 5), _item("b", -0.25), _item("c", 2**53))
    assert (await _patch(app, authorized, "text", confirm=True))[0] == 202
    await _convert(app)
    assert await _values(app) == {"a": "5", "b": "-0.25", "c": "9007199254740992"}


async def test_writes_meanwhile_follow_the_new_type(app: App, authorized: Authorized) -> None:
    await app.write(_item("a", "1"), _item("b", "two"), _item("c", "3"))
    await _patch(app, authorized, "numeric", confirm=True)
    assert await app.write(
        _item("a", 2, "add"), _item("b", 2, "add"), _item("c", "7"), _item("d", 8)
    ) == (204, "")
    await _convert(app)
    assert await _values(app) == {"a": 3, "b": 2, "c": 7, "d": 8}
    await _patch(app, authorized, "text", confirm=True)
    await app.write(
        _item("a", "new", "list-add"),
        _item("b", "2", "list-remove"),
        _item("c", "x", "list-remove"),
    )
    await _convert(app)
    assert await _values(app) == {"a": ["3", "new"], "b": None, "c": "7", "d": "8"}


async def test_conversion_goes_on_in_bounded_steps_after_a_break(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_LOOKED_AT", 5)
    monkeypatch.setattr(operations, "_CHANGED_AT_ONCE", 2)
    await app.write(*(_item(f"u{n:02}", f"{n}") for n in range(23)))
    await _patch(app, authorized, "numeric", confirm=True)
    seen = []
    while await convert_attributes(app.service.app):
        seen.append((await _look(app, authorized))["conversion"]["converted"])
    assert max(late - early for early, late in zip([0, *seen], seen, strict=False)) == 2
    assert seen[-1] == 23
    assert list((await _values(app)).values()) == list(range(23))


async def test_value_that_a_merge_carries_past_the_conversion_is_found(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_LOOKED_AT", 1)
    await app.write({"user_id": "a"}, {"email": "b@example.org", "device_id": "d"})
    await app.write({"device_id": "d", "attributes": [{"name": "x", "value": "5"}]})
    await _patch(app, authorized, "numeric", confirm=True)
    assert await convert_attributes(app.service.app)
    await app.write({"user_id": "a", "device_id": "d"})
    assert await app.count("profiles") == 1
    assert await _values(app) == {"a": "5"}
    await _convert(app)
    assert await _values(app) == {"a": 5}


async def test_undone_merge_brings_no_value_of_the_old_type_back(
    app: App, authorized: Authorized
) -> None:
    await app.write(_item("u", "1"), {"device_id": "d"})
    await app.write({"device_id": "d", "attributes": [{"name": "x", "value": "old"}]})
    await app.write({"user_id": "u", "device_id": "d"})
    await _patch(app, authorized, "numeric", confirm=True)
    await _convert(app)
    merge_id = await app.rows.fetchval("SELECT merge_id FROM profile_merges")
    url = f"/api/audiences/v1/merges/{merge_id}/undo/?website_id={app.app_id}"
    status, body = await authorized.post(url)
    assert status == 200
    assert body["data"]["attributes"]["attributes"] == {}
    assert (await app.profile("device_id", "d"))["attributes"] == {}
    assert (await app.profile("user_id", "u"))["attributes"].get("x") in (1, None)


async def test_conversion_and_writes_at_once_lose_nothing(app: App, authorized: Authorized) -> None:
    await app.write(*(_item(f"u{n}", "1") for n in range(40)))
    await _patch(app, authorized, "numeric", confirm=True)

    async def write(number: int) -> None:
        for _ in range(5):
            assert (await app.write(_item(f"u{number}", 1, "add")))[0] == 204

    await asyncio.gather(_convert(app), *(write(number) for number in range(40)))
    assert set((await _values(app)).values()) == {6}


async def test_only_custom_attributes_are_converted(app: App, authorized: Authorized) -> None:
    fact = {
        "website_id": app.app_id,
        "analytics_visitor_id": "00000000000000a1",
        "occurred_at": "2026-01-01T00:00:00Z",
        "analytics": {"os": "1"},
    }
    await authorized.post("/api/audiences/v1/analytics/", json=fact)
    data = {"type": "Attribute", "id": "analytics:os", "attributes": {"value_type": "numeric"}}
    url = f"{ATTRIBUTES}?website_id={app.app_id}&confirm=true"
    status, body = await authorized.patch(url, json={"data": data})
    assert (status, body["errors"][0]["source"]["pointer"]) == (400, "/data/attributes/value_type")


async def test_same_type_and_a_type_before_the_first_value_need_no_confirmation(
    app: App, authorized: Authorized
) -> None:
    await app.write(_item("u", "1"))
    assert await _patch(app, authorized, "text", confirm=False) == (204, "")
    assert await app.count("attribute_conversions") == 0
    url = f"{ATTRIBUTES}?website_id={app.app_id}"
    for attributes in ({"name": "y"}, {"name": "y", "field_type": "analytics"}):
        await authorized.post(url, json={"data": {"type": "Attribute", "attributes": attributes}})
    data = {"type": "Attribute", "id": "attributes:y", "attributes": {"value_type": "numeric"}}
    assert await authorized.patch(url, json={"data": data}) == (204, "")
    entry = {"name": "y", "value": "text"}
    assert (await app.write({"user_id": "u", "attributes": [entry]}))[0] == 200


async def test_step_of_a_conversion_that_was_taken_back_removes_nothing(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.write(*(_item(user_id, value) for user_id, value in TEXTS.items()))
    await _patch(app, authorized, "numeric", confirm=True)
    find = storage.find_unfinished

    async def find_and_be_late(conn: asyncpg.Connection) -> storage.Conversion | None:
        found = await find(conn)
        if found is not None and found.value_type == "numeric":
            assert (await _patch(app, authorized, "text", confirm=True))[0] == 202
        return found

    monkeypatch.setattr(storage, "find_unfinished", find_and_be_late)
    await _convert(app)
    assert await _values(app) == TEXTS
    assert "finished_at" in (await _look(app, authorized))["conversion"]


async def test_end_of_a_conversion_is_not_the_end_of_the_one_in_its_place(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.write(_item("a", "1"))
    await _patch(app, authorized, "numeric", confirm=True)
    has_misfits = storage.has_misfits

    async def look_and_be_late(conn: asyncpg.Connection, found: storage.Conversion) -> bool:
        is_any = await has_misfits(conn, found)
        monkeypatch.setattr(storage, "has_misfits", has_misfits)
        for value_type in ("text", "numeric"):
            assert (await _patch(app, authorized, value_type, confirm=True))[0] == 202
        return is_any

    monkeypatch.setattr(storage, "has_misfits", look_and_be_late)
    assert await convert_attributes(app.service.app)
    assert "finished_at" not in (await _look(app, authorized))["conversion"]
    await _convert(app)
    assert "finished_at" in (await _look(app, authorized))["conversion"]


async def test_first_value_that_comes_meanwhile_is_not_converted_unasked(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"type": "Attribute", "attributes": {"field_type": "attributes", "name": "x"}}
    url = f"{ATTRIBUTES}?website_id={app.app_id}"
    assert (await authorized.post(url, json={"data": data}))[0] == 201
    get = handlers.get_attribute

    async def get_and_be_late(*arguments: Any) -> dict[str, Any]:
        row = await get(*arguments)
        monkeypatch.setattr(handlers, "get_attribute", get)
        assert await app.write(_item("a", "four")) == (204, "")
        return row

    monkeypatch.setattr(handlers, "get_attribute", get_and_be_late)
    status, body = await _patch(app, authorized, "numeric", confirm=False)
    assert (status, body["meta"]["not_convertible"]) == (200, 1)
    await _convert(app)
    assert await _values(app) == {"a": "four"}
