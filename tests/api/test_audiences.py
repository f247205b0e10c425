"""The audiences resource: making, reading, changing, deleting; counts and history."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from audience.audiences.catalogue.audience import Audience, history_of
from tests.api.audience_api import PATH, Audiences, document, group, leaf, stop_clock
from tests.conftest import App, Authorized, MakeApp, MakeClient

GOLD = leaf("eq", "gold")
UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def audiences(app: App, authorized: Authorized) -> Audiences:
    return Audiences(app, authorized)


async def _write(app: App, user_id: str, **attributes: Any) -> None:
    entries = [{"name": name, "value": value} for name, value in attributes.items()]
    assert await app.write({"user_id": user_id, "attributes": entries}) == (204, "")


@pytest.mark.usefixtures("within_an_hour")
async def test_an_audience_is_made_and_counted_at_once(app: App, audiences: Audiences) -> None:
    await _write(app, "a", plan="gold")
    await _write(app, "b", plan="silver")
    body = document(GOLD, "Gold", description="who pays", membership_duration_days=30)
    status, made = await audiences.client.post(f"{PATH}/", params=audiences.query, json=body)
    assert status == 201
    assert made.keys() == {"data"}
    assert made["data"]["type"] == "Audience"
    attributes = made["data"]["attributes"]
    today = datetime.now(UTC).date().isoformat()
    assert attributes | {"created_at": "", "updated_at": ""} == {
        "name": "Gold",
        "description": "who pays",
        "definition": GOLD,
        "membership_duration_days": 30,
        "count": 1,
        "history_count": [{"date": today, "count": 1}],
        "is_deleted": False,
        "version": 1,
        "created_at": "",
        "updated_at": "",
        "author": "test",
        "is_filling": False,
        "filling_progress": 100,
    }
    assert await audiences.get(made["data"]["id"]) == attributes


@pytest.mark.usefixtures("within_an_hour")
async def test_the_list_is_as_documented(app: App, audiences: Audiences, noise: App) -> None:
    await _write(app, "a", plan="gold")
    noisy = Audiences(noise, audiences.client)
    await noisy.create(GOLD, name="of another app")
    first = await audiences.create(GOLD, name="Gold")
    second = await audiences.create(leaf("exists"), name="a plan")
    today = datetime.now(UTC).date().isoformat()
    assert await audiences.list() == (
        200,
        {
            "data": [
                {
                    "type": "Audience",
                    "id": audience_id,
                    "attributes": {
                        "name": name,
                        "count": 1,
                        "history_count": [{"date": today, "count": 1}],
                        "is_deleted": False,
                    },
                }
                for audience_id, name in ((second, "a plan"), (first, "Gold"))
            ]
        },
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "abc"),
        ({"order_by": "-name"}, "cba"),
        ({"order_by": "count"}, "acb"),
        ({"order_by": "-count"}, "bac"),
        ({"order_by": "created_at"}, "cab"),
        ({"order_by": "-created_at"}, "bac"),
        ({"order_by": "updated_at"}, "abc"),
        ({"order_by": "-updated_at"}, "cba"),
        ({"offset": "3"}, ""),
        ({"limit": "100", "include_deleted": "1", "order_by": "-created_at"}, "dbac"),
        ({"include_deleted": "FALSE"}, "abc"),
        ({"limit": "1", "offset": "1"}, "b"),
        ({"name": "B"}, "b"),
        ({"name": "%"}, ""),
        ({"include_deleted": "True"}, "abcd"),
        ({"include_deleted": "0"}, "abc"),
    ],
)
async def test_lists_are_ordered_and_narrowed(
    app: App, audiences: Audiences, query: dict[str, str], expected: str
) -> None:
    for user_id in ("u", "v"):
        await _write(app, user_id, plan="gold")
    nobody, everybody = leaf("eq", "none"), leaf("exists")
    ids = {
        name: await audiences.create(definition, name=name)
        for name, definition in (("c", nobody), ("a", nobody), ("b", everybody), ("d", nobody))
    }
    await audiences.replace(ids["c"], nobody, name="c")
    await audiences.delete(ids["d"])
    status, found = await audiences.list(**query)
    assert status == 200
    if query.get("order_by", "").endswith("count"):
        ties = sorted("ac", key=lambda name: ids[name])
        expected = "".join([*ties, "b"] if query["order_by"] == "count" else ["b", *ties])
    assert "".join(row["attributes"]["name"] for row in found["data"]) == expected


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("limit", "101"),
        ("limit", "0"),
        ("limit", "ten"),
        ("offset", "-1"),
        ("order_by", "size"),
        ("include_deleted", "maybe"),
        ("website_id", "x"),
    ],
)
async def test_a_wrong_parameter_is_named(audiences: Audiences, parameter: str, value: str) -> None:
    status, found = await audiences.list(**{parameter: value})
    assert status == 400
    (error,) = found["errors"]
    assert error["source"] == {"parameter": parameter}
    assert error["status"] == "400"
    assert parameter in error["detail"]


async def test_both_content_types_are_spoken(audiences: Audiences) -> None:
    json_api = "application/vnd.api+json"
    headers = {"Authorization": f"Bearer {audiences.client.token}", "Content-Type": json_api}
    answer = await audiences.client.service.post(
        f"{PATH}/", params=audiences.query, data=json.dumps(document(GOLD)), headers=headers
    )
    assert (answer.status, answer.content_type) == (201, "application/json")
    headers["Accept"] = json_api
    answer = await audiences.client.service.get(f"{PATH}/", params=audiences.query, headers=headers)
    assert (answer.status, answer.headers["Content-Type"]) == (200, json_api)


async def test_the_version_grows_with_definition_and_duration_only(
    app: App, audiences: Audiences
) -> None:
    await _write(app, "a", plan="gold")
    await _write(app, "b", plan="silver")
    audience_id = await audiences.create(GOLD)
    renamed = await audiences.replace(audience_id, GOLD, name="Rich", description="x")
    assert (renamed["name"], renamed["description"], renamed["version"]) == ("Rich", "x", 1)
    changed = await audiences.replace(audience_id, group("or", GOLD, leaf("eq", "silver")))
    assert (changed["version"], changed["count"], changed["description"]) == (2, 2, "")
    lasting = await audiences.replace(
        audience_id, group("or", GOLD, leaf("eq", "silver")), membership_duration_days=1
    )
    assert (lasting["version"], lasting["count"]) == (3, 2)
    assert (await audiences.replace(audience_id, leaf("eq", "x")))["count"] == 0


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": ""}, "/data/attributes/name"),
        ({"name": "x" * 101}, "/data/attributes/name"),
        ({"description": "x" * 201}, "/data/attributes/description"),
        ({"membership_duration_days": 0}, "/data/attributes/membership_duration_days"),
        ({"membership_duration_days": 541}, "/data/attributes/membership_duration_days"),
        ({"membership_duration_days": "7"}, "/data/attributes/membership_duration_days"),
        ({"membership_duration_days": 7.5}, "/data/attributes/membership_duration_days"),
        ({"membership_duration_days": True}, "/data/attributes/membership_duration_days"),
        ({"count": 7}, "/data/attributes/count"),
        ({"definition": None}, "/data/attributes/definition"),
        ({"definition": []}, "/data/attributes/definition"),
        ({"definition": group("and")}, "/data/attributes/definition/conditions"),
        (
            {"definition": group("or", GOLD, leaf("matches", "(a"))},
            "/data/attributes/definition/conditions/1/condition/value",
        ),
        (
            {"definition": leaf("eq", value=True, field_type="audiences", name=UNKNOWN)},
            "/data/attributes/definition/name",
        ),
    ],
)
async def test_a_wrong_field_is_pointed_at(
    audiences: Audiences, change: dict[str, Any], pointer: str
) -> None:
    body = document(**{"definition": GOLD, **change})
    status, found = await audiences.client.post(f"{PATH}/", params=audiences.query, json=body)
    assert status == 400
    assert [error["source"] for error in found["errors"]] == [{"pointer": pointer}]
    assert await audiences.app.count("audiences") == 0


async def test_unknown_attributes_are_allowed_with_a_warning(
    app: App, audiences: Audiences
) -> None:
    await _write(app, "a", plan="gold")
    definition = group("or", GOLD, leaf("eq", 1, name="later"), leaf("exists", name="x"))
    status, found = await audiences.client.post(
        f"{PATH}/", params=audiences.query, json=document(definition)
    )
    assert status == 201
    assert [warning["path"] for warning in found["meta"]["warnings"]] == [
        "definition.conditions[1].name",
        "definition.conditions[2].name",
    ]
    assert found["meta"]["warnings"][0]["code"] == "unknown_attribute"
    assert "'later'" in found["meta"]["warnings"][0]["detail"]


async def test_circles_are_refused(audiences: Audiences) -> None:
    first = await audiences.create(GOLD)
    asks_first = leaf("eq", value=True, field_type="audiences", name=first)
    second = await audiences.create(asks_first)
    asks_second = leaf("eq", value=True, field_type="audiences", name=second)
    for definition in (asks_second, asks_first, group("not", group("or", GOLD, asks_second))):
        status, found = await audiences.client.put(
            f"{PATH}/{first}/", params=audiences.query, json=document(definition)
        )
        assert (status, found["errors"][0]["code"]) == (400, "circular_definition")
    assert (await audiences.get(first))["version"] == 1


async def test_a_used_audience_is_not_deleted_and_the_user_is_named(audiences: Audiences) -> None:
    used = await audiences.create(GOLD)
    user = await audiences.create(
        group("not", leaf("exists", field_type="audiences", name=used.upper())), name="The user"
    )
    status, found = await audiences.delete(used)
    assert (status, found["errors"][0]["code"]) == (409, "audience_in_use")
    assert "The user" in found["errors"][0]["detail"]
    assert user in found["errors"][0]["detail"]
    assert (await audiences.delete(user))[0] == 204
    assert (await audiences.delete(used))[0] == 204


async def test_a_deleted_audience_is_gone_for_readers_and_stays_in_the_books(
    app: App, audiences: Audiences
) -> None:
    visitor = "0123456789abcdef"
    await app.write(
        {"analytics_visitor_id": visitor, "attributes": [{"name": "plan", "value": "gold"}]}
    )
    kept = await audiences.create(leaf("exists"))
    audience_id = await audiences.create(GOLD)
    assert await audiences.check(audience_id, visitor)
    assert await audiences.delete(audience_id) == (204, "")
    url = f"/audiences/public/api/profiles/{visitor}/audiences/"
    for _ in range(2):
        assert not await audiences.check(audience_id, visitor)
        answer = await app.service.get(url, params=audiences.query)
        assert await answer.json() == [kept]
        deleted = await audiences.get(audience_id)
        assert (deleted["is_deleted"], deleted["count"]) == (True, 0)
        await audiences.run_jobs()
    assert await app.count("audience_members") == 1
    assert await app.rows.fetchval("SELECT purged_audience_ids::text FROM apps") == "{}"
    assert (await audiences.delete(audience_id))[0] == 404
    status, _ = await audiences.client.put(
        f"{PATH}/{audience_id}/", params=audiences.query, json=document(GOLD)
    )
    assert status == 404
    assert (await audiences.explain(audience_id, "user_id", "a"))[0] == 404
    await audiences.delete(kept)
    assert await app.rows.fetchval("SELECT audiences_revision FROM apps") is None


async def test_an_organization_sees_its_own_audiences_only(
    audiences: Audiences, make_client: MakeClient, make_app: MakeApp
) -> None:
    audience_id = await audiences.create(GOLD)
    strangers = Audiences(audiences.app, await make_client("admin", organization="other"))
    own_app = Audiences(await make_app("other"), strangers.client)
    assert (await strangers.list())[0] == 404
    requests: tuple[tuple[str, str, Any], ...] = (
        ("GET", f"{audience_id}/", None),
        ("PUT", f"{audience_id}/", document(GOLD)),
        ("DELETE", f"{audience_id}/", None),
        ("POST", f"{audience_id}/explain/", {"identifier": "user_id", "value": "a"}),
        ("POST", "", document(GOLD)),
        ("POST", "preview/", {"definition": GOLD}),
    )
    for method, path, body in requests:
        # The other organization's app, and the own app with the other one's audience.
        for query in (strangers.query, *([own_app.query] if audience_id in path else [])):
            status, found = await strangers.client.request(
                method, f"{PATH}/{path}", params=query, json=body
            )
            assert (status, found["errors"][0]["code"]) == (404, "not_found")
    assert (await audiences.get(audience_id))["version"] == 1


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "", "read"),
        ("POST", "", "write"),
        ("POST", "preview/", "read"),
        ("GET", f"{UNKNOWN}/", "read"),
        ("PUT", f"{UNKNOWN}/", "write"),
        ("DELETE", f"{UNKNOWN}/", "write"),
        ("POST", f"{UNKNOWN}/explain/", "read"),
    ],
)
async def test_a_missing_scope_is_refused(
    audiences: Audiences, make_client: MakeClient, method: str, path: str, scope: str
) -> None:
    without = await make_client("read" if scope == "write" else "privacy")
    status, found = await without.request(method, f"{PATH}/{path}", params=audiences.query, json={})
    assert (status, found["errors"][0]["code"]) == (403, "missing_scope")
    having = await make_client(scope)
    status, _ = await having.request(method, f"{PATH}/{path}", params=audiences.query, json={})
    assert status in (200, 400, 404)
    answer = await audiences.client.service.request(method, f"{PATH}/{path}")
    assert (answer.status, await answer.json()) == (401, {"error": "JWT not found"})


async def test_what_was_done_is_in_the_audit_log(app: App, audiences: Audiences) -> None:
    await _write(app, "jbond", plan="gold")
    audience_id = await audiences.create(GOLD)
    await audiences.replace(audience_id, leaf("exists"))
    await audiences.preview(GOLD)
    _, explained = await audiences.explain(audience_id, "user_id", "jbond")
    await audiences.delete(audience_id)
    _, log = await audiences.client.get("/api/audit/v1/entries", params=audiences.query)
    profile_id = explained["data"]["attributes"]["profile_id"]
    assert [
        (row["attributes"]["operation"], row["attributes"].get("target_id")) for row in log["data"]
    ] == [
        ("delete_audience", audience_id),
        ("explain_audience", profile_id),
        ("preview_audience", None),
        ("replace_audience", audience_id),
        ("create_audience", audience_id),
    ]
    assert "jbond" not in json.dumps(log)
    assert "gold" not in json.dumps(log)


@pytest.mark.parametrize("text", ["'; DROP TABLE profiles; --", "$1", "{clause}", "%s", "\\"])
async def test_injection_strings_stay_strings(app: App, audiences: Audiences, text: str) -> None:
    await app.write({"user_id": text, "attributes": [{"name": text, "value": text}]})
    await _write(app, "other", plan="x")
    for operator in ("eq", "icontains", "starts_with", "in"):
        value = [text] if operator == "in" else text
        definition = leaf(operator, value, name=text)
        assert (await audiences.preview(definition))["count"] == 1
        audience_id = await audiences.create(definition, name=text[:100], description=text)
        found = await audiences.get(audience_id)
        assert (found["count"], found["definition"], found["name"]) == (1, definition, text)
        _, listed = await audiences.list(name=text)
        assert audience_id in [row["id"] for row in listed["data"]]
        status, explained = await audiences.explain(audience_id, "user_id", text)
        assert (status, explained["data"]["attributes"]["is_member"]) == (200, True)


def _audience(created_at: datetime) -> Audience:
    fields: dict[str, Any] = dict.fromkeys(("name", "description", "definition", "author"), "x")
    return Audience(
        audience_id=UNKNOWN,
        membership_duration_days=None,
        version=1,
        created_at=created_at,
        updated_at=created_at,
        **fields,
    )


def test_history_has_thirty_days_and_none_before_the_audience_was_made() -> None:
    today = date(2026, 3, 31)
    old = _audience(datetime(2025, 1, 1, tzinfo=UTC))
    snapshots = {today - timedelta(days=age): 100 - age for age in range(40) if age != 5}
    history = history_of(old, snapshots, 777, today)
    assert len(history) == 30
    assert history[0] == {"date": "2026-03-02", "count": 71}
    assert history[-1] == {"date": "2026-03-31", "count": 100}
    # The service did not run that day: nobody joined since the day before.
    assert history[-6] == {"date": "2026-03-26", "count": 94}
    young = _audience(datetime(2026, 3, 30, 23, 59, tzinfo=UTC))
    assert history_of(young, {}, 7, today) == [{"date": "2026-03-31", "count": 7}]
    # The day on which it was made has the count at its end, once that is known.
    assert history_of(young, {today: 5}, 7, today) == [
        {"date": "2026-03-30", "count": 5},
        {"date": "2026-03-31", "count": 5},
    ]
    deleted = replace(old, is_deleted=True, updated_at=datetime(2026, 3, 29, tzinfo=UTC))
    history = history_of(deleted, {date(2026, 3, 28): 9, date(2026, 3, 29): 8}, 0, today)
    assert [row["count"] for row in history] == [9, 8, 0, 0]


@pytest.mark.usefixtures("within_an_hour")
async def test_counts_are_noted_once_a_day(
    app: App, audiences: Audiences, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _write(app, "a", plan="gold")
    audience_id = await audiences.create(GOLD)
    now = datetime.now(UTC)
    clock = stop_clock(monkeypatch, now)
    await audiences.run_jobs()
    assert await app.count("audience_count_snapshots") == 0
    clock.moment = datetime.combine(now.date() + timedelta(days=1), now.time().min, UTC)
    await audiences.run_jobs()
    await _write(app, "b", plan="gold")
    clock.moment += timedelta(hours=23)
    await audiences.run_jobs()
    clock.moment += timedelta(days=2)
    await audiences.run_jobs()
    rows = await app.rows.fetch(
        "SELECT member_count FROM audience_count_snapshots WHERE audience_id = $1 "
        "ORDER BY counted_on",
        audience_id,
    )
    assert [row[0] for row in rows] == [1, 2]
    clock.moment += timedelta(days=90)
    await audiences.run_jobs()
    assert await app.count("audience_count_snapshots") == 1
