"""POST /api/audiences/v1/analytics/: facts of the analytics system, over HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audience.apps.deletion import erase_deleted_app
from audience.attributes.analytics_keys import ANALYTICS_KEYS
from tests.conftest import App, Authorized, MakeApp, MakeClient

FACTS = "/api/audiences/v1/analytics/"
UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"
VISITOR, OTHER = "00000000000000a1", "00000000000000a2"


def _fact(app: App, minute: int = 0, **members: Any) -> dict[str, Any]:
    return {
        "website_id": app.app_id,
        "analytics_visitor_id": VISITOR,
        "occurred_at": f"2026-03-01T12:{minute:02}:00Z",
        "analytics": {},
        **members,
    }


async def test_fact_changes_everything_it_tells_of(
    app: App, noise: App, authorized: Authorized
) -> None:
    known = {name: f"some {name}" for name in ANALYTICS_KEYS}
    fact = _fact(
        app,
        user_id="jbond",
        analytics=known,
        visit=True,
        goal={"id": 2, "revenue": 2, "event_id": "e1"},
        order={"id": "o1", "revenue": 6.32},
    )
    assert await authorized.post(FACTS, json=[fact]) == (
        200,
        {"facts": 1, "orders": 1, "conversions": 1, "repeated": 0, "erased": 0, "skipped": []},
    )
    profile = await app.profile("user_id", "jbond")
    moment = "2026-03-01T12:00:00.000000Z"
    goal = {"revenue": 2, "last_conversion": moment, "last_revenue": 2, "conversion_count": 1}
    assert profile["analytics_visitor_id"] == VISITOR
    assert profile["analytics"] == known
    assert profile["visits"] == {"first_visit": moment, "last_visit": moment}
    assert profile["goals"] == {"2": goal, "all": goal}
    assert profile["ecommerce"] == {
        "number_of_orders": 1,
        "last_conversion": moment,
        "last_revenue": 6.32,
        "total_revenue": 6.32,
    }
    assert profile["generic"] == {"total_revenue": 8.32}
    assert (await noise.profile("user_id", "jbond"))["analytics"] == {}


async def test_batch_sent_again_changes_nothing(app: App, authorized: Authorized) -> None:
    batch = [
        _fact(app, 1, visit=True, goal={"id": "1", "revenue": 3}, order={"id": 7, "revenue": 1}),
        _fact(app, 0, goal={"id": "1", "revenue": 4, "event_id": "e"}, analytics={"os": "Linux"}),
    ]
    await authorized.post(FACTS, json=batch)
    before = await app.profile("analytics_visitor_id", VISITOR)
    for again in (batch, batch[::-1]):
        _, answer = await authorized.post(FACTS, json=again)
        assert answer == {
            "facts": 2,
            "orders": 0,
            "conversions": 0,
            "repeated": 3,
            "erased": 0,
            "skipped": [],
        }
    after = await app.profile("analytics_visitor_id", VISITOR)
    assert before["goals"]["1"]["conversion_count"] == 2
    assert before | {"updated_at": ""} == after | {"updated_at": ""}


async def test_order_counts_once_also_across_a_merge(app: App, authorized: Authorized) -> None:
    order = {"id": "o1", "revenue": 5}
    await authorized.post(FACTS, json=[_fact(app, order=order)])
    other = _fact(app, 1, analytics_visitor_id=OTHER, order={"id": "o2", "revenue": 7})
    await authorized.post(FACTS, json=[other])
    await app.write({"user_id": "u", "analytics_visitor_id": VISITOR})
    await app.write({"user_id": "u", "analytics_visitor_id": OTHER})
    again = [_fact(app, 2, order=order), {**other, "user_id": "u"}, _fact(app, 3, order=order)]
    await authorized.post(FACTS, json=again)
    profile = await app.profile("user_id", "u")
    assert profile["ecommerce"]["number_of_orders"] == 2
    assert profile["ecommerce"]["total_revenue"] == 12
    assert profile["generic"] == {"total_revenue": 12}


async def test_order_of_another_app_is_another_order(
    app: App, make_app: MakeApp, authorized: Authorized
) -> None:
    second = await make_app()
    batch = [_fact(one, order={"id": "o", "revenue": 1}) for one in (app, second)]
    assert (await authorized.post(FACTS, json=batch))[1]["orders"] == 2


async def test_late_fact_replaces_nothing_newer(app: App, authorized: Authorized) -> None:
    newer = _fact(
        app,
        30,
        user_id="u",
        analytics={"city": "Ulm"},
        visit=True,
        goal={"id": "1", "revenue": 2},
    )
    late = _fact(
        app,
        10,
        user_id="u",
        analytics_visitor_id=OTHER,
        analytics={"city": "Bonn"},
        visit=True,
        goal={"id": "1", "revenue": 9},
    )
    for fact in (newer, late):
        await authorized.post(FACTS, json=[fact])
    profile = await app.profile("user_id", "u")
    assert profile["analytics"] == {"city": "Ulm"}
    assert profile["analytics_visitor_id"] == VISITOR
    assert profile["visits"]["first_visit"] == "2026-03-01T12:10:00.000000Z"
    assert profile["visits"]["last_visit"] == "2026-03-01T12:30:00.000000Z"
    assert profile["goals"]["1"] == {
        "conversion_count": 2,
        "revenue": 11,
        "last_conversion": "2026-03-01T12:30:00.000000Z",
        "last_revenue": 2,
    }


async def test_same_order_from_many_requests_at_once_counts_once(
    app: App, authorized: Authorized
) -> None:
    facts = [
        _fact(app, n, analytics_visitor_id=f"{n:016x}", order={"id": "o", "revenue": 1})
        for n in range(1, 9)
    ]
    answers = await asyncio.gather(*(authorized.post(FACTS, json=[fact]) for fact in facts))
    assert sum(answer["orders"] for _, answer in answers) == 1
    stored = await app.rows.fetchval(
        "SELECT sum((ecommerce ->> 'number_of_orders')::int) FROM profiles WHERE app_id = $1",
        app.app_id,
    )
    assert stored == 1


async def test_analytics_attributes_appear_with_the_first_fact(
    app: App, authorized: Authorized
) -> None:
    for city in ("Ulm", "Bonn"):
        await authorized.post(FACTS, json=_fact(app, analytics={"city": city, "os": ""}))
    rows = await app.rows.fetch(
        "SELECT attribute_name, value_type FROM attribute_definitions"
        " WHERE app_id = $1 AND field_type = 'analytics' ORDER BY 1",
        app.app_id,
    )
    assert [tuple(row) for row in rows] == [("city", "text"), ("os", "text")]
    await app.allow("city", "analytics")
    answer = await app.service.get(
        f"/audiences/public/api/profiles/{VISITOR}/attributes/?website_id={app.app_id}"
    )
    assert await answer.json() == [{"name": "city", "value": "Bonn", "field_type": "analytics"}]


async def test_times_are_read_with_and_without_offset(app: App, authorized: Authorized) -> None:
    for moment in ("2026-03-01T12:00:00", "2026-03-01T13:00:00+01:00", "2026-03-01T12:00:00Z"):
        fact = _fact(app, goal={"id": "1"}, occurred_at=moment)
        await authorized.post(FACTS, json=[fact])
    profile = await app.profile("analytics_visitor_id", VISITOR)
    assert profile["goals"]["1"]["conversion_count"] == 1


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"website_id": None}, "/1/website_id"),
        ({"website_id": "x"}, "/1/website_id"),
        ({"analytics_visitor_id": "xyz"}, "/1/analytics_visitor_id"),
        ({"analytics_visitor_id": "0" * 16}, "/1/analytics_visitor_id"),
        ({"user_id": 7}, "/1/user_id"),
        ({"user_id": "x" * 513}, "/1/user_id"),
        ({"occurred_at": "yesterday"}, "/1/occurred_at"),
        ({"occurred_at": 1767225600}, "/1/occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "/1/occurred_at"),
        (
            {"occurred_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
            "/1/occurred_at",
        ),
        ({"analytics": {"referrer_url": "x"}}, "/1/analytics/referrer_url"),
        ({"analytics": {"city": 5}}, "/1/analytics/city"),
        ({"analytics": {"city": "x" * 1025}}, "/1/analytics/city"),
        ({"analytics": {"city": "a\x00b"}}, "/1/analytics/city"),
        ({"visit": "yes"}, "/1/visit"),
        ({"goal": {"revenue": 1}}, "/1/goal/id"),
        ({"goal": {"id": "all"}}, "/1/goal/id"),
        ({"goal": {"id": True}}, "/1/goal/id"),
        ({"goal": {"id": "1", "revenue": "2"}}, "/1/goal/revenue"),
        ({"goal": {"id": "1", "event_id": ""}}, "/1/goal/event_id"),
        ({"order": {"id": "1"}}, "/1/order/revenue"),
        ({"order": {"id": "1", "revenue": True}}, "/1/order/revenue"),
        ({"order": {"id": "1", "revenue": 1e300}}, "/1/order/revenue"),
        ({"order": {"id": "x" * 256, "revenue": 1}}, "/1/order/id"),
        ({"price": 1}, "/1/price"),
    ],
)
async def test_one_wrong_fact_refuses_the_batch(
    app: App, authorized: Authorized, members: dict[str, Any], pointer: str
) -> None:
    status, body = await authorized.post(FACTS, json=[_fact(app), _fact(app, **members)])
    assert status == 400
    assert body["errors"][0]["source"] == {"pointer": pointer}
    assert await app.count("profiles") == 0
    assert await app.count("counted_events") == 0


async def test_too_many_facts_and_no_array_are_refused(authorized: Authorized) -> None:
    status, body = await authorized.post(FACTS, json=[{}] * 1001)
    assert (status, body["errors"][0]["code"]) == (413, "too_large")
    assert (await authorized.post(FACTS, json="x"))[0] == 400
    assert (await authorized.post(FACTS, data="[]", headers={"Content-Type": "text/csv"}))[0] == 415
    assert (await authorized.post(FACTS, json=[]))[1]["facts"] == 0


async def test_only_writers_of_the_organization_may_send_facts(
    app: App, make_app: MakeApp, make_client: MakeClient
) -> None:
    foreign = await make_app("other")
    writer = await make_client("write")
    for unknown in (foreign.app_id, UNKNOWN):
        facts = [_fact(app), {**_fact(app), "website_id": unknown}]
        status, body = await writer.post(FACTS, json=facts)
        assert (status, body["errors"][0]["code"]) == (404, "not_found")
    assert await app.count("profiles") == 0
    for scope in ("read", "privacy"):
        status, body = await (await make_client(scope)).post(FACTS, json=[_fact(app)])
        assert (status, body["errors"][0]["code"]) == (403, "missing_scope")


async def test_audit_names_the_app_and_no_value(app: App, authorized: Authorized) -> None:
    await authorized.post(FACTS, json=[_fact(app, user_id="secret-user")])
    (row,) = await app.rows.fetch("SELECT * FROM audit_entries WHERE operation = 'add_facts'")
    assert str(row["app_id"]) == app.app_id
    assert "secret-user" not in str(row)
    assert VISITOR not in str(row)


async def test_injected_sql_stays_a_string(app: App, authorized: Authorized) -> None:
    text = "'); DROP TABLE profiles; --"
    fact = _fact(app, user_id=text, analytics={"city": text}, goal={"id": text})
    assert (await authorized.post(FACTS, json=[fact]))[0] == 200
    profile = await app.profile("user_id", text)
    assert profile["analytics"] == {"city": text}
    assert set(profile["goals"]) == {text, "all"}


async def test_goals_past_the_limit_are_reported(app: App, authorized: Authorized) -> None:
    facts = [_fact(app, goal={"id": number}) for number in range(201)]
    _, answer = await authorized.post(FACTS, json=facts)
    assert (answer["facts"], answer["conversions"]) == (201, 200)
    assert answer["skipped"] == [{"fact": 200, "name": "goal", "reason": "limit"}]


async def test_counted_events_of_a_deleted_app_are_forgotten(
    app: App, make_app: MakeApp, authorized: Authorized
) -> None:
    other = await make_app()
    facts = [_fact(one, order={"id": "o", "revenue": 1}) for one in (app, other)]
    await authorized.post(FACTS, json=facts)
    assert (await authorized.delete(f"/api/apps/v2/{app.app_id}?confirm=test"))[0] == 204
    while await erase_deleted_app(app.service.app):
        pass
    assert (await app.count("counted_events"), await other.count("counted_events")) == (0, 1)
