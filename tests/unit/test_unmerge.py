"""Taking merges back: both profiles return, later updates stay with the survivor."""

import itertools
from dataclasses import fields
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from audience.profiles.merged_document import merge_profiles
from audience.profiles.profile import Profile, from_record, to_record
from audience.profiles.profile_set import Merge, ProfileSet
from audience.profiles.unmerge import undo_merge
from tests.unit.profile_sets import START, graph, groups, identifier, item, new_set, send, value_of

LATER = START + timedelta(hours=1)


def _undo(profiles: ProfileSet, number: int = 0) -> Profile:
    merge, *later = profiles.merges[number:]
    restored, corrected = undo_merge(profiles, merge, later, LATER)
    profiles.merges[number + 1 :] = corrected
    return restored


def _owner(profiles: ProfileSet, short: str) -> Profile:
    owner = profiles.owner(identifier(short))
    assert owner is not None
    return owner


def test_undo_brings_both_profiles_back() -> None:
    profiles = new_set()
    send(profiles, item("v1 d1", color="green", seen=1))
    send(profiles, item("u1 v2", color="red", food="pizza"), after=1)
    send(profiles, item("u1 v1"), after=2)
    assert graph(profiles) == groups("u1 d1 v1 v2")
    restored = _undo(profiles)
    assert graph(profiles) == groups("u1 v2 | d1 v1")
    assert restored.profile_id == "p0"
    assert restored.attributes == {"color": "green", "seen": 1}
    survivor = _owner(profiles, "u1")
    assert survivor.attributes == {"color": "red", "food": "pizza"}
    assert survivor.analytics_visitor_id == value_of("v2")
    assert restored.analytics_visitor_id == value_of("v1")


def test_value_of_the_absorbed_profile_leaves_the_survivor_again() -> None:
    profiles = new_set()
    send(profiles, item("u1", color="red"))
    send(profiles, item("v1", color="green"), after=1)
    send(profiles, item("u1 v1"), after=2)
    assert _owner(profiles, "u1").attributes == {"color": "green"}
    _undo(profiles)
    assert _owner(profiles, "u1").attributes == {"color": "red"}
    assert _owner(profiles, "v1").attributes == {"color": "green"}


def test_later_updates_stay_with_the_survivor() -> None:
    profiles = new_set()
    send(profiles, item("v1", color="green", size="m"))
    send(profiles, item("u1"), after=1)
    send(profiles, item("u1 v1", {"name": "size", "value": "xl"}, food="pizza"), after=2)
    send(profiles, item("u1 v9"), after=3)
    _undo(profiles)
    assert graph(profiles) == groups("u1 v9 | v1")
    assert _owner(profiles, "u1").attributes == {"size": "xl", "food": "pizza"}
    assert _owner(profiles, "v1").attributes == {"color": "green", "size": "m"}


def test_user_id_and_email_of_the_absorbed_profile_return_to_it() -> None:
    profiles = new_set()
    send(profiles, item("e1", color="green"))
    send(profiles, item("u1 v1"), after=1)
    send(profiles, item("e1 v1"), after=2)
    assert _owner(profiles, "e1").user_id == "u1"
    restored = _undo(profiles)
    assert restored.user_id == "u1"
    assert _owner(profiles, "e1").user_id is None
    assert graph(profiles) == groups("e1 | u1 v1")


def test_replaced_email_returns_to_the_survivor() -> None:
    profiles = new_set()
    send(profiles, item("e2 v1"))
    send(profiles, item("u1 e1"), after=1)
    send(profiles, item("u1 e2"), after=2)
    assert graph(profiles) == groups("u1 e2 v1")
    _undo(profiles)
    assert graph(profiles) == groups("u1 e1 | e2 v1")
    assert _owner(profiles, "u1").email == value_of("e1")


def test_identifier_that_moved_on_stays_where_it_is() -> None:
    profiles = new_set()
    send(profiles, item("d1 v1"))
    send(profiles, item("u1"), after=1)
    send(profiles, item("u1 v1"), after=2)
    send(profiles, item("u2 d1"), after=3)
    restored = _undo(profiles)
    assert restored.device_ids == []
    assert graph(profiles) == groups("u1 | v1 | u2 d1")


