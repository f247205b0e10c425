"""Random definitions and profiles that have much to do with each other, for property tests."""

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from audience.audiences.definition import Definition, parse_definition
from audience.audiences.operators import OPERATORS_OF_KIND
from audience.audiences.patterns import compile_pattern
from audience.profiles.profile import Profile
from tests.unit.rule_cases import profile_of

AUDIENCE_IDS = ("0a0a0a0a-0000-4000-8000-000000000001", "0a0a0a0a-0000-4000-8000-000000000002")
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Havana",
    "Africa/Casablanca",
)
#: Around them the clocks are set in one of the zones, or a month ends.
_ANCHORS = [
    datetime(*ymdh, tzinfo=UTC)
    for ymdh in (
        (2026, 3, 29, 1),
        (2026, 10, 25, 1),
        (2026, 3, 8, 7),
        (2026, 11, 1, 6),
        (2026, 4, 4, 15),
        (2026, 3, 31, 12),
        (2024, 2, 29, 22),
        (2026, 1, 31, 23),
        (2026, 3, 22, 2),
    )
]
_TEXTS = [
    *["", "a", "A", "ab", "b", "ss", "ß", "SS", "\u017f", "aß", "sa", "İ", "i", "i̇", "Σ", "ς", "ﬃ"],
    *["5", "1", "%", "_", "a%", "\\", "'", '"', "$1", "\n", "💡", "e\u0301", "é", "K", "\u212a"],
    *["f", "{}", "null", "true", "[]", "2026-03-29", "2026-03-31T12:00:00Z", "2026-02-30"],
]
_NUMBERS = [0, 1, 2, 5, -1.5, 0.1, 0.30000000000000004, 1.0, 2**53, 2**53 - 1, 1e-7]
_NAMES = ["x", "y", "$.x", "X"]
_PATTERNS = ["^a", "s+$", "(?i)SS", ".", "^$", r"\d"]

texts = st.sampled_from(_TEXTS) | st.text(
    st.characters(codec="utf-8", exclude_characters="\x00"), max_size=4
)
numbers = st.sampled_from(_NUMBERS) | st.integers(-9, 9) | st.floats(-1e6, 1e6)
moments = st.builds(
    lambda anchor, seconds: anchor + timedelta(seconds=seconds),
    st.sampled_from(_ANCHORS),
    st.integers(-200_000, 200_000) | st.integers(-400, 400).map(lambda hours: hours * 3600),
)
_FORMS = (
    lambda moment: moment.isoformat().replace("+00:00", "Z"),
    lambda moment: moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
    lambda moment: moment.replace(tzinfo=None).isoformat(),
    lambda moment: moment.astimezone(ZoneInfo("America/New_York")).isoformat(),
    lambda moment: moment.date().isoformat(),
)
time_texts = st.builds(lambda moment, form: form(moment), moments, st.sampled_from(_FORMS))


@st.composite
def relative_times(draw: st.DrawFn, least: int = -40) -> dict[str, Any]:
    value: dict[str, Any] = {
        "amount": draw(st.integers(least, 40) | st.sampled_from([0, 1, 2])),
        "unit": draw(st.sampled_from(["minutes", "hours", "days", "weeks", "months"])),
    }
    origin = draw(st.sampled_from([None, "now", "start_of_day"]))
    return value if origin is None else value | {"from": origin}


_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "ieq": texts,
    "matches": st.sampled_from(_PATTERNS),
    "not_matches": st.sampled_from(_PATTERNS),
    "between": st.tuples(numbers, numbers).map(sorted),
    **dict.fromkeys(("gt", "gte", "lt", "lte"), numbers),
    **dict.fromkeys(("before", "after", "on"), time_texts | relative_times()),
    **dict.fromkeys(("within_last", "not_within_last", "within_next"), relative_times(0)),
}
_FIELDS = [
    *[("attributes", name, "any") for name in _NAMES * 3],
    ("analytics", "x", "any"),
    ("profile", "user_id", "text"),
    ("profile", "email", "text"),
    ("profile", "device_ids", "texts"),
    ("profile", "analytics_visitor_ids", "texts"),
    ("profile", "created_at", "time"),
    ("profile", "updated_at", "time"),
    ("forms", "f.url", "text"),
    ("forms", "f.timestamp", "time"),
    ("visits", "last_visit", "time"),
    ("goals", "all.revenue", "number"),
    ("goals", "1.last_conversion", "time"),
    ("ecommerce", "number_of_orders", "number"),
    ("generic", "total_revenue", "number"),
    ("consents", "analytics", "number"),
    *[("audiences", audience_id, "membership") for audience_id in AUDIENCE_IDS],
]


