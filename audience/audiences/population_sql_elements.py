"""What a positive operator means for one single value, in SQL; see `element_tests.py` for Python.

No statements, only expressions; every operand is a parameter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from json import dumps
from typing import Any

from audience.audiences.case_folding import foldings_of
from audience.audiences.condition_values import RelativeTime
from audience.audiences.definition import Leaf
from audience.audiences.element_tests import comparable_value
from audience.audiences.moments import (
    DATE_EXPRESSION,
    DATE_TIME_EXPRESSION,
    DAY,
    start_of_day,
    wall_time,
)
from audience.audiences.operators import POSITIVE_OF, TIME_OPERATORS
from audience.audiences.time_windows import Ends, window_of

#: Makes an expression over the given SQL expression of one value.
Expression = Callable[[str], str]

_SIGNS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
#: Cuts digits after the sixth and makes a time without a zone UTC; the zone is the last 1 or 6.
_FRACTION = "'^(.{19}(?:[.][0-9]{1,6})?)[0-9]*(.*)$', '\\1\\2'"


class Parameters:
    """The parameters of a statement, numbered as they are added; equal ones share a number."""

    def __init__(self, first_parameter: int) -> None:
        """first_parameter: the number of the first one added."""
        self.values: list[Any] = []
        self._first = first_parameter
        self._placeholders: dict[tuple[str, Any], str] = {}

    def add(self, value: Any, sql_type: str) -> str:
        """The placeholder, with its type, of a value."""
        key = (sql_type, repr(value))
        if key not in self._placeholders:
            self._placeholders[key] = f"${self._first + len(self.values)}::{sql_type}"
            self.values.append(value)
        return self._placeholders[key]


@dataclass(frozen=True, slots=True)
class ElementSql:
    """One operator with its operand, for each form in which a value may stand.

    text: over a text; number: over jsonb known to be a number; amount: over an integer (for
    counts); moment: over a timestamptz. None: no value of that form satisfies it. is_existence:
    any value does. equal_json: makes the placeholder of the jsonb that the value has to equal.
    Parameters are added when an expression is made: PostgreSQL refuses one that is not used.
    """

    text: Expression | None = None
    number: Expression | None = None
    amount: Expression | None = None
    moment: Expression | None = None
    is_existence: bool = False
    equal_json: Callable[[], str] | None = None


def is_expressible(leaf: Leaf) -> bool:
    """False when PostgreSQL can't say exactly what the leaf's operator means."""
    return POSITIVE_OF.get(leaf.operator, leaf.operator) != "matches"


def element_sql(leaf: Leaf, parameters: Parameters, now: datetime, zone: tzinfo) -> ElementSql:
    """The leaf's positive operator; the leaf has to be expressible."""
    positive = POSITIVE_OF.get(leaf.operator, leaf.operator)
    if positive == "exists":
        return ElementSql(is_existence=True)
    if positive in TIME_OPERATORS:
        assert isinstance(leaf.value, str | RelativeTime)  # noqa: S101 - by parse_definition
        ends = window_of(positive, leaf.value, zone).ends_at(now)
        return ElementSql(
            text=_text_window(ends, parameters, zone), moment=_moment_window(ends, parameters)
        )
    operand = comparable_value(leaf)
    if isinstance(operand[0] if isinstance(operand, tuple) else operand, str):
        return _text_element(positive, operand, parameters)
    return _number_element(positive, operand, parameters)


def _text_element(positive: str, operand: Any, parameters: Parameters) -> ElementSql:
    def wanted(sql_type: str = "text") -> str:
        return parameters.add(list(operand) if sql_type == "text[]" else operand, sql_type)

    match positive:
        case "in":
            return ElementSql(text=lambda text: f'{text} COLLATE "C" = ANY({wanted("text[]")})')
        case "eq":
            return ElementSql(
                text=lambda text: f'{text} COLLATE "C" = {wanted()}',
                equal_json=lambda: parameters.add(dumps(operand), "jsonb"),
            )
        case "contains":
            return ElementSql(text=lambda text: f'strpos({text} COLLATE "C", {wanted()}) > 0')
        case "starts_with":
            return ElementSql(text=lambda text: f'starts_with({text} COLLATE "C", {wanted()})')
        case "ends_with":
            return ElementSql(
                text=lambda text: (
                    f'right({text}, {parameters.add(len(operand), "integer")}) COLLATE "C"'
                    f" = {wanted()}"
                )
            )
        case _:
            return ElementSql(text=_folded(positive, operand.casefold(), parameters))


