"""The operators of a condition: which values they take, what negates what, how lists are read.

Pure: standard library only. Both evaluators build on these tables, so that they can't differ in
what an operator means. Source: issue "Audiences", Definitions; contract G2.11.
"""

from typing import Literal, NamedTuple

#: What a field holds. "any": whatever was stored, text, list of texts or number.
Kind = Literal["any", "text", "texts", "number", "time", "membership"]
#: How the values of a list are put together; a single value counts as a list of one.
Quantifier = Literal["any", "all", "first", "last", "count"]

EXISTENCE_OPERATORS = ("exists", "not_exists")
#: Take one text.
ONE_TEXT_OPERATORS = (
    "ieq",
    "contains",
    "not_contains",
    "icontains",
    "not_icontains",
    "starts_with",
    "ends_with",
)
PATTERN_OPERATORS = ("matches", "not_matches")
#: Take one text or one number, whichever the field holds.
EQUALITY_OPERATORS = ("eq", "neq")
#: Take a list of texts or of numbers.
LIST_OPERATORS = ("in", "not_in")
ORDER_OPERATORS = ("gt", "gte", "lt", "lte")
RANGE_OPERATORS = ("between",)
#: Take an absolute or a relative time.
MOMENT_OPERATORS = ("before", "after", "on")
#: Take a relative time only.
PERIOD_OPERATORS = ("within_last", "not_within_last", "within_next")

TEXT_OPERATORS = EQUALITY_OPERATORS + ONE_TEXT_OPERATORS + PATTERN_OPERATORS + LIST_OPERATORS
NUMBER_OPERATORS = EQUALITY_OPERATORS + ORDER_OPERATORS + RANGE_OPERATORS + LIST_OPERATORS
TIME_OPERATORS = MOMENT_OPERATORS + PERIOD_OPERATORS

#: Kind of field -> the operators that may stand in a condition on it, in the order of messages.
OPERATORS_OF_KIND: dict[Kind, tuple[str, ...]] = {
    "any": tuple(dict.fromkeys(TEXT_OPERATORS + NUMBER_OPERATORS + TIME_OPERATORS))
    + EXISTENCE_OPERATORS,
    "text": TEXT_OPERATORS + EXISTENCE_OPERATORS,
    "texts": TEXT_OPERATORS + EXISTENCE_OPERATORS,
    "number": NUMBER_OPERATORS + EXISTENCE_OPERATORS,
    "time": TIME_OPERATORS + EXISTENCE_OPERATORS,
    "membership": EQUALITY_OPERATORS + EXISTENCE_OPERATORS,
}
OPERATORS = frozenset(OPERATORS_OF_KIND["any"])

#: A negative operator is the exact opposite of its positive one, on every single value.
POSITIVE_OF = {
    "neq": "eq",
    "not_contains": "contains",
    "not_icontains": "icontains",
    "not_matches": "matches",
    "not_in": "in",
    "not_within_last": "within_last",
    "not_exists": "exists",
}

VALUE_SELECTORS = ("any", "all", "none", "first", "last", "count")
DEFAULT_SELECTOR = "any"
#: `exists` asks whether there is a value at all: the others would not change its answer.
EXISTENCE_SELECTORS = ("any", "all", "first", "last")


class Reading(NamedTuple):
    """How a selector and an operator read a value: quantify the positive operator, then negate.

    when_missing: the answer for a missing value; `count` never misses, it counts 0.
    """

    quantifier: Quantifier
    is_negated: bool
    when_missing: bool


def reading_of(value_selector: str | None, operator: str) -> Reading:
    """The reading of a leaf.

    A missing value fails every positive operator and satisfies every negative one, whatever the
    selector. `any` with a negative operator: no value satisfies the positive one (contract G2.11).
    `all`, `none`: every, no value satisfies the operator as written.
    """
    is_negative = operator in POSITIVE_OF
    match value_selector or DEFAULT_SELECTOR:
        case "count":
            return Reading("count", is_negative, when_missing=False)
        case "first":
            return Reading("first", is_negative, is_negative)
        case "last":
            return Reading("last", is_negative, is_negative)
        case "all":
            return Reading("any" if is_negative else "all", is_negative, is_negative)
        case "none":
            return Reading("all" if is_negative else "any", not is_negative, is_negative)
        case _:
            return Reading("any", is_negative, is_negative)


def is_membership_wanted(operator: str, value: object) -> bool:
    """Whether a condition on an audience asks for members (or for everybody else)."""
    if operator in EXISTENCE_OPERATORS:
        return operator == "exists"
    return (operator == "eq") == (value is True)
