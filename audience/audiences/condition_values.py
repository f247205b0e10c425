"""The values that stand in conditions, checked: types, sizes, patterns, times.

Pure: standard library only. Every refusal is an Invalid with the JSON path of the value and never
repeats the value itself, which may be personal. Source: issue "Audiences", Definitions; C1.7.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from typing import Any, NoReturn

from audience.audiences.moments import parse_moment
from audience.audiences.operators import (
    EQUALITY_OPERATORS,
    LIST_OPERATORS,
    MOMENT_OPERATORS,
    ONE_TEXT_OPERATORS,
    ORDER_OPERATORS,
    PATTERN_OPERATORS,
    Kind,
)
from audience.errors import Invalid

MAX_TEXT_CHARACTERS = 1024
MAX_PATTERN_CHARACTERS = 500
MAX_LIST_VALUES = 1000
#: Whole numbers up to here are exact in JSON, in Python and in PostgreSQL.
MAX_NUMBER = 2**53

#: Most of each unit in a relative time: about a century.
MAX_AMOUNTS = {
    "minutes": 52_560_000,
    "hours": 876_000,
    "days": 36_500,
    "weeks": 5_200,
    "months": 1_200,
}
ORIGINS = ("now", "start_of_day")
_RANGE_ENDS = 2

#: Makes a search of a pattern; raises ValueError when it is not one.
CompilePattern = Callable[[str], Callable[[str], bool]]


@dataclass(frozen=True, slots=True)
class RelativeTime:
    """`amount` units before (a negative one: after) `origin`; no origin means now."""

    amount: int
    unit: str
    origin: str | None = None


Scalar = str | int | float
#: None for operators that take no value.
ConditionValue = Scalar | bool | tuple[Scalar, ...] | RelativeTime | None


def refuse(path: str, problem: str) -> NoReturn:
    """Raise Invalid naming the place and what is wrong there."""
    message = f"{path} {problem}"
    raise Invalid(message, path=path)


def shown(raw: object) -> str:
    """A short word of a request as it may stand in a message: names and operators, no values."""
    text = raw if isinstance(raw, str) else type(raw).__name__
    return repr(text[:40])


def parse_text(raw: object, path: str, longest: int, *, shortest: int = 1) -> str:
    """A text PostgreSQL can hold.

    Errors: Invalid for another type, length, NUL or half of a surrogate pair.
    """
    if not isinstance(raw, str) or not shortest <= len(raw) <= longest:
        refuse(path, f"must be a string of {shortest} to {longest} characters")
    if "\x00" in raw or any("\ud800" <= character <= "\udfff" for character in raw):
        refuse(path, "must not contain NUL or half of a surrogate pair")
    return raw


def parse_value(
    operator: str, kind: Kind, raw: Any, path: str, compile_pattern: CompilePattern
) -> ConditionValue:
    """The value of a condition whose operator takes one.

    Errors: Invalid saying which values the operator takes on this kind of field.
    """
    if kind == "membership":
        if not isinstance(raw, bool):
            refuse(path, "must be true or false for an audience")
        return raw
    if operator in EQUALITY_OPERATORS:
        return _parse_scalar(raw, kind, path)
    if operator in LIST_OPERATORS:
        return _parse_list(raw, kind, path)
    if operator in ONE_TEXT_OPERATORS:
        return parse_text(raw, path, MAX_TEXT_CHARACTERS, shortest=0 if operator == "ieq" else 1)
    if operator in PATTERN_OPERATORS:
        return _parse_pattern(raw, path, compile_pattern)
    if operator in ORDER_OPERATORS:
        return _parse_number(raw, path)
    if operator == "between":
        return _parse_range(raw, path)
    return _parse_time(operator, raw, path)


def _parse_scalar(raw: object, kind: Kind, path: str) -> Scalar:
    if kind == "number" or (kind == "any" and not isinstance(raw, str)):
        return _parse_number(raw, path, "a string or " if kind == "any" else "")
    return parse_text(raw, path, MAX_TEXT_CHARACTERS, shortest=0)


def _parse_number(raw: object, path: str, alternative: str = "") -> int | float:
    if (
        not isinstance(raw, int | float)
        or isinstance(raw, bool)
        or not -MAX_NUMBER <= raw <= MAX_NUMBER
    ):
        refuse(path, f"must be {alternative}a number between -2^53 and 2^53")
    return raw


def _parse_list(raw: object, kind: Kind, path: str) -> tuple[Scalar, ...]:
    if not isinstance(raw, list) or not 1 <= len(raw) <= MAX_LIST_VALUES:
        refuse(path, f"must be a list of 1 to {MAX_LIST_VALUES} values")
    values = tuple(
        _parse_scalar(value, kind, f"{path}[{position}]") for position, value in enumerate(raw)
    )
    if len({isinstance(value, str) for value in values}) > 1:
        refuse(path, "must hold only strings or only numbers")
    return values


def _parse_range(raw: object, path: str) -> tuple[Scalar, ...]:
    if not isinstance(raw, list) or len(raw) != _RANGE_ENDS:
        refuse(path, "must be a list of two numbers, the lower first")
    low, high = (_parse_number(end, f"{path}[{position}]") for position, end in enumerate(raw))
    if low > high:
        refuse(path, "must have the lower number first")
    return (low, high)


def _parse_pattern(raw: object, path: str, compile_pattern: CompilePattern) -> str:
    pattern = parse_text(raw, path, MAX_PATTERN_CHARACTERS)
    try:
        compile_pattern(pattern)
    except ValueError as error:
        message = f"{path} is not a pattern RE2 can read ({error}), expected RE2 syntax"
        raise Invalid(message, path=path) from error
    return pattern


def _parse_time(operator: str, raw: object, path: str) -> str | RelativeTime:
    if operator not in MOMENT_OPERATORS or not isinstance(raw, str):
        return _parse_relative(operator, raw, path)
    if parse_moment(raw, UTC) is None:
        refuse(path, "must be a time like 2026-01-31T12:30:00Z or a date, years 1000 to 8999")
    return raw


def _parse_relative(operator: str, raw: object, path: str) -> RelativeTime:
    if not isinstance(raw, dict):
        absolute = "a time like 2026-01-31T12:30:00Z or " if operator in MOMENT_OPERATORS else ""
        refuse(path, f'must be {absolute}an object like {{"amount": 5, "unit": "days"}}')
    for member in raw:
        if member not in ("amount", "unit", "from"):
            refuse(path, f"has the member {shown(member)}: expected amount, unit, from")
    unit = raw.get("unit")
    if not isinstance(unit, str) or unit not in MAX_AMOUNTS:
        refuse(f"{path}.unit", f"is {shown(unit)}: expected one of {', '.join(MAX_AMOUNTS)}")
    amount, most = raw.get("amount"), MAX_AMOUNTS[unit]
    least = -most if operator in MOMENT_OPERATORS else 0
    if not isinstance(amount, int) or isinstance(amount, bool) or not least <= amount <= most:
        refuse(f"{path}.amount", f"must be a whole number from {least} to {most} for {unit}")
    if "from" not in raw:
        return RelativeTime(amount, unit)
    if raw["from"] not in ORIGINS:
        refuse(f"{path}.from", f"is {shown(raw['from'])}: expected one of {', '.join(ORIGINS)}")
    return RelativeTime(amount, unit, raw["from"])


def value_document(value: ConditionValue) -> Any:
    """The value as JSON, exactly as it was given."""
    if isinstance(value, RelativeTime):
        document: dict[str, Any] = {"amount": value.amount, "unit": value.unit}
        return document if value.origin is None else document | {"from": value.origin}
    return list(value) if isinstance(value, tuple) else value
