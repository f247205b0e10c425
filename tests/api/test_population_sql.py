"""Definitions as SQL: the case table and random trees give the same members as Python does."""

import dataclasses
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings

from audience.audiences.definition import parse_definition
from audience.audiences.evaluate import Context, compile_definition
from audience.audiences.patterns import compile_pattern
from audience.audiences.population_sql import PopulationClause, compile_population
from audience.audiences.population_sql_due import due_sql
from audience.audiences.population_sql_elements import Parameters
from audience.profiles.profile import Profile
from audience.profiles.profile_set import ProfileSet
from audience.profiles.storage import save_profile_set
from tests.conftest import App
from tests.unit.rule_cases import RuleCase, profile_of, rule_cases
from tests.unit.rule_strategies import Person, RuleSet, crowd, rule_sets

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
CROWD = 200


@dataclasses.dataclass(frozen=True)
class CrowdedApp:
    app: App
    people: list[Person]


async def store(app: App, profiles: Iterable[Profile]) -> None:
    kept = {profile.profile_id: profile for profile in profiles}
    changed = ProfileSet(lambda: "", profiles=kept, changed_profile_ids=set(kept))
    async with app.rows.transaction():
        await save_profile_set(app.rows, app.app_id, changed, NOW)


async def join_audiences(app: App, members: Sequence[tuple[str, str]]) -> None:
    """members: (audience_id, profile_id)."""
    await app.rows.executemany(
        "INSERT INTO audience_members (app_id, audience_id, profile_id, member_since) "
        "VALUES ($1, $2, $3, $4)",
        [(app.app_id, *member, NOW) for member in members],
    )


async def members(app: App, clause: PopulationClause) -> set[str]:
    """The profiles of the app that the clause finds."""
    query = f"SELECT p.profile_id FROM profiles p WHERE p.app_id = $1 AND {clause.sql}"
    found = await app.rows.fetch(query, app.app_id, *clause.parameters)
    return {str(UUID(bytes=row[0].bytes)) for row in found}


async def store_people(app: App, people: Sequence[Person | RuleCase]) -> None:
    await store(app, (person.profile for person in people))
    joined = [
        (audience_id, person.profile.profile_id)
        for person in people
        for audience_id in person.audience_ids
    ]
    if joined:
        await join_audiences(app, joined)


@pytest.fixture
async def odd_session(app: App) -> AsyncIterator[None]:
    """A session whose own time zone must not matter."""
    await app.rows.execute("SET TIME ZONE 'Asia/Kathmandu'")
    yield
    await app.rows.execute("RESET TIME ZONE")


@pytest.mark.usefixtures("odd_session")
async def test_the_case_table_in_sql(app: App) -> None:
    cases = rule_cases()
    await store_people(app, cases)
    wrong = []
    for case in cases:
        clause = compile_population(case.definition, now=case.now, timezone=case.zone)
        found = await members(app, clause)
        evaluate = case.compiled().evaluate
        expected = {
            other.profile.profile_id
            for other in cases
            if evaluate(other.profile, other.context(case.now))[0]
        }
        assert (case.profile.profile_id in expected) is case.is_member
        if not (found == expected if clause.is_exact else found >= expected):
            wrong.append((case.name, clause.sql, len(found ^ expected)))
    assert wrong == []


async def test_every_character_folds_in_sql_as_in_python(app: App) -> None:
    characters = [chr(code) for code in range(0x80, 0x1F000) if not 0xD800 <= code < 0xE000]
    cased = [character for character in characters if character.casefold() != character]
    texts = [text for character in cased for text in (character, f"s{character}t")]
    await store(
        app,
        [
            profile_of(f"00000000-0000-4000-8000-{number:012x}", {"attributes": {"x": text}})
            for number, text in enumerate(texts)
        ],
    )
    needles = {"s", "st", "i", "f", "k", "ss", "sss", "\u0301", "\u03c3", "я", "sfft"}
    needles |= {text.casefold() for text in texts if len(text.casefold()) > len(text)}
    for needle in sorted(needles):
        for operator in ("ieq", "icontains"):
            clause = clause_of(operator, needle)
            found = {int(profile_id[-12:], 16) for profile_id in await members(app, clause)}
            assert found == {
                number
                for number, text in enumerate(texts)
                if (needle == text.casefold() if operator == "ieq" else needle in text.casefold())
            }


