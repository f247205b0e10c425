"""What the positive operators on text and numbers mean for one single value.

Pure: standard library only. Each test is a closure over its operand: nothing is looked up while
profiles are evaluated. Numbers never compare with text; booleans and objects satisfy nothing.
Source: issue "Audiences", Definitions; contract G2.11.
"""

import operator as python_operator
from collections.abc import Callable
from typing import Any

from audience.audiences.condition_values import CompilePattern
from audience.audiences.definition import Leaf
from audience.audiences.fields import comparable_text
from audience.audiences.operators import POSITIVE_OF

ElementTest = Callable[[Any], bool]

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": python_operator.gt,
    "gte": python_operator.ge,
    "lt": python_operator.lt,
    "lte": python_operator.le,
}


def comparable_value(leaf: Leaf) -> Any:
    """The leaf's value as it is compared: texts in the form in which the field stores them."""
    if isinstance(leaf.value, str):
        return comparable_text(leaf.field, leaf.operator, leaf.value)
    if isinstance(leaf.value, tuple):
        return tuple(
            comparable_text(leaf.field, leaf.operator, value) if isinstance(value, str) else value
            for value in leaf.value
        )
    return leaf.value


def element_test(leaf: Leaf, compile_pattern: CompilePattern) -> ElementTest:
    """The test of the leaf's positive operator on one text or number; None satisfies none."""
    positive = POSITIVE_OF.get(leaf.operator, leaf.operator)
    operand = comparable_value(leaf)
    if positive == "exists":
        return lambda value: value is not None
    if positive == "eq":
        return _equals(operand)
    if positive == "in":
        return _is_one_of(frozenset(operand))
    if positive == "between":
        return _is_between(*operand)
    if positive in _COMPARISONS:
        return _compares(_COMPARISONS[positive], operand)
    return _text_test(positive, operand, compile_pattern)


def _text_test(positive: str, operand: str, compile_pattern: CompilePattern) -> ElementTest:
    match positive:
        case "ieq":
            folded = operand.casefold()
            return lambda value: value.__class__ is str and value.casefold() == folded
        case "icontains":
            folded = operand.casefold()
            return lambda value: value.__class__ is str and folded in value.casefold()
        case "contains":
            return lambda value: value.__class__ is str and operand in value
        case "starts_with":
            return lambda value: value.__class__ is str and value.startswith(operand)
        case "ends_with":
            return lambda value: value.__class__ is str and value.endswith(operand)
        case _:
            search = compile_pattern(operand)
            return lambda value: value.__class__ is str and search(value)


def _equals(operand: str | float) -> ElementTest:
    if isinstance(operand, str):
        return lambda value: bool(value == operand)
    return lambda value: value == operand and value.__class__ is not bool


def _is_one_of(operands: frozenset[str | float]) -> ElementTest:
    return lambda value: value.__class__ in (str, int, float) and value in operands


def _is_between(low: float, high: float) -> ElementTest:
    return lambda value: value.__class__ in (int, float) and low <= value <= high


def _compares(compare: Callable[[Any, Any], bool], operand: float) -> ElementTest:
    return lambda value: value.__class__ in (int, float) and compare(value, operand)
