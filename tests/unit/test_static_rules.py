"""Definitions evaluated at once give the answers that they give one by one."""

import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from audience.audiences.definition import Definition, parse_definition
from audience.audiences.evaluate import Context, compile_definition
from audience.audiences.memberships.static_rules import StaticRules, is_static
from audience.audiences.patterns import compile_pattern
from audience.profiles.profile import Profile
from tests.unit.rule_cases import profile_of, rule_cases
from tests.unit.rule_strategies import Person, people, trees

CONTEXT = Context(datetime(2026, 3, 15, 12, tzinfo=UTC))


def _one_by_one(definitions: list[Definition], profile: Profile) -> int:
    return sum(
        compile_definition(definition, compile_pattern, UTC).evaluate(profile, CONTEXT)[0] << n
        for n, definition in enumerate(definitions)
    )


def test_the_case_table_at_once() -> None:
    cases = [case for case in rule_cases() if is_static(case.definition)]
    assert len(cases) > 500
    rules = StaticRules([case.definition for case in cases], compile_pattern)
    for position, case in enumerate(cases):
        answer = rules.matches(case.profile, CONTEXT)
        assert bool(answer >> position & 1) is case.is_member, case.name


_definitions = trees().map(lambda raw: parse_definition(raw, compile_pattern)).filter(is_static)


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(definitions=st.lists(_definitions, max_size=6), crowd=st.lists(people(), max_size=6))
def test_random_trees_at_once(definitions: list[Definition], crowd: list[Person]) -> None:
    rules = StaticRules(definitions, compile_pattern)
    # Twice: the second answers come from remembered values.
    for person in [*crowd, *crowd]:
        expected = _one_by_one(definitions, person.profile)
        assert rules.matches(person.profile, CONTEXT) == expected


def test_more_conditions_than_a_word_has_bits() -> None:
    definitions = [
        parse_definition(
            {
                "condition_type": "profile",
                "field_type": "attributes",
                "name": f"n{number % 7}",
                "condition": {"operator": "eq", "value": number},
            },
            compile_pattern,
        )
        for number in range(500)
    ]
    rules = StaticRules(definitions, compile_pattern)
    profile = profile_of("p", {"attributes": {"n3": 3, "n0": 497, "n1": True}})
    assert rules.matches(profile, CONTEXT) == 1 << 3 | 1 << 497


def test_remembered_values_of_other_types_are_told_apart() -> None:
    raw = {
        "condition_type": "profile",
        "field_type": "analytics",
        "name": "x",
        "condition": {"operator": "eq", "value": 1},
    }
    rules = StaticRules([parse_definition(raw, compile_pattern)], compile_pattern)
    for value, expected in ((1, 1), (True, 0), (1.0, 1), ("1", 0), (None, 0), ([], 0), (0, 0)):
        found = rules.matches(profile_of("p", {"analytics": {"x": value}}), CONTEXT)
        assert found == expected, json.dumps(value)