def clause_of(operator: str, value: Any, name: str = "x", first: int = 2) -> PopulationClause:
    """The clause of one condition on an attribute."""
    definition = parse_definition(
        {
            "condition_type": "profile",
            "field_type": "attributes",
            "name": name,
            "condition": {"operator": operator, "value": value},
        },
        compile_pattern,
    )
    return compile_population(definition, now=NOW, timezone=UTC, first_parameter=first)


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("eq", "MARK"),
        ("ieq", "MARK"),
        ("contains", "MARK"),
        ("not_icontains", "MARK"),
        ("starts_with", "MARK"),
        ("ends_with", "MARK"),
        ("in", ["MARK"]),
        ("matches", "MARK"),
        ("between", [4711, 4712]),
        ("in", [4711]),
        ("before", "4711-01-01"),
        ("on", "4711-01-01T00:00:00Z"),
    ],
)
def test_nothing_of_a_definition_is_in_the_sql_text(operator: str, value: Any) -> None:
    clause = clause_of(operator, value, name="MARK'NAME", first=7)
    assert "MARK" not in clause.sql.upper()
    assert "4711" not in clause.sql
    numbers = {int(found) for found in re.findall(r"\$(\d+)::", clause.sql)}
    assert numbers == set(range(7, 7 + len(clause.parameters)))


async def test_what_sql_cannot_say_only_narrows(app: App) -> None:
    assert not clause_of("matches", "a").is_exact
    assert clause_of("icontains", "a").is_exact
    await store(
        app,
        [
            profile_of("00000000-0000-4000-8000-000000000001", {"attributes": {"x": "b"}}),
            profile_of("00000000-0000-4000-8000-000000000002", {}),
        ],
    )
    assert len(await members(app, clause_of("matches", "a"))) == 1
    assert len(await members(app, clause_of("not_matches", "a"))) == 2


@pytest.fixture
async def crowded_app(app: App) -> CrowdedApp:
    """An app with a few hundred random people, so that each definition meets all of them."""
    people = crowd(CROWD)
    await store_people(app, people)
    return CrowdedApp(app, people)


@settings(
    max_examples=2000,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rules=rule_sets())
async def test_random_trees_find_the_same_members_in_sql(
    crowded_app: CrowdedApp, rules: RuleSet
) -> None:
    app, now = crowded_app.app, rules.now
    profile_id = rules.person.profile.profile_id
    await app.rows.execute(
        "DELETE FROM profiles WHERE app_id = $1 AND profile_id = $2", app.app_id, profile_id
    )
    await store_people(app, [rules.person])
    clause = compile_population(rules.definition, now=now, timezone=rules.zone)
    found = await members(app, clause)
    evaluate = compile_definition(rules.definition, compile_pattern, rules.zone).evaluate
    expected = {
        person.profile.profile_id
        for person in [rules.person, *crowded_app.people]
        if evaluate(person.profile, Context(now, person.audience_ids.__contains__))[0]
    }
    assert found == expected if clause.is_exact else found >= expected, clause.sql


@settings(
    max_examples=500,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rules=rule_sets())
async def test_sql_never_says_later_than_python_when_an_answer_may_change(
    crowded_app: CrowdedApp, rules: RuleSet
) -> None:
    app, now = crowded_app.app, rules.now
    parameters = Parameters(2)
    due = due_sql(rules.definition, parameters, now, rules.zone)
    compiled = compile_definition(rules.definition, compile_pattern, rules.zone)
    if due is None:
        assert not compiled.depends_on_time
        return
    rows = await app.rows.fetch(
        f"SELECT p.profile_id::text, {due} FROM profiles p WHERE p.app_id = $1",
        app.app_id,
        *parameters.values,
    )
    changes = {row[0]: row[1] for row in rows}
    for person in crowded_app.people:
        context = Context(now, person.audience_ids.__contains__)
        _, expected = compiled.evaluate(person.profile, context)
        found = changes[person.profile.profile_id]
        assert found is None or found >= now
        if expected is not None:
            assert found is not None
            assert found <= expected
