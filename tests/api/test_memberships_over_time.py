"""Memberships that time changes: relative dates, durations, time zones; without any traffic."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.audience_api import Audiences, Clock, group, leaf, stop_clock
from tests.conftest import App, MakeClient

VISITOR, OTHER = "0123456789abcdef", "fedcba9876543210"
GOLD = leaf("eq", "gold")
SECOND = timedelta(seconds=1)
START = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return stop_clock(monkeypatch, START)


@pytest.fixture
async def audiences(app: App, clock: Clock, make_client: MakeClient) -> Audiences:
    assert clock.moment == START
    return Audiences(app, await make_client("admin"))


async def _write(app: App, visitor_id: str = VISITOR, **attributes: Any) -> None:
    entries = [{"name": name, "value": value} for name, value in attributes.items()]
    item = {"analytics_visitor_id": visitor_id, "attributes": entries}
    assert await app.write(item) == (204, "")


def ago(amount: int, unit: str, **members: Any) -> dict[str, Any]:
    return {"amount": amount, "unit": unit} | members


@pytest.mark.parametrize(
    ("operator", "value", "seen", "flips_at", "becomes"),
    [
        ("within_last", ago(90, "minutes"), "2026-03-10T11:00:00Z", "2026-03-10T12:30:01Z", "out"),
        ("within_last", ago(5, "hours"), "2026-03-10T10:00:00Z", "2026-03-10T15:00:01Z", "out"),
        # The clocks are set forward on 29 March at 01:00 UTC: that day has 23 hours.
        ("within_last", ago(1, "days"), "2026-03-28T12:00:00Z", "2026-03-29T11:00:01Z", "out"),
        ("within_last", ago(24, "hours"), "2026-03-28T12:00:00Z", "2026-03-29T12:00:01Z", "out"),
        ("within_last", ago(1, "weeks"), "2026-03-25T12:00:00Z", "2026-04-01T11:00:01Z", "out"),
        # On 28 February a month ago was 28 January, on 1 March it is 1 February.
        ("within_last", ago(1, "months"), "2026-01-31T11:00:00Z", "2026-02-28T23:00:00Z", "out"),
        (
            "within_last",
            ago(1, "days", **{"from": "start_of_day"}),
            "2026-03-28T12:00:00Z",
            "2026-03-29T22:00:00Z",
            "out",
        ),
        ("not_within_last", ago(2, "days"), "2026-03-10T12:00:00Z", "2026-03-12T12:00:01Z", "in"),
        ("within_next", ago(3, "days"), "2026-03-20T12:00:00Z", "2026-03-17T12:00:01Z", "in"),
        ("before", ago(2, "days"), "2026-03-10T00:00:00Z", "2026-03-12T00:00:01Z", "in"),
        ("after", ago(2, "days"), "2026-03-10T10:00:00Z", "2026-03-12T10:00:00Z", "out"),
        ("on", ago(1, "days"), "2026-03-28T12:00:00Z", "2026-03-28T23:00:00Z", "in"),
        ("on", ago(1, "days"), "2026-03-28T12:00:00Z", "2026-03-29T22:00:00Z", "out"),
    ],
)
async def test_relative_times_flip_without_traffic(
    audiences: Audiences,
    clock: Clock,
    operator: str,
    value: Any,
    seen: str,
    flips_at: str,
    becomes: str,
) -> None:
    app = audiences.app
    await app.rows.execute("UPDATE apps SET timezone = 'Europe/Berlin'")
    audience_id = await audiences.create(leaf(operator, value, name="seen"))
    moment = datetime.fromisoformat(flips_at)
    clock.moment = min(moment - timedelta(minutes=1), datetime.fromisoformat(seen))
    await _write(app, seen=seen)
    # As the job does every few seconds, but for the days in between.
    for _ in range(5):
        await audiences.run_jobs()
        clock.moment += (moment - clock.moment) / 2
    for now, expected in ((moment - SECOND, becomes == "out"), (moment, becomes == "in")):
        clock.moment = now
        await audiences.run_jobs()
        assert await audiences.check(audience_id, VISITOR) is expected, now


async def test_what_time_does_not_change_is_never_looked_at_again(
    app: App, audiences: Audiences
) -> None:
    await audiences.create(group("or", GOLD, leaf("after", "2026-03-29", name="seen")))
    await audiences.create(leaf("within_last", ago(1, "days"), name="seen"))
    await _write(app, plan="gold")
    assert await app.count("profile_reevaluations") == 0
    await _write(app, seen="2020-01-01T00:00:00Z")
    assert await app.count("profile_reevaluations") == 0
    await _write(app, seen="2026-03-10T00:00:00Z")
    assert await app.count("profile_reevaluations") == 1
    await _write(app, seen=[])
    assert await app.count("profile_reevaluations") == 1


async def test_a_write_does_not_wait_for_the_job(
    app: App, audiences: Audiences, clock: Clock
) -> None:
    audience_id = await audiences.create(leaf("within_last", ago(1, "hours"), name="seen"))
    await _write(app, seen="2026-03-10T12:00:00Z")
    assert await audiences.check(audience_id, VISITOR)
    clock.moment += timedelta(hours=2)
    await _write(app, other="x")
    assert not await audiences.check(audience_id, VISITOR)
    assert await app.count("profile_reevaluations") == 0


async def test_a_member_stays_for_the_duration_after_the_last_matching_update(
    app: App, audiences: Audiences, clock: Clock
) -> None:
    audience_id = await audiences.create(GOLD, membership_duration_days=3)
    await _write(app, plan="gold")
    clock.moment += timedelta(days=2)
    # Matching updates, the second one of something else.
    await _write(app, other="x")
    last_match = clock.moment = clock.moment + timedelta(hours=1)
    await _write(app, other="y")
    clock.moment += timedelta(days=1)
    await _write(app, plan="silver")
    assert await audiences.check(audience_id, VISITOR)
    clock.moment += timedelta(days=1)
    await _write(app, other="z")
    for now, expected in (
        (last_match + timedelta(days=3) - SECOND, True),
        (last_match + timedelta(days=3), False),
    ):
        clock.moment = now
        await audiences.run_jobs()
        assert await audiences.check(audience_id, VISITOR) is expected
    await _write(app, plan="gold")
    assert await audiences.check(audience_id, VISITOR)


async def test_a_member_without_updates_leaves_though_it_matches(
    app: App, audiences: Audiences, clock: Clock
) -> None:
    audience_id = await audiences.create(GOLD, membership_duration_days=1)
    await _write(app, plan="gold")
    for hours, expected in ((23, True), (1, False), (240, False)):
        clock.moment += timedelta(hours=hours)
        await audiences.run_jobs()
        assert await audiences.check(audience_id, VISITOR) is expected
    await _write(app, other="x")
    assert await audiences.check(audience_id, VISITOR)


async def test_an_audience_follows_one_with_a_duration(
    app: App, audiences: Audiences, clock: Clock
) -> None:
    lasting = await audiences.create(GOLD, membership_duration_days=1)
    without = await audiences.create(leaf("eq", value=False, field_type="audiences", name=lasting))
    await _write(app, plan="gold")
    assert not await audiences.check(without, VISITOR)
    clock.moment += timedelta(days=1)
    await audiences.run_jobs()
    assert await audiences.check(without, VISITOR)


async def test_a_stay_survives_a_merge(app: App, audiences: Audiences, clock: Clock) -> None:
    audience_id = await audiences.create(
        group("and", GOLD, leaf("not_exists", name="city")), membership_duration_days=3
    )
    await _write(app, VISITOR, plan="gold")
    matched_at = clock.moment
    clock.moment += timedelta(days=1)
    await _write(app, OTHER, city="Ulm")
    await app.write({"user_id": "m", "analytics_visitor_id": OTHER})
    await app.write({"user_id": "m", "analytics_visitor_id": VISITOR})
    assert await app.count("profiles") == 1
    for now, expected in (
        (matched_at + timedelta(days=3) - SECOND, True),
        (matched_at + timedelta(days=3), False),
    ):
        clock.moment = now
        await audiences.run_jobs()
        assert await audiences.check(audience_id, OTHER) is expected


async def test_a_new_version_ends_the_stays_of_the_old_one(
    app: App, audiences: Audiences, clock: Clock, make_client: MakeClient
) -> None:
    audience_id = await audiences.create(GOLD, membership_duration_days=10)
    for visitor_id, plan in ((VISITOR, "gold"), (OTHER, "silver")):
        await _write(app, visitor_id, plan="gold")
        clock.moment += timedelta(hours=1)
        await _write(app, visitor_id, plan=plan)
    audiences.client = await make_client("admin")
    assert await audiences.members(audience_id) == 2
    changed = group("or", GOLD, leaf("eq", "platinum"))
    found = await audiences.replace(audience_id, changed, membership_duration_days=10)
    assert found["count"] == 1
    assert await audiences.check(audience_id, VISITOR)


async def test_a_new_audience_with_a_duration_has_who_was_updated_lately(
    app: App, audiences: Audiences, clock: Clock, make_client: MakeClient
) -> None:
    await _write(app, VISITOR, plan="gold")
    clock.moment += timedelta(days=2)
    await _write(app, OTHER, plan="gold")
    audiences.client = await make_client("admin")
    audience_id = await audiences.create(GOLD, membership_duration_days=1)
    assert not await audiences.check(audience_id, VISITOR)
    assert await audiences.check(audience_id, OTHER)
    clock.moment += timedelta(days=1)
    await audiences.run_jobs()
    assert not await audiences.check(audience_id, OTHER)


async def test_another_time_zone_decides_everybody_anew(
    app: App, audiences: Audiences, clock: Clock, make_client: MakeClient
) -> None:
    clock.moment = datetime(2026, 3, 10, 20, tzinfo=UTC)
    audiences.client = await make_client("admin")
    today = leaf("on", ago(0, "days"), name="seen")
    audience_id = await audiences.create(today)
    lasting = await audiences.create(
        group("not", leaf("exists", name="x")), membership_duration_days=5
    )
    await _write(app, seen="2026-03-10T01:00:00Z")
    await _write(app, x="y")
    assert await audiences.check(audience_id, VISITOR)
    path = f"/api/apps/v2/{app.app_id}"
    document = {
        "data": {"type": "ppms/app", "id": app.app_id, "attributes": {"timezone": "Asia/Tokyo"}}
    }
    assert (await audiences.client.patch(path, json=document))[0] == 204
    await audiences.run_jobs()
    assert not await audiences.check(audience_id, VISITOR)
    # Whoever stays for a duration does so in any zone.
    assert await audiences.check(lasting, VISITOR)
    assert (await audiences.get(audience_id))["version"] == 1
    await _write(app, seen="2026-03-10T16:00:00Z")
    assert await audiences.check(audience_id, VISITOR)