def test_an_earlier_merge_is_undone_through_a_later_one() -> None:
    profiles = new_set()
    send(profiles, item("v1", a="of v1"))
    send(profiles, item("d1", b="of d1"), after=1)
    send(profiles, item("d1 v1"), after=2)
    send(profiles, item("u1", c="of u1"), after=3)
    send(profiles, item("u1 d1"), after=4)
    assert graph(profiles) == groups("u1 d1 v1")
    _undo(profiles, 0)
    assert graph(profiles) == groups("u1 d1 | v1")
    assert _owner(profiles, "v1").attributes == {"a": "of v1"}
    assert _owner(profiles, "u1").attributes == {"b": "of d1", "c": "of u1"}
    _undo(profiles, 1)
    assert graph(profiles) == groups("u1 | d1 | v1")
    assert _owner(profiles, "d1").attributes == {"b": "of d1"}
    assert _owner(profiles, "u1").attributes == {"c": "of u1"}


def test_sums_of_goals_and_orders_are_parted_again() -> None:
    profiles = new_set()
    one, other = (profiles.create(START), profiles.create(START))
    one.goals = {"1": {"revenue": 10.0, "conversion_count": 2, "last_conversion": "2020-01-02Z"}}
    other.goals = {
        "1": {"revenue": 5.0, "conversion_count": 1, "last_conversion": "2020-01-03Z"},
        "2": {"revenue": 1.0, "conversion_count": 1, "last_conversion": "2020-01-01Z"},
    }
    one.visits = {"first_visit": "2020-01-02Z", "last_visit": "2020-02-02Z"}
    other.visits = {"first_visit": "2020-01-01Z", "last_visit": "2020-01-03Z"}
    other.generic = {"total_revenue": 6.0}
    before = [to_record(one), to_record(other)]
    for number, profile in enumerate((one, other)):
        profiles.attach(profile, identifier(f"v{number}"))
    send(profiles, item("d1 v0"), after=1)
    send(profiles, item("d1 v1"), after=2)
    merged = _owner(profiles, "d1")
    assert merged.goals["1"] == {
        "revenue": 15.0,
        "conversion_count": 3,
        "last_conversion": "2020-01-03Z",
    }
    assert merged.visits == {"first_visit": "2020-01-01Z", "last_visit": "2020-02-02Z"}
    _undo(profiles)
    after = [to_record(_owner(profiles, f"v{number}")) for number in range(2)]
    for old, new in zip(before, after, strict=True):
        for name in ("goals", "visits", "ecommerce", "generic"):
            assert new[name] == old[name]


def test_records_keep_every_member() -> None:
    profiles = new_set()
    send(profiles, item("u1 e1 d1 v1", color="green", tags=["a"]))
    profile = _owner(profiles, "u1")
    assert from_record(to_record(profile)) == profile
    assert set(to_record(profile)) == {entry.name for entry in fields(Profile)}


VALUES = st.sampled_from(["a", "b", "", 1, 2.5]) | st.lists(
    st.sampled_from("xyz"), min_size=1, unique=True
)
ATTRIBUTES = st.dictionaries(st.sampled_from("klmn"), st.tuples(VALUES, st.integers(1, 9)))


def _profile(number: int, values: dict[str, tuple[Any, int]]) -> Profile:
    return Profile(
        profile_id=f"p{number}",
        created_at=START,
        updated_at=START,
        device_ids=[f"d{number}"],
        attributes={name: value for name, (value, _) in values.items()},
        attribute_written_at={name: written for name, (_, written) in values.items()},
    )


@given(first=ATTRIBUTES, second=ATTRIBUTES, third=ATTRIBUTES)
@settings(deadline=None)
def test_merged_attributes_do_not_depend_on_the_order(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> None:
    one, two, three = (_profile(n, values) for n, values in enumerate((first, second, third)))
    results = []
    for order in itertools.permutations((one, two, three)):
        left = merge_profiles(merge_profiles(order[0], order[1]), order[2])
        right = merge_profiles(order[0], merge_profiles(order[1], order[2]))
        results += [left, right]
    for result in results:
        assert result.attributes == results[0].attributes
        assert result.attribute_written_at == results[0].attribute_written_at


@given(survivor=ATTRIBUTES, absorbed=ATTRIBUTES)
@settings(deadline=None)
def test_undo_restores_the_attributes_of_both(
    survivor: dict[str, Any], absorbed: dict[str, Any]
) -> None:
    one, two = _profile(0, survivor), _profile(1, absorbed)
    profiles = new_set()
    merged = merge_profiles(one, two)
    profiles.load([merged])
    restored, _ = undo_merge(profiles, Merge(one, two, (), START), [], LATER)
    held = profiles.profiles["p0"]
    assert (held.attributes, held.attribute_written_at) == (
        one.attributes,
        one.attribute_written_at,
    )
    assert (restored.attributes, restored.attribute_written_at) == (
        two.attributes,
        two.attribute_written_at,
    )
