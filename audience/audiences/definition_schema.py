"""Definitions for the description of the API: JSON schemas made from the tables that check them.

What a schema can't say (depth, number of conditions, operators of a field's kind) its description
does. Pure: standard library only. Source: issue "Audiences", Definitions.
"""

from collections.abc import Sequence
from typing import Any

from audience.audiences.condition_values import (
    MAX_AMOUNTS,
    MAX_LIST_VALUES,
    MAX_NUMBER,
    MAX_PATTERN_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    ORIGINS,
)
from audience.audiences.definition import (
    GROUP_OPERATORS,
    MAX_LEAVES,
    MAX_LEVELS,
    MAX_NAME_CHARACTERS,
)
from audience.audiences.fields import FIELD_TYPES, expected_names, has_fixed_names
from audience.audiences.operators import (
    EQUALITY_OPERATORS,
    EXISTENCE_OPERATORS,
    LIST_OPERATORS,
    MOMENT_OPERATORS,
    ONE_TEXT_OPERATORS,
    OPERATORS_OF_KIND,
    ORDER_OPERATORS,
    PATTERN_OPERATORS,
    PERIOD_OPERATORS,
    RANGE_OPERATORS,
    VALUE_SELECTORS,
)

_NODE, _LEAF = "AudienceDefinition", "AudienceCondition"
_TEXT = {"type": "string", "maxLength": MAX_TEXT_CHARACTERS}
_NUMBER = {"type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}
_MOMENT = {
    "type": "string",
    "description": "A time like 2026-01-31T12:30:00Z or a date, years 1000 to 8999.",
}


def definition_reference(description: str) -> dict[str, Any]:
    """Metadata of a marshmallow field that holds a definition."""
    return {"allOf": [_reference(_NODE)], "description": description}


def definition_schemas() -> dict[str, dict[str, Any]]:
    """{name: schema}, for the components of the API's description."""
    *many, one = GROUP_OPERATORS
    return {
        _NODE: {
            "description": f"A group of conditions or a condition alone: at most {MAX_LEVELS} "
            f"levels of groups and {MAX_LEAVES} conditions.",
            "oneOf": [_group(many), _group([one], most=1), _reference(_LEAF)],
        },
        _LEAF: {
            **_object(
                {
                    "condition_type": {"type": "string", "enum": ["profile"]},
                    "field_type": {"type": "string", "enum": list(FIELD_TYPES)},
                    "name": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": MAX_NAME_CHARACTERS,
                        "description": _names(),
                    },
                    "value_selector": {"type": "string", "enum": list(VALUE_SELECTORS)},
                    "condition": {"oneOf": _conditions()},
                },
                optional=("value_selector",),
            ),
            "description": _operators(),
        },
    }


def _conditions() -> list[dict[str, Any]]:
    """One schema for each kind of value; every operator is in one of them."""
    short, *texts = ("ieq", *(one for one in ONE_TEXT_OPERATORS if one != "ieq"))
    period = _relative_time(0)
    values: list[tuple[Sequence[str], dict[str, Any] | None]] = [
        (EXISTENCE_OPERATORS, None),
        (EQUALITY_OPERATORS, {"anyOf": [_TEXT, _NUMBER, {"type": "boolean"}]}),
        ([short], _TEXT),
        (texts, {**_TEXT, "minLength": 1}),
        (PATTERN_OPERATORS, _pattern()),
        (LIST_OPERATORS, {"anyOf": [_list_of(_TEXT), _list_of(_NUMBER)]}),
        (ORDER_OPERATORS, _NUMBER),
        (RANGE_OPERATORS, {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}),
        (MOMENT_OPERATORS, {"anyOf": [_MOMENT, _relative_time(-1)]}),
        (PERIOD_OPERATORS, period),
    ]
    return [_condition(operators, value) for operators, value in values]


def _condition(operators: Sequence[str], value: dict[str, Any] | None) -> dict[str, Any]:
    operator = {"operator": {"type": "string", "enum": list(operators)}}
    return _object(operator if value is None else {**operator, "value": value})


def _pattern() -> dict[str, Any]:
    longest = MAX_PATTERN_CHARACTERS
    return {"type": "string", "minLength": 1, "maxLength": longest, "description": "RE2 syntax."}


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": MAX_LIST_VALUES}


def _relative_time(sign: int) -> dict[str, Any]:
    """So many units before now; with sign -1 a negative amount is after it."""
    units = [
        _object(
            {
                "amount": {"type": "integer", "minimum": sign * most, "maximum": most},
                "unit": {"type": "string", "enum": [unit]},
                "from": {"type": "string", "enum": list(ORIGINS)},
            },
            optional=("from",),
        )
        for unit, most in MAX_AMOUNTS.items()
    ]
    return {"oneOf": units}


def _group(operators: Sequence[str], most: int | None = None) -> dict[str, Any]:
    conditions = {"type": "array", "items": _reference(_NODE), "minItems": 1}
    if most is not None:
        conditions["maxItems"] = most
    operator = {"type": "string", "enum": list(operators)}
    return _object({"operator": operator, "conditions": conditions})


def _object(properties: dict[str, Any], *, optional: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _names() -> str:
    fixed = [f"{one}: {expected_names(one)}" for one in FIELD_TYPES if has_fixed_names(one)]
    free = ", ".join(one for one in FIELD_TYPES if not has_fixed_names(one) and one != "audiences")
    return f"{'; '.join(fixed)}; audiences: an audience's id; {free}: any name."


def _operators() -> str:
    kinds = [f"{kind}: {', '.join(operators)}" for kind, operators in OPERATORS_OF_KIND.items()]
    return f"Operators by what the field holds (attributes hold any): {'; '.join(kinds)}."
