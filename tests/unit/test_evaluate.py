"""Definitions evaluated in Python: the case table, what changes by time alone, explanations."""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.audiences.case_folding import foldings_of
from audience.audiences.condition_values import RelativeTime
from audience.audiences.definition import parse_definition
from audience.audiences.evaluate import (
    Compiled,
    Context,
    compile_definition,
    explain_definition,
)
from audience.audiences.moments import offset_changes
from audience.audiences.patterns import compile_pattern
from audience.audiences.time_bounds import NEVER
from audience.audiences.time_windows import window_of
from audience.profiles.profile import Profile
from tests.unit.rule_cases import profile_of, rule_cases, utc
from tests.unit.rule_strategies import ZONES, RuleSet, moments, rule_sets
from tests.unit.test_definition import group, leaf

NOW = utc("2026-03-15T12:00:00Z")
MICROSECOND = timedelta(microseconds=1)
UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")


def compiled(raw: dict[str, Any], zone: ZoneInfo = UTC_ZONE) -> Compiled:
    return compile_definition(parse_definition(raw, compile_pattern), compile_pattern, zone)


def visitor(last_visit: str, **members: Any) -> Profile:
    return profile_of("p", {"visits": {"last_visit": last_visit}, **members})


def last_visit(operator: str, value: Any) -> dict[str, Any]:
    return leaf(operator, value, field_type="visits", name="last_visit")


def days(amount: int, origin: str = "now") -> dict[str, Any]:
    return {"amount": amount, "unit": "days", "from": origin}


def test_the_case_table() -> None:
    wrong = [
        case.name
        for case in rule_cases()
        if case.compiled().evaluate(case.profile, case.context(case.now))[0] != case.is_member
    ]
    assert wrong == []


def test_names_of_the_case_table_are_unique() -> None:
    names = [case.name for case in rule_cases()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("raw", "stored", "expected"),
    [
        (last_visit("within_last", {"amount": 1, "unit": "hours"}), "2026-03-15T11:30:00Z",
         "2026-03-15T12:30:00.000001Z"),
        (last_visit("not_within_last", {"amount": 1, "unit": "hours"}), "2026-03-15T11:30:00Z",
         "2026-03-15T12:30:00.000001Z"),
        (last_visit("within_last", {"amount": 1, "unit": "hours"}), "2026-03-15T12:30:00Z",
         "2026-03-15T12:30:00Z"),
        (last_visit("within_last", {"amount": 1, "unit": "hours"}), "2026-03-15T10:30:00Z", None),
        (last_visit("within_next", {"amount": 1, "unit": "hours"}), "2026-03-15T14:00:00Z",
         "2026-03-15T13:00:00.000001Z"),
        (last_visit("within_next", {"amount": 1, "unit": "hours"}), "2026-03-15T12:30:00Z",
         "2026-03-15T12:30:00.000001Z"),
        (last_visit("before", {"amount": 30, "unit": "minutes"}), "2026-03-15T11:45:00Z",
         "2026-03-15T12:15:00.000001Z"),
        (last_visit("after", {"amount": 30, "unit": "minutes"}), "2026-03-15T11:45:00Z",
         "2026-03-15T12:15:00Z"),
        (last_visit("within_last", days(0, "start_of_day")), "2026-03-15T10:00:00Z",
         "2026-03-16T00:00:00Z"),
        (last_visit("on", days(0)), "2026-03-15T10:00:00Z", "2026-03-16T00:00:00Z"),
        (last_visit("on", "2026-03-15"), "2026-03-15T10:00:00Z", None),
        (last_visit("before", "2027-01-01"), "2026-03-15T10:00:00Z", None),
        (last_visit("within_last", days(5)), "no time", None),
        (leaf("eq", "a"), "2026-03-15T10:00:00Z", None),
    ],
)  # fmt: skip
def test_when_the_answer_changes_by_time_alone(
    raw: dict[str, Any], stored: str, expected: str | None
) -> None:
    rule, profile = compiled(raw), visitor(stored)
    before, changes_at = exact_change(rule, profile, NOW)
    assert changes_at == (None if expected is None else utc(expected))
    if changes_at is not None:
        assert rule.evaluate(profile, Context(changes_at - MICROSECOND))[0] is before
        assert rule.evaluate(profile, Context(changes_at))[0] is not before


