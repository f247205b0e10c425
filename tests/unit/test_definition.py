"""Definitions as JSON: what is taken, what is refused and where, what they refer to."""

import json
from typing import Any

import pytest

from audience.audiences.condition_values import MAX_AMOUNTS
from audience.audiences.definition import definition_document, parse_definition
from audience.audiences.fields import FIELD_TYPES
from audience.audiences.patterns import compile_pattern
from audience.audiences.references import FieldName, audience_ids, field_names, find_cycle
from audience.errors import Invalid
from tests.conftest import load_cases

AUDIENCE_ID = "0A0A0A0A-0000-4000-8000-000000000001"


def leaf(operator: str = "eq", value: Any = "a", **members: Any) -> dict[str, Any]:
    condition = {"operator": operator} | ({} if value is ... else {"value": value})
    return {
        "condition_type": "profile",
        "field_type": "attributes",
        "name": "x",
        "condition": condition,
    } | members


def group(operator: str, *conditions: Any) -> dict[str, Any]:
    return {"operator": operator, "conditions": list(conditions)}


def nested(levels: int) -> dict[str, Any]:
    tree = leaf()
    for _ in range(levels):
        tree = group("and", tree)
    return tree


def refusal(raw: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        parse_definition(raw, compile_pattern)
    assert caught.value.path is not None
    assert caught.value.message.startswith(caught.value.path + " ")
    return caught.value


def test_every_definition_of_the_case_table_comes_back_as_it_was() -> None:
    for row in load_cases("rules"):
        raw = row.values[0]["definition"]
        assert definition_document(parse_definition(raw, compile_pattern)) == raw


@pytest.mark.parametrize(
    "raw",
    [
        leaf(),
        leaf("between", [1, 2.5], value_selector="count"),
        leaf("exists", ..., value_selector="any"),
        leaf("before", {"amount": -5, "unit": "days", "from": "now"}),
        leaf("before", {"amount": 5, "unit": "days"}),
        leaf("in", [1.0, 2]),
        leaf("eq", value=True, field_type="audiences", name=AUDIENCE_ID),
        leaf("eq", 1, field_type="consents", name="a type nobody has heard of"),
        leaf(name="an attribute nobody has heard of"),
        nested(6),
        group("or", *[leaf()] * 50),
    ],
)
def test_definition_comes_back_as_it_was(raw: dict[str, Any]) -> None:
    document = definition_document(parse_definition(raw, compile_pattern))
    assert json.dumps(document, sort_keys=True) == json.dumps(raw, sort_keys=True)


CONDITION = "definition.condition"
REFUSED: list[tuple[str, Any, str, str]] = [
    ("no object", [], "definition", "must be an object"),
    ("nothing", None, "definition", "must be an object"),
    ("empty group", group("and"), "definition.conditions", "at least one"),
    ("no operator", {"conditions": [leaf()]}, "definition.operator", "one of and, or, not"),
    ("no conditions", {"operator": "and"}, "definition.conditions", "must be a list"),
    ("odd group", group("xor", leaf()), "definition.operator", "'xor': expected one of and, or"),
    ("not of two", group("not", leaf(), leaf()), "definition.conditions", "takes exactly one"),
    ("too deep", nested(7), "definition" + ".conditions[0]" * 6, "at most 6 levels"),
    ("too many", group("or", *[leaf()] * 51), "definition.conditions[50]", "at most 50"),
    ("child", group("and", leaf(), 5), "definition.conditions[1]", "must be an object"),
    (
        "deep leaf",
        group("and", leaf(), group("or", leaf("foo"))),
        "definition.conditions[1].conditions[0].condition.operator",
        "'foo': expected one of eq, neq",
    ),
    ("group member", group("and", leaf()) | {"label": 1}, "definition", "'label'"),
    ("leaf member", leaf(label=1), "definition", "has the member 'label'"),
    ("condition member", leaf(condition={"operator": "exists", "x": 1}), CONDITION, "'x'"),
    ("event", leaf(condition_type="event"), "definition.condition_type", "'event'"),
    ("no type", {"name": "x"}, "definition.condition_type", "is required"),
    ("field type", leaf(field_type="cookies"), "definition.field_type", "'cookies'"),
    ("unhashable", leaf(field_type=[]), "definition.field_type", "'list': expected one of"),
    ("no name", leaf(name=None), "definition.name", "must be a string of 1 to 255"),
    ("empty name", leaf(name=""), "definition.name", "must be a string of 1 to 255"),
    ("long name", leaf(name="x" * 256), "definition.name", "must be a string of 1 to 255"),
    ("NUL in a name", leaf(name="\0"), "definition.name", "NUL"),
    ("half a pair in a name", leaf(name="\ud83e"), "definition.name", "surrogate"),
    ("profile name", leaf(field_type="profile", name="age"), "definition.name", "user_id, email"),
    ("visit", leaf(field_type="visits", name="x"), "definition.name", "first_visit, last_visit"),
    ("form", leaf(field_type="forms", name="url"), "definition.name", "<form id>.<member>"),
    ("form id", leaf(field_type="forms", name=".url"), "definition.name", "<form id>.<member>"),
    ("goal", leaf(field_type="goals", name="1.x"), "definition.name", "conversion_count"),
    ("audience", leaf(field_type="audiences", name="x"), "definition.name", "must be a UUID"),
    ("selector", leaf(value_selector="most"), "definition.value_selector", "any, all, none"),
    ("null selector", leaf(value_selector=None), "definition.value_selector", "is required"),
    (
        "selector of an audience",
        leaf("exists", ..., field_type="audiences", name=AUDIENCE_ID, value_selector="all"),
        "definition.value_selector",
        "expected one of any",
    ),
    ("none exists", leaf("exists", ..., value_selector="none"), "definition.value_selector", ""),
    (
        "count of text",
        leaf("contains", value_selector="count"),
        f"{CONDITION}.operator",
        "eq, neq, gt",
    ),
    ("no condition", leaf(condition=None), CONDITION, "{operator, value}"),
    ("no value", leaf("eq", ...), f"{CONDITION}.value", "is required"),
    ("value of exists", leaf("exists", 1), f"{CONDITION}.value", "must be left out"),
    ("null", leaf("eq", None), f"{CONDITION}.value", "a string or a number"),
    ("boolean", leaf("eq", value=True), f"{CONDITION}.value", "a string or a number"),
    ("infinite", leaf("gt", float("inf")), f"{CONDITION}.value", "between -2^53 and 2^53"),
    ("not a number", leaf("gt", float("nan")), f"{CONDITION}.value", "between"),
    ("too great", leaf("gt", 2**53 + 1), f"{CONDITION}.value", "between"),
    ("beyond all floats", leaf("eq", 10**400), f"{CONDITION}.value", "between"),
    ("text for gt", leaf("gt", "5"), f"{CONDITION}.value", "must be a number"),
    ("long text", leaf("eq", "x" * 1025), f"{CONDITION}.value", "0 to 1024"),
    ("NUL", leaf("eq", "a\0"), f"{CONDITION}.value", "NUL"),
    ("half a pair", leaf("icontains", "\udc00"), f"{CONDITION}.value", "surrogate"),
    ("empty contains", leaf("contains", ""), f"{CONDITION}.value", "1 to 1024"),
    ("number contains", leaf("contains", 5), f"{CONDITION}.value", "must be a string"),
    ("pattern", leaf("matches", "("), f"{CONDITION}.value", "missing )"),
    ("look-ahead", leaf("matches", "(?=a)"), f"{CONDITION}.value", "RE2"),
    ("huge pattern", leaf("matches", "((a{99}){99}){99}"), f"{CONDITION}.value", "RE2"),
    ("long pattern", leaf("matches", "a" * 501), f"{CONDITION}.value", "1 to 500"),
    ("empty list", leaf("in", []), f"{CONDITION}.value", "1 to 1000"),
    ("long list", leaf("in", ["a"] * 1001), f"{CONDITION}.value", "1 to 1000"),
    ("mixed list", leaf("in", ["a", 1]), f"{CONDITION}.value", "only strings or only numbers"),
    ("item", leaf("in", ["a", None]), f"{CONDITION}.value[1]", "a string or a number"),
    ("range", leaf("between", [1]), f"{CONDITION}.value", "two numbers"),
    ("range end", leaf("between", [1, "2"]), f"{CONDITION}.value[1]", "must be a number"),
    ("range order", leaf("between", [2, 1]), f"{CONDITION}.value", "lower number first"),
    ("no time", leaf("before", "soon"), f"{CONDITION}.value", "2026-01-31T12:30:00Z"),
    ("no such day", leaf("on", "2026-02-30"), f"{CONDITION}.value", "2026-01-31"),
    ("number for a time", leaf("after", 5), f"{CONDITION}.value", "a time like"),
    ("absolute period", leaf("within_last", "2026-01-01"), f"{CONDITION}.value", '"amount"'),
    ("unit", leaf("on", {"amount": 1, "unit": "years"}), f"{CONDITION}.value.unit", "'years'"),
    ("no unit", leaf("on", {"amount": 1}), f"{CONDITION}.value.unit", "expected one of minutes"),
    ("no amount", leaf("on", {"unit": "days"}), f"{CONDITION}.value.amount", "whole number"),
    (
        "half a day",
        leaf("on", {"amount": 0.5, "unit": "days"}),
        f"{CONDITION}.value.amount",
        "whole",
    ),
    (
        "negative period",
        leaf("within_next", {"amount": -1, "unit": "days"}),
        f"{CONDITION}.value.amount",
        "from 0 to 36500",
    ),
    (
        "more than a century",
        leaf("before", {"amount": 1201, "unit": "months"}),
        f"{CONDITION}.value.amount",
        "from -1200 to 1200",
    ),
    (
        "from",
        leaf("before", {"amount": 1, "unit": "days", "from": "noon"}),
        f"{CONDITION}.value.from",
        "'noon': expected one of now, start_of_day",
    ),
    (
        "relative member",
        leaf("before", {"amount": 1, "unit": "days", "to": "now"}),
        f"{CONDITION}.value",
        "'to': expected amount, unit, from",
    ),
]


@pytest.mark.parametrize(
    ("raw", "path", "expected"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused_definition(raw: Any, path: str, expected: str) -> None:
    error = refusal(raw)
    assert error.path == path
    assert expected in error.message


@pytest.mark.parametrize(
    ("field_type", "name", "operator", "value"),
    [
        ("profile", "user_id", "gt", 5),
        ("profile", "user_id", "before", "2026-01-01"),
        ("profile", "created_at", "eq", "2026-01-01"),
        ("forms", "f.timestamp", "contains", "2026"),
        ("goals", "all.revenue", "matches", "5"),
        ("ecommerce", "number_of_orders", "on", "2026-01-01"),
        ("consents", "analytics", "icontains", "1"),
        ("audiences", AUDIENCE_ID, "in", [True]),
    ],
)
def test_operator_that_does_not_fit_the_field_is_refused(
    field_type: str, name: str, operator: str, value: Any
) -> None:
    error = refusal(leaf(operator, value, field_type=field_type, name=name))
    assert error.path == "definition.condition.operator"
    assert "expected one of" in error.message


@pytest.mark.parametrize(
    ("field_type", "name", "value"),
    [
        ("profile", "user_id", 5),
        ("goals", "all.revenue", "5"),
        ("consents", "analytics", "1"),
        ("audiences", AUDIENCE_ID, "true"),
    ],
)
def test_value_that_does_not_fit_the_field_is_refused(
    field_type: str, name: str, value: Any
) -> None:
    error = refusal(leaf("eq", value, field_type=field_type, name=name))
    assert error.path == "definition.condition.value"


def test_refusals_do_not_repeat_the_value() -> None:
    for value in ("ann@example.com\0", ["ann@example.com", None], {"amount": "ann@example.com"}):
        for operator in ("eq", "in", "matches", "on", "between"):
            assert "ann" not in refusal(leaf(operator, value)).message
    assert "ann" not in refusal(leaf("matches", "ann(")).message


def test_the_path_starts_where_the_caller_says() -> None:
    with pytest.raises(Invalid) as caught:
        parse_definition({}, compile_pattern, "data.attributes.definition")
    assert caught.value.path == "data.attributes.definition.condition_type"


def test_every_field_type_has_a_condition() -> None:
    names = {"forms": "f.url", "goals": "all.revenue", "audiences": AUDIENCE_ID} | {
        "profile": "email",
        "visits": "last_visit",
        "ecommerce": "total_revenue",
        "generic": "total_revenue",
    }
    for field_type in FIELD_TYPES:
        raw = leaf("exists", ..., field_type=field_type, name=names.get(field_type, "x"))
        assert definition_document(parse_definition(raw, compile_pattern)) == raw


def test_greatest_amounts_can_be_reckoned_with() -> None:
    for unit, most in MAX_AMOUNTS.items():
        for amount in (most, -most):
            parse_definition(leaf("before", {"amount": amount, "unit": unit}), compile_pattern)


def test_names_and_audiences_a_definition_uses() -> None:
    other = AUDIENCE_ID.replace("1", "2")
    definition = parse_definition(
        group(
            "and",
            leaf(name="b"),
            group("not", leaf("exists", ..., field_type="audiences", name=AUDIENCE_ID)),
            leaf(name="b", field_type="analytics"),
            leaf(name="a"),
            leaf(name="b"),
            leaf("exists", ..., field_type="audiences", name=other),
        ),
        compile_pattern,
    )
    assert [name for name in field_names(definition) if name.field_type != "audiences"] == [
        FieldName("attributes", "b"),
        FieldName("analytics", "b"),
        FieldName("attributes", "a"),
    ]
    assert audience_ids(definition) == [AUDIENCE_ID.lower(), other.lower()]


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        ({}, None),
        ({"a": ["b", "c"], "b": ["c"], "c": ["unknown"]}, None),
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"x": ["a"], "a": ["c", "b"], "c": [], "b": ["d"], "d": ["a"]}, ["a", "b", "d", "a"]),
        ({str(n): [str(n + 1)] for n in range(3000)}, None),
    ],
)
def test_cycle_of_audiences(references: dict[str, list[str]], expected: list[str] | None) -> None:
    assert find_cycle(references) == expected
