"""What a fact of the analytics system does to a profile."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

from audience.profile_changes.analytics_facts.facts import (
    MAX_GOALS_PER_PROFILE,
    Conversion,
    Fact,
    Order,
    apply_fact,
    see_main_visitor_id,
)
from audience.profiles.identifiers import Identifier
from audience.profiles.profile import Profile

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
VISITOR = Identifier("analytics_visitor_id", "00000000000000a1")


def _fact(hours: int = 0, **members: Any) -> Fact:
    moment = NOON + timedelta(hours=hours)
    return Fact(0, "app", (VISITOR,), moment, members.pop("analytics", {}), **members)


def _profile(**members: Any) -> Profile:
    return Profile("p", NOON, NOON, **members)


def _apply(profile: Profile, *facts: Fact) -> Profile:
    keys = {key for fact in facts for key in (fact.order_key(), fact.conversion_key()) if key}
    for fact in facts:
        apply_fact(profile, fact, keys)
    return profile


def test_newest_snapshot_is_kept_whole() -> None:
    old = _fact(0, analytics={"os": "Linux", "city": "Ulm"})
    new = _fact(1, analytics={"os": "Windows"})
    for order in permutations((old, new)):
        assert _apply(_profile(), *order).analytics == {"os": "Windows"}


def test_fact_without_a_snapshot_leaves_it() -> None:
    profile = _profile(analytics={"os": "Linux"}, analytics_at=NOON)
    assert _apply(profile, _fact(2, is_visit=True)).analytics == {"os": "Linux"}
    assert profile.analytics_at == NOON


def test_visits_are_the_first_and_the_last_in_any_order() -> None:
    for order in permutations((_fact(0), _fact(1), _fact(2))):
        facts = [
            Fact(0, "app", fact.identifiers, fact.occurred_at, {}, is_visit=True) for fact in order
        ]
        assert _apply(_profile(), *facts).visits == {
            "first_visit": "2026-03-01T12:00:00.000000Z",
            "last_visit": "2026-03-01T14:00:00.000000Z",
        }


def test_goals_are_counted_alone_and_together() -> None:
    facts = [
        _fact(0, conversion=Conversion("1", 10)),
        _fact(1, conversion=Conversion("2", 2.5)),
        _fact(2, conversion=Conversion("1", 4)),
    ]
    expected = {
        "1": {
            "conversion_count": 2,
            "revenue": 14,
            "last_conversion": "2026-03-01T14:00:00.000000Z",
            "last_revenue": 4,
        },
        "2": {
            "conversion_count": 1,
            "revenue": 2.5,
            "last_conversion": "2026-03-01T13:00:00.000000Z",
            "last_revenue": 2.5,
        },
        "all": {
            "conversion_count": 3,
            "revenue": 16.5,
            "last_conversion": "2026-03-01T14:00:00.000000Z",
            "last_revenue": 4,
        },
    }
    for order in permutations(facts):
        profile = _apply(_profile(), *order)
        assert profile.goals == expected
        assert profile.generic == {"total_revenue": 16.5}
        assert profile.ecommerce == {}


def test_orders_are_counted_and_their_money_adds_up_exactly() -> None:
    profile = _apply(_profile(), _fact(1, order=Order("a", 0.1)), _fact(0, order=Order("b", 0.2)))
    assert profile.ecommerce == {
        "number_of_orders": 2,
        "total_revenue": 0.3,
        "last_conversion": "2026-03-01T13:00:00.000000Z",
        "last_revenue": 0.1,
    }
    assert profile.generic == {"total_revenue": 0.3}


def test_one_key_counts_once() -> None:
    twice = [_fact(0, order=Order("a", 5)), _fact(1, order=Order("a", 5))]
    assert _apply(_profile(), *twice).ecommerce["number_of_orders"] == 1
    assert _fact(0, order=Order("a", 5)).order_key() == _fact(3, order=Order("a", 7)).order_key()


def test_what_is_counted_already_changes_nothing() -> None:
    profile = _profile()
    fact = _fact(0, order=Order("a", 5), conversion=Conversion("1", 5, "e"))
    assert apply_fact(profile, fact, set()) is None
    assert (profile.goals, profile.ecommerce, profile.generic) == ({}, {}, {})


def test_conversions_are_told_apart_by_event_or_by_visitor_and_moment() -> None:
    keys = [
        _fact(0, conversion=Conversion("1", 0, "e")),
        _fact(0, conversion=Conversion("2", 0, "e")),
        _fact(0, conversion=Conversion("1", 0)),
        _fact(1, conversion=Conversion("1", 0)),
        _fact(0, order=Order("e", 0)),
    ]
    assert len({fact.order_key() or fact.conversion_key() for fact in keys}) == len(keys)
    same = [_fact(hours, conversion=Conversion("1", hours, "e")) for hours in (0, 9)]
    assert len({fact.conversion_key() for fact in same}) == 1


def test_goals_of_a_profile_are_bounded() -> None:
    profile = _profile()
    _apply(profile, *(_fact(0, conversion=Conversion(f"g{n}", 1)) for n in range(200)))
    one_more = _fact(0, conversion=Conversion("new", 1))
    assert apply_fact(profile, one_more, {one_more.conversion_key() or b""}) == "limit"
    assert len(profile.goals) == MAX_GOALS_PER_PROFILE + 1
    again = _fact(1, conversion=Conversion("g7", 1))
    assert apply_fact(profile, again, {again.conversion_key() or b""}) is None
    assert profile.goals["g7"]["conversion_count"] == 2


def test_main_visitor_id_is_the_one_seen_last() -> None:
    profile = _profile(analytics_visitor_ids=["a", "b", "c"])
    see_main_visitor_id(profile, {"a": NOON, "b": NOON + timedelta(1), "x": NOON + timedelta(9)})
    assert profile.analytics_visitor_id == "b"
    assert profile.analytics_visitor_seen_at == NOON + timedelta(1)
