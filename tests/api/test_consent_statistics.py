"""The consent metrics over HTTP."""

from datetime import UTC, datetime, timedelta
from itertools import product
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from audience.server import clock
from consent.decisions.app_batch import Collect
from consent.decisions.collected import ConsentChange, Entry, FormEvent
from consent.decisions.known import Known
from consent.decisions.operations import Counts, collect_batch
from consent.decisions.statistics import operations
from consent.decisions.statistics.metrics import METRICS
from consent.decisions.statistics.operations import close_days
from tests.api.test_consent_forms import change_settings
from tests.conftest import App, Authorized, MakeApp
from tests.consents import new_visitor

PATH = "/api/consents/v1/statistics/"
pytestmark = pytest.mark.usefixtures("within_an_hour")


async def _statistics(
    authorized: Authorized, app: App, expected: int = 200, **query: str
) -> list[dict[str, Any]]:
    today = datetime.now(UTC).date()
    days = {
        "date_from": str(today - timedelta(days=2)),
        "date_to": str(today + timedelta(days=1)),
    }
    status, body = await authorized.get(PATH, params={"website_id": app.app_id, **days, **query})
    assert status == expected, body
    return [one["attributes"] for one in body["data"]]


async def _happen(app: App) -> None:
    """Two impressions, three clicks, three decisions of two visitors, one undecided visitor."""
    one, other, undecided = (new_visitor(app) for _ in range(3))
    for visitor in (one, other):
        await visitor.send({"event": "form_view", "source": 1})
    await one.send({"event": "form_click", "button": 1})
    await one.decide(analytics=1, remarketing=1, custom_consent=1)
    await other.send({"event": "form_click", "button": 3})
    await other.decide(analytics=1, remarketing=0)
    await other.send({"event": "form_click", "button": 2, "hostname": "b.example"})
    await other.decide(analytics=0, remarketing=0, hostname="b.example")
    await undecided.decide(analytics=-1, remarketing=-1)


EXPECTED = dict.fromkeys(METRICS, 0) | {
    "consent_form_impressions": 2,
    "consent_form_clicks": 3,
    "consents_first": 2,
    "consents_changed": 1,
    "consents_full": 1,
    "consents_any": 1,
    "consents_none": 1,
    "consents_no_decision": 1,
    "consents_analytics": 2,
    "consents_remarketing": 1,
    "consents_custom_1": 1,
}


@pytest.fixture
async def busy(authorized: Authorized, app: App, make_app: MakeApp) -> App:
    """An app with a day's events, beside another one."""
    noise = await make_app()
    for one in (app, noise):
        await change_settings(authorized, one, consent_types=["analytics", "remarketing"])
        await _happen(one)
    return app


async def test_there_are_the_fifteen_documented_metrics() -> None:
    assert METRICS == (
        "consent_form_impressions",
        "consent_form_clicks",
        "consents_first",
        "consents_changed",
        "consents_full",
        "consents_any",
        "consents_none",
        "consents_no_decision",
        "consents_analytics",
        "consents_ab_testing_personalization",
        "consents_conversion_tracking",
        "consents_marketing_automation",
        "consents_remarketing",
        "consents_user_feedback",
        "consents_custom_1",
    )


async def test_a_day_is_one_row_with_all_metrics(authorized: Authorized, busy: App) -> None:
    (row,) = await _statistics(authorized, busy)
    assert row == {"period": str(datetime.now(UTC).date()), **EXPECTED}


async def test_by_hour_visitors_of_a_day_are_left_out(authorized: Authorized, busy: App) -> None:
    rows = await _statistics(authorized, busy, granularity="hour")
    assert all(row["period"].endswith(":00:00+00:00") for row in rows)
    total = {metric: sum(row[metric] or 0 for row in rows) for metric in METRICS}
    assert total == {**EXPECTED, "consents_no_decision": 0}
    assert {row["consents_no_decision"] for row in rows} == {None}


async def test_dimensions_split_what_they_apply_to(authorized: Authorized, busy: App) -> None:
    rows = await _statistics(authorized, busy, dimensions="consent_form_button")
    clicks = {str(row["consent_form_button"]): row["consent_form_clicks"] for row in rows}
    assert clicks == {
        "None": 0,
        "[1, 'Agree to all']": 1,
        "[2, 'Reject all']": 1,
        "[3, 'Save choices']": 1,
    }
    rows = await _statistics(authorized, busy, dimensions="consent_source")
    assert [(row["consent_source"], row["consent_form_impressions"]) for row in rows] == [
        (None, 0),
        ([1, "Popup or bottom bar"], 2),
    ]
    rows = await _statistics(authorized, busy, dimensions="consent_scope,consent_action")
    found = [(row["consent_scope"], row["consent_action"]) for row in rows]
    assert found == [
        (None, None),
        ([1, "Full consent"], [1, "First consent"]),
        ([2, "Any consent"], [1, "First consent"]),
        ([3, "No consent"], [2, "Changed consent"]),
    ]
    rows = await _statistics(authorized, busy, dimensions="consent_type_analytics")
    counts = {
        row["consent_type_analytics"]: row["consents_first"] + row["consents_changed"]
        for row in rows
    }
    assert counts == {None: 0, 0: 1, 1: 2}


async def test_host_names_split_and_limit(authorized: Authorized, busy: App) -> None:
    rows = await _statistics(authorized, busy, dimensions="hostname")
    clicks = {row["hostname"]: row["consent_form_clicks"] for row in rows}
    assert clicks == {"b.example": 1, "shop.example": 2}
    (row,) = await _statistics(authorized, busy, hostname="b.example")
    assert (row["consents_none"], row["consent_form_impressions"]) == (1, 0)
    assert await _statistics(authorized, busy, hostname="c.example") == []