def exact_change(rule: Compiled, profile: Profile, now: datetime) -> tuple[bool, datetime | None]:
    """Follows early changes until the answer really differs or never will."""
    before, changes_at = rule.evaluate(profile, Context(now))
    for _ in range(100):
        if changes_at is None:
            return before, None
        is_member, following = rule.evaluate(profile, Context(changes_at))
        if is_member is not before:
            return before, changes_at
        changes_at = following
    raise AssertionError("does not come to an end")


def test_five_days_end_after_the_long_day_an_hour_later() -> None:
    rule = compiled(last_visit("within_last", days(5)), BERLIN)
    profile = visitor("2026-10-24T10:00:00Z")
    _, changes_at = exact_change(rule, profile, utc("2026-10-24T12:00:00Z"))
    assert changes_at == utc("2026-10-29T11:00:00.000001Z")


def test_an_early_change_is_days_early_not_weeks_and_comes_once() -> None:
    rule = compiled(last_visit("within_last", days(30)), BERLIN)
    profile = visitor("2026-03-15T11:00:00Z")
    _, early = rule.evaluate(profile, Context(NOW))
    assert early is not None
    assert timedelta(days=28) < early - NOW < timedelta(days=30)
    _, changes_at = rule.evaluate(profile, Context(early))
    assert changes_at == utc("2026-04-14T10:00:00.000001Z")


def test_a_static_condition_that_settles_the_group_silences_its_clock() -> None:
    clock, no, yes = last_visit("within_last", days(5)), leaf("eq", "b"), leaf("eq", "a")
    profile = visitor("2026-03-15T10:00:00Z", attributes={"x": "a"})
    for raw, is_quiet in [
        (group("and", clock, no), True),
        (group("and", clock, yes), False),
        (group("or", clock, yes), True),
        (group("or", clock, no), False),
        (group("not", group("or", clock, yes)), True),
        (group("not", clock), False),
    ]:
        _, changes_at = compiled(raw).evaluate(profile, Context(NOW))
        assert (changes_at is None) is is_quiet
        assert compiled(raw).depends_on_time


def test_a_group_waits_for_the_last_condition_that_keeps_it_false() -> None:
    ahead = [{"amount": amount, "unit": "hours"} for amount in (1, 3)]
    rule = compiled(group("and", *[last_visit("within_next", value) for value in ahead]))
    profile = visitor("2026-03-15T20:00:00Z")
    assert rule.evaluate(profile, Context(NOW)) == (False, utc("2026-03-15T19:00:00.000001Z"))


def sampled(now: datetime, end: datetime, fractions: list[float]) -> list[datetime]:
    """Moments from now up to, without, the end: the first and last ones, and some between."""
    span = end - now
    found = [now + span * fraction for fraction in fractions]
    return [*found, now + MICROSECOND, end - MICROSECOND]


HORIZON = timedelta(days=800)