def _value(draw: st.DrawFn, operator: str, kind: str) -> Any:
    if kind == "membership":
        return draw(st.booleans())
    if operator in _VALUES:
        return draw(_VALUES[operator])
    is_text = kind in ("text", "texts") or (kind == "any" and draw(st.integers(0, 2)) > 0)
    scalars = texts if is_text or operator.endswith(("contains", "_with")) else numbers
    if operator in ("eq", "neq"):
        return draw(scalars)
    if operator in ("in", "not_in"):
        return draw(st.lists(scalars, min_size=1, max_size=3))
    return draw(texts.filter(bool))


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, Any]:
    field_type, name, kind = draw(st.sampled_from(_FIELDS))
    selectors = ["any", "all", "none", "first", "last", "count"]
    selector = draw(st.sampled_from([None, None, *selectors]))
    if kind == "membership":
        selector = None
    if selector == "count":
        kind = "number"
    operators = OPERATORS_OF_KIND[kind]
    if selector in ("count", "none"):
        operators = tuple(name for name in operators if not name.endswith("exists"))
    operator = draw(st.sampled_from(operators))
    condition: dict[str, Any] = {"operator": operator}
    if not operator.endswith("exists"):
        condition["value"] = _value(draw, operator, kind)
    leaf = {"condition_type": "profile", "field_type": field_type, "name": name}
    return leaf | ({"value_selector": selector} if selector else {}) | {"condition": condition}


@st.composite
def trees(draw: st.DrawFn, levels: int = 3) -> dict[str, Any]:
    if levels == 0 or draw(st.integers(0, 2)) == 0:
        return draw(leaves())
    operator = draw(st.sampled_from(["and", "or", "not"]))
    size = 1 if operator == "not" else draw(st.integers(1, 3))
    return {"operator": operator, "conditions": [draw(trees(levels - 1)) for _ in range(size)]}


_attribute_values = (
    texts | numbers | time_texts | st.lists(texts, min_size=1, max_size=3, unique=True)
)
_profile_members = st.fixed_dictionaries(
    {},
    optional={
        "attributes": st.dictionaries(st.sampled_from(_NAMES), _attribute_values, max_size=3),
        "analytics": st.dictionaries(st.just("x"), texts),
        "user_id": texts.filter(bool),
        "email": texts.map(str.lower).filter(bool),
        "device_ids": st.lists(texts.filter(bool), max_size=3, unique=True),
        "analytics_visitor_ids": st.lists(texts.map(str.lower), max_size=2, unique=True),
        "created_at": moments.map(datetime.isoformat),
        "updated_at": moments.map(datetime.isoformat),
        "forms": st.fixed_dictionaries(
            {"f": st.fixed_dictionaries({"timestamp": time_texts, "url": texts})}
        ),
        "visits": st.fixed_dictionaries({"last_visit": time_texts}),
        "goals": st.fixed_dictionaries(
            {"all": st.fixed_dictionaries({"revenue": numbers})},
            optional={"1": st.fixed_dictionaries({"last_conversion": time_texts})},
        ),
        "ecommerce": st.fixed_dictionaries({"number_of_orders": st.integers(0, 5)}),
        "generic": st.fixed_dictionaries({"total_revenue": numbers}),
        "consents": st.dictionaries(st.just("analytics"), st.sampled_from([-1, 0, 1])),
    },
)


@dataclass(frozen=True)
class Person:
    """A profile with its audiences."""

    profile: Profile
    audience_ids: frozenset[str]


@dataclass(frozen=True)
class RuleSet:
    """A definition, the moment and zone to evaluate it in, and somebody to evaluate it on."""

    definition: Definition
    now: datetime
    zone: ZoneInfo
    person: Person


@st.composite
def people(draw: st.DrawFn, number: int = 0) -> Person:
    return Person(
        profile_of(f"00000000-0000-4000-8000-{number:012x}", draw(_profile_members)),
        draw(st.frozensets(st.sampled_from(AUDIENCE_IDS))),
    )


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSet:
    return RuleSet(
        parse_definition(draw(trees()), compile_pattern),
        draw(moments),
        ZoneInfo(draw(st.sampled_from(ZONES))),
        draw(people()),
    )


def crowd(size: int) -> list[Person]:
    """The same random people on every run, numbered from 1."""
    found: list[Person] = []

    @settings(
        max_examples=size,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(people())
    def collect(person: Person) -> None:
        profile_id = f"00000000-0000-4000-8000-{len(found) + 1:012x}"
        profile = dataclasses.replace(person.profile, profile_id=profile_id)
        found.append(dataclasses.replace(person, profile=profile))

    collect()
    return found
