"""Merging: which profiles become one, which identifiers move, what the merged profile holds."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.profiles import merge
from audience.profiles.identifiers import USER_ID
from audience.profiles.profile_set import MAX_ANALYTICS_VISITOR_IDS, MAX_DEVICE_IDS, ProfileSet
from tests.conftest import load_cases
from tests.unit.profile_sets import graph, groups, identifier, item, new_set, send


@pytest.mark.parametrize(("given", "expected"), load_cases("merging"))
def test_merging(given: list[list[str]], expected: dict[str, Any]) -> None:
    profiles = new_set()
    for second, request in enumerate(given):
        send(profiles, *(item(identifiers) for identifiers in request), after=second)
    assert graph(profiles) == groups(expected["graph"])
    assert [refusal.reason for refusal in profiles.refusals] == expected.get("refusals", [])
    assert len(profiles.merges) == expected.get("merges", 0)


def test_owner_of_the_strongest_identifier_survives() -> None:
    profiles = new_set()
    send(profiles, item("v1", color="green"))
    send(profiles, item("u1", food="pizza"), after=1)
    send(profiles, item("u1 v1"), after=2)
    (profile,) = profiles.profiles.values()
    assert profile.profile_id == "p1"
    assert profile.attributes == {"color": "green", "food": "pizza"}
    assert profiles.merges[0].absorbed_before.attributes == {"color": "green"}
    assert profiles.merges[0].survivor_before.attributes == {"food": "pizza"}
    assert profiles.merges[0].identifiers == (identifier("u1"), identifier("v1"))


@pytest.mark.parametrize("newer", ["v1", "u1"])
def test_merged_attribute_is_the_newest_by_its_own_write_time(newer: str) -> None:
    profiles = new_set()
    send(profiles, item("u1", color="of u1"), after=2 if newer == "u1" else 1)
    send(profiles, item("v1", color="of v1"), after=2 if newer == "v1" else 1)
    send(profiles, item("u1 v1"), after=3)
    (profile,) = profiles.profiles.values()
    assert profile.attributes == {"color": f"of {newer}"}


def test_empty_text_never_wins_over_a_value_in_a_merge() -> None:
    profiles = new_set()
    send(profiles, item("u1", color="green"))
    send(profiles, item("v1", color=""), after=1)
    send(profiles, item("u1 v1"), after=2)
    (profile,) = profiles.profiles.values()
    assert profile.attributes == {"color": "green"}


def test_main_visitor_id_is_the_most_recently_seen() -> None:
    profiles = new_set()
    send(profiles, item("u1 v1"))
    send(profiles, item("u1 v2"), after=1)
    (profile,) = profiles.profiles.values()
    assert profile.analytics_visitor_id == identifier("v2").identifier_value
    send(profiles, item("v1"), after=2)
    assert profile.analytics_visitor_id == identifier("v1").identifier_value
    assert profile.analytics_visitor_ids == [
        identifier("v1").identifier_value,
        identifier("v2").identifier_value,
    ]


def test_profile_takes_no_more_than_the_capped_visitor_ids() -> None:
    profiles = new_set()
    for number in range(MAX_ANALYTICS_VISITOR_IDS + 1):
        send(profiles, item(f"u1 v{number}", seen=float(number)))
    (profile,) = profiles.profiles.values()
    assert len(profile.analytics_visitor_ids) == MAX_ANALYTICS_VISITOR_IDS
    assert profile.attributes == {"seen": MAX_ANALYTICS_VISITOR_IDS}
    assert [refusal.reason for refusal in profiles.refusals] == [merge.TOO_MANY_IDENTIFIERS]


def test_profile_takes_no_more_than_the_capped_device_ids() -> None:
    profiles = new_set()
    for number in range(MAX_DEVICE_IDS + 1):
        send(profiles, item(f"u1 d{number}"))
    (profile,) = profiles.profiles.values()
    assert len(profile.device_ids) == MAX_DEVICE_IDS


def test_merge_past_the_cap_is_refused_whole() -> None:
    profiles = new_set()
    for number in range(60):
        send(profiles, item(f"u1 v{number}"))
        send(profiles, item(f"d1 v{number + 100}", color="green"))
    before = graph(profiles)
    send(profiles, item("u1 d1", food="pizza"), after=1)
    assert graph(profiles) == before
    assert [refusal.reason for refusal in profiles.refusals] == [merge.TOO_MANY_IDENTIFIERS]
    assert profiles.owner(identifier("u1")).attributes == {"food": "pizza"}  # type: ignore[union-attr]
    assert profiles.owner(identifier("d1")).attributes == {"color": "green"}  # type: ignore[union-attr]


def test_no_more_than_the_capped_profiles_become_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "MAX_PROFILES_IN_MERGE", 2)
    profiles = new_set()
    send(profiles, item("u1"), item("d1"), item("v1"))
    send(profiles, item("u1 d1 v1"), after=1)
    assert graph(profiles) == groups("u1 d1 | v1")
    assert [refusal.reason for refusal in profiles.refusals] == [merge.TOO_MANY_PROFILES]


def _identifier_sets(kinds: str, most: int) -> st.SearchStrategy[str]:
    """One to four identifiers, at most one of each kind."""
    one = [
        st.none() | st.integers(0, most).map(lambda n, kind=kind: f"{kind}{n}") for kind in kinds
    ]
    return st.tuples(*one).map(lambda found: " ".join(filter(None, found))).filter(bool)


REQUEST = st.lists(_identifier_sets("uedv", 3), min_size=1, max_size=6)
PROPERTY = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(before=st.lists(REQUEST, max_size=3), request=REQUEST, data=st.data())
@PROPERTY
def test_any_order_of_a_request_ends_in_the_same_graph(
    before: list[list[str]], request: list[str], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(request))
    graphs = []
    for order in (request, shuffled):
        profiles = _after(before)
        send(profiles, *(item(identifiers) for identifiers in order), after=10)
        graphs.append(graph(profiles))
    assert graphs[0] == graphs[1]


@given(before=st.lists(REQUEST, max_size=3), request=REQUEST)
@PROPERTY
def test_repeating_a_request_changes_no_graph(before: list[list[str]], request: list[str]) -> None:
    profiles = _after(before)
    send(profiles, *(item(identifiers) for identifiers in request), after=10)
    once = graph(profiles)
    send(profiles, *(item(identifiers) for identifiers in request), after=11)
    assert graph(profiles) == once


@given(requests=st.lists(REQUEST, min_size=1, max_size=8))
@PROPERTY
def test_no_profile_ever_gets_a_second_user_id(requests: list[list[str]]) -> None:
    profiles = new_set()
    for second, request in enumerate(requests):
        send(profiles, *(item(identifiers) for identifiers in request), after=second)
        for group in profiles.identifier_graph():
            assert len([name for name, _ in group if name == USER_ID]) <= 1
        _assert_consistent(profiles)


@given(requests=st.lists(_identifier_sets("uedv", 3), min_size=1, max_size=10))
@PROPERTY
def test_no_attribute_is_lost(requests: list[str]) -> None:
    profiles = new_set()
    for second, identifiers in enumerate(requests):
        send(profiles, item(identifiers, **{f"a{second}": "kept"}), after=second)
    held = [name for profile in profiles.profiles.values() for name in profile.attributes]
    assert sorted(held) == sorted(f"a{second}" for second in range(len(requests)))


def _connected(sets: list[str]) -> set[frozenset[str]]:
    found: list[set[str]] = []
    for identifiers in sets:
        together = set(identifiers.split())
        for other in [group for group in found if group & together]:
            together |= other
            found.remove(other)
        found.append(together)
    return {frozenset(group) for group in found}


@given(sets=st.lists(_identifier_sets("dv", 8), min_size=1, max_size=20), data=st.data())
@PROPERTY
def test_without_conflicts_the_graph_is_the_connected_components(
    sets: list[str], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(sets))
    profiles = new_set()
    for second, identifiers in enumerate(order):
        send(profiles, item(identifiers), after=second)
    assert graph(profiles) == _connected(sets)


def _after(requests: list[list[str]]) -> ProfileSet:
    profiles = new_set()
    for second, request in enumerate(requests):
        send(profiles, *(item(identifiers) for identifiers in request), after=second)
    return profiles


def _assert_consistent(profiles: ProfileSet) -> None:
    """Documents and owners say the same."""
    held = {
        member: profile.profile_id
        for profile in profiles.profiles.values()
        for member in profile.identifiers()
    }
    assert held == profiles.owners


@pytest.mark.parametrize("others", [[], ["u2 d1"], ["u3"], ["u3", "u2 d1"]])
def test_a_refusal_is_noted_although_what_it_was_about_has_moved(others: list[str]) -> None:
    profiles = new_set()
    send(profiles, item("u1 d1"))
    send(profiles, item("u2"), after=1)
    # Several items are gone through until nothing changes; the last time nothing is refused.
    send(profiles, item("u2 d1"), *(item(other) for other in others), after=2)
    assert [refusal.reason for refusal in profiles.refusals] == [merge.DIFFERENT_USER_IDS]


def test_what_became_possible_in_the_end_is_no_refusal() -> None:
    profiles = new_set()
    send(profiles, item("u1 e1"))
    send(profiles, item("u2 e2"), after=1)
    send(profiles, item("d1 e3"), after=2)
    # The first item frees the e-mail that the second one's user gets.
    send(profiles, item("u1 e3"), item("u2 e1"), after=3)
    named = {refusal.other_profile_id for refusal in profiles.refusals}
    assert named <= profiles.profiles.keys()