@settings(
    max_examples=250,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(rules=rule_sets(), fractions=st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_nothing_changes_before_changes_at(rules: RuleSet, fractions: list[float]) -> None:
    rule = compile_definition(rules.definition, compile_pattern, rules.zone)
    profile, person = rules.person.profile, rules.person
    now, last = rules.now, rules.now + HORIZON
    for _ in range(6):
        context = Context(now, person.audience_ids.__contains__)
        is_member, changes_at = rule.evaluate(profile, context)
        assert changes_at is None or changes_at > now
        end = min(changes_at or last, last)
        for moment in sampled(now, end, fractions):
            if now < moment < end:
                later = Context(moment, person.audience_ids.__contains__)
                assert rule.evaluate(profile, later)[0] is is_member, moment
        if changes_at is None or changes_at >= last:
            return
        now = changes_at


@settings(max_examples=500, derandomize=True, database=None, deadline=None)
@given(
    operator=st.sampled_from(["before", "after", "on", "within_last", "within_next"]),
    amount=st.integers(-3, 40),
    unit=st.sampled_from(["minutes", "hours", "days", "weeks", "months"]),
    origin=st.sampled_from(["now", "start_of_day"]),
    zone=st.sampled_from([ZoneInfo(name) for name in ZONES]),
    now=moments,
    hours=st.integers(-100, 100),
    later=st.lists(st.integers(0, 400 * 60), min_size=8, max_size=8),
)
def test_windows_are_not_crossed_before_they_say(
    operator: str,
    amount: int,
    unit: str,
    origin: str,
    zone: ZoneInfo,
    now: datetime,
    hours: int,
    later: list[int],
) -> None:
    """Moments close to a moving edge, minute by minute around the hours when clocks are set."""
    window = window_of(operator, RelativeTime(amount, unit, origin), zone)
    edges = [edge for edge in window.ends_at(now) if edge is not None]
    moment = edges[0] + timedelta(hours=hours / 4)
    crossing = window.next_crossing(moment, now)
    assert crossing > now
    is_inside = window.holds(moment, now)
    for minutes in later:
        at = now + timedelta(minutes=minutes)
        if at < crossing:
            assert window.holds(moment, at) is is_inside, at
    if crossing is not NEVER:
        assert window.holds(moment, crossing - MICROSECOND) is is_inside


def test_clock_changes_are_found_to_the_second() -> None:
    assert [change for change, _, _ in offset_changes(BERLIN, date(2026, 3, 29))] == [
        datetime(2026, 3, 29, 1, tzinfo=UTC)
    ]
    assert offset_changes(BERLIN, date(2026, 3, 28)) == ()
    assert offset_changes(UTC_ZONE, date(2026, 3, 29)) == ()


def test_explanation_shows_each_answer_and_what_was_seen() -> None:
    audience_id = "0a0a0a0a-0000-4000-8000-000000000001"
    raw = group(
        "and",
        leaf("eq", "gold", name="plan"),
        group("not", leaf("gt", 5, name="orders")),
        leaf("exists", ..., name="unknown"),
        leaf("after", "2026-01-01", field_type="profile", name="created_at"),
        leaf("eq", value=True, field_type="audiences", name=audience_id),
        leaf("eq", 1, field_type="consents", name="analytics"),
        leaf("not_exists", ..., field_type="profile", name="device_ids"),
    )
    profile = profile_of(
        "p",
        {
            "attributes": {"plan": "gold", "orders": 7},
            "created_at": "2026-02-01T00:00:00Z",
            "consents": {"analytics": 0},
        },
    )
    context = Context(NOW, lambda asked: asked == audience_id)
    definition = parse_definition(raw, compile_pattern)
    explained = explain_definition(definition, compile_pattern, UTC_ZONE, profile, context)
    assert (explained["operator"], explained["is_met"]) == ("and", False)
    plan, negation, unknown, created_at, audience, consent, devices = explained["conditions"]
    assert plan == leaf("eq", "gold", name="plan") | {"is_met": True, "seen": "gold"}
    assert negation["is_met"] is False
    assert negation["conditions"] == [leaf("gt", 5, name="orders") | {"is_met": True, "seen": 7}]
    assert (unknown["is_met"], unknown["seen"]) == (False, None)
    assert created_at["seen"] == "2026-02-01T00:00:00.000000Z"
    assert (audience["is_met"], audience["seen"]) == (True, True)
    assert (consent["is_met"], consent["seen"]) == (False, 0)
    assert (devices["is_met"], devices["seen"]) == (True, None)


def test_without_consents_and_audiences_nobody_has_any() -> None:
    audience_id = "0a0a0a0a-0000-4000-8000-000000000001"
    for raw in (
        leaf("exists", ..., field_type="audiences", name=audience_id),
        leaf("exists", ..., field_type="consents", name="analytics"),
    ):
        assert compiled(raw).evaluate(visitor("x"), Context(NOW)) == (False, None)


@pytest.mark.parametrize("value", [True, {"a": 1}, None, math.inf])
def test_values_no_write_stores_satisfy_no_positive_operator(value: Any) -> None:
    profile = profile_of("p", {"attributes": {"x": value}})
    for operator, operand in [
        ("eq", 1), ("in", [1]), ("between", [0, 2]), ("gt", 0 if value is True else 2**53),
        ("eq", "a"), ("ieq", "a"), ("in", ["a"]), ("matches", "."), ("after", "1900-01-01"),
    ]:  # fmt: skip
        if value == math.inf and operator == "gt":
            continue
        assert compiled(leaf(operator, operand)).evaluate(profile, Context(NOW)) == (False, None)


def test_nothing_beyond_the_searched_characters_has_case() -> None:
    beyond = [*range(0x1F000, 0xE0200)]
    assert [code for code in beyond if chr(code).casefold() != chr(code)] == []


def test_foldings_end_in_characters_that_fold_to_themselves() -> None:
    for code in range(0x80, 0x1F000):
        assert chr(code).casefold().casefold() == chr(code).casefold()


def test_foldings_are_only_those_the_needle_can_meet() -> None:
    assert foldings_of("plan") == ("", "", ())
    assert foldings_of("key").sources == "\u212a"
    assert ("ß", "ss") in foldings_of("strasse").expansions
    assert ("İ", "i̇") not in foldings_of("strasse").expansions