def _folded(positive: str, needle: str, parameters: Parameters) -> Expression:
    """Folds the stored text as far as the needle needs it; exact, see `case_folding.py`."""
    foldings = foldings_of(needle)
    steps = [("replace", *expansion) for expansion in foldings.expansions]
    if foldings.sources:
        steps.insert(0, ("translate", foldings.sources, foldings.targets))

    def expression(text: str) -> str:
        folded = f'lower({text} COLLATE "C")'
        for function, old, new in steps:
            by = ", ".join(parameters.add(part, "text") for part in (old, new))
            folded = f"{function}({folded}, {by})"
        wanted = parameters.add(needle, "text")
        return f"{folded} = {wanted}" if positive == "ieq" else f"strpos({folded}, {wanted}) > 0"

    return expression


def _number_element(positive: str, operand: Any, parameters: Parameters) -> ElementSql:
    """Numbers compare as jsonb (decimal, without a cast); counts, being integers, as numeric."""

    def as_json(wanted: Any) -> str:
        if isinstance(wanted, tuple):
            return parameters.add([dumps(value) for value in wanted], "jsonb[]")
        return parameters.add(dumps(wanted), "jsonb")

    def as_numeric(wanted: Any) -> str:
        if isinstance(wanted, tuple):
            return parameters.add([Decimal(repr(value)) for value in wanted], "numeric[]")
        return parameters.add(Decimal(repr(wanted)), "numeric")

    return ElementSql(
        number=_comparison(positive, operand, as_json),
        amount=_comparison(positive, operand, as_numeric),
        equal_json=(lambda: as_json(operand)) if positive == "eq" else None,
    )


def _comparison(positive: str, operand: Any, add: Callable[[Any], str]) -> Expression:
    if positive == "between":
        low, high = operand
        return lambda value: f"({value} >= {add(low)} AND {value} <= {add(high)})"
    if positive == "in":
        return lambda value: f"{value} = ANY({add(operand)})"
    return lambda value: f"{value} {_SIGNS[positive]} {add(operand)}"


def _moment_window(ends: Ends, parameters: Parameters) -> Expression:
    def expression(moment: str) -> str:
        return _between(moment, ends, lambda end: parameters.add(end, "timestamptz"))

    return expression


def _text_window(ends: Ends, parameters: Parameters, zone: tzinfo) -> Expression:
    """A text that is a time, or a date: that compares as text with the dates that begin inside."""

    def first_date(end: datetime) -> str:
        return parameters.add(_first_date_from(end, zone).isoformat(), "text")

    def expression(text: str) -> str:
        by_moment = _moment_window(ends, parameters)(as_moment(text))
        by_date = _between(f'{text} COLLATE "C"', ends, first_date)
        date_time, only_date = (
            parameters.add(pattern, "text") for pattern in (DATE_TIME_EXPRESSION, DATE_EXPRESSION)
        )
        return (
            f"CASE WHEN {text} ~ {date_time} THEN {by_moment}"
            f" WHEN {text} ~ {only_date} THEN {by_date} ELSE false END"
        )

    return expression


def _between(value: str, ends: Ends, add: Callable[[datetime], str]) -> str:
    limits = [
        f"{value} {sign} {add(end)}"
        for sign, end in zip((">=", "<"), ends, strict=True)
        if end is not None
    ]
    return f"({' AND '.join(limits)})"


def as_moment(text: str) -> str:
    """The timestamptz of a text that is known to be a time."""
    has_zone = f"right({text}, 1) = 'Z' OR left(right({text}, 6), 1) IN ('+', '-')"
    zone = f"CASE WHEN {has_zone} THEN '' ELSE 'Z' END"
    return f"(regexp_replace({text}, {_FRACTION}) || {zone})::timestamptz"


def _first_date_from(end: datetime, zone: tzinfo) -> date:
    """The first date that begins at `end` or later."""
    day = wall_time(end, zone).date() - DAY
    while start_of_day(day, zone) < end:
        day += DAY
    return day