async def test_days_and_hours_are_the_apps(authorized: Authorized, app: App) -> None:
    change = {"data": {"type": "ppms/app", "id": app.app_id}}
    change["data"]["attributes"] = {"timezone": "Asia/Kolkata"}  # type: ignore[assignment]
    assert (await authorized.patch(f"/api/apps/v2/{app.app_id}", json=change))[0] == 204
    # Late on the 9th in UTC is the 10th already in India.
    await new_visitor(app).decide(analytics=1, decidedAt="2026-01-09T19:45:00Z")
    query = {"date_from": "2026-01-09", "date_to": "2026-01-10"}
    (row,) = await _statistics(authorized, app, **query)
    assert row["period"] == "2026-01-10"
    (row,) = await _statistics(authorized, app, **query, granularity="hour")
    assert row["period"] == "2026-01-10T01:00:00+05:30"
    assert await _statistics(authorized, app, date_from="2026-01-09", date_to="2026-01-09") == []


async def test_a_visitor_who_decides_later_that_day_is_not_undecided(
    authorized: Authorized, app: App
) -> None:
    visitors = [new_visitor(app) for _ in range(3)]
    for visitor in visitors:
        for _ in range(2):
            await visitor.send({"event": "form_view", "source": 1})
    await visitors[0].decide(analytics=0)
    (row,) = await _statistics(authorized, app)
    assert (row["consents_no_decision"], row["consent_form_impressions"]) == (2, 6)


# What a visitor may do on a day: see a form, decide, decide nothing, send an older decision late,
# come with Global Privacy Control.
STEPS = "vdulg"
# How many of four steps go into each batch.
SPLITS = [(1, 1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1), (2, 2), (1, 3), (3, 1), (4,)]


@pytest.mark.parametrize("split", SPLITS)
async def test_undecided_are_those_who_saw_a_form_and_did_not_decide_that_day_in_any_order(
    authorized: Authorized, app: App, split: tuple[int, ...]
) -> None:
    """Contract H6, consents_no_decision, for every order of four steps of one visitor."""
    days = ["".join(steps) for steps in product(STEPS, repeat=4)]
    visitors = {day: str(uuid4()) for day in days}
    now, known, done = clock.now(), Known(), 0
    for size in split:
        batch = [
            _item(app, visitors[day], f"{day}.example", step, now)
            for day in days
            for step in day[done : done + size]
        ]
        assert not any(await collect_batch(app.rows, batch, known, lambda: now, Counts()))
        done += size
    found = {
        row["hostname"]: row["consents_no_decision"]
        for row in await _statistics(authorized, app, dimensions="hostname")
    }
    expected = {f"{day}.example": int(not {"d", "l"} & {*day}) for day in days if day != "gggg"}
    assert found == expected


def _item(app: App, visitor_id: str, hostname: str, step: str, now: datetime) -> Collect:
    if step == "v":
        return Collect(FormEvent(app.app_id, visitor_id, hostname, 1, None), None)
    consents = {"analytics": Entry(-1 if step == "u" else 1, None)}
    if step == "g":
        consents = {"remarketing": Entry(0, None)}
    # Older than whatever came before it on that day.
    decided_at = now - timedelta(microseconds=1) if step == "l" else now
    change = ConsentChange(
        app.app_id,
        visitor_id,
        hostname,
        consents,
        decision_id=str(uuid4()) if step in "dl" else None,
        method="gpc" if step == "g" else None,
        decided_at=decided_at,
    )
    return Collect(change, None)


async def test_a_day_that_is_over_is_added_up_and_forgotten(
    authorized: Authorized, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        visitor = new_visitor(app)
        await visitor.send({"event": "form_view", "source": 1, "hostname": f"{number % 2}.example"})
        if number == 3:
            await visitor.decide(analytics=1, hostname="1.example")
    before = await _statistics(authorized, app, dimensions="hostname")
    assert [row["consents_no_decision"] for row in before] == [2, 1]
    assert not await close_days(app.service.app)  # type: ignore[arg-type]
    assert await app.count("consent_day_visitors") == 4
    tomorrow = clock.now() + timedelta(days=1, hours=1)
    monkeypatch.setattr(operations, "clock", SimpleNamespace(now=lambda: tomorrow))
    steps = 0
    while await close_days(app.service.app):  # type: ignore[arg-type]
        steps += 1
        assert await _statistics(authorized, app, dimensions="hostname") == before
    assert steps == 2
    for table in ("consent_day_visitors", "consent_day_keys"):
        assert await app.count(table) == 0


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"date_from": "yesterday"}, "date_from"),
        ({"date_from": "2026-02-30"}, "date_from"),
        ({"date_from": "0001-01-01"}, "date_from"),
        ({"date_from": "2026-01-02", "date_to": "2026-01-01"}, "date_to"),
        ({"date_from": "2025-01-01", "date_to": "2026-01-02"}, "date_to"),
        ({"granularity": "week"}, "granularity"),
        ({"dimensions": "consent_source,hostname,hostname"}, "dimensions"),
        ({"dimensions": "event_count"}, "dimensions"),
        ({"website_id": "x"}, "website_id"),
    ],
)
async def test_wrong_question_names_the_parameter(
    authorized: Authorized, app: App, query: dict[str, str], parameter: str
) -> None:
    whole = {
        "website_id": app.app_id,
        "date_from": "2026-01-01",
        "date_to": "2026-01-02",
        **query,
    }
    status, body = await authorized.get(PATH, params=whole)
    assert status == 400
    assert body["errors"][0]["source"] == {"parameter": parameter}
