"""Attribute actions: set, add, list-add, list-remove on one attribute value.

Pure: standard library only. Source: contract C2 (one row of its table is one row of
tests/cases/actions.json) and C1.7 for the limits.
"""

import math
import re
from typing import Final

from audience.attributes.value_types import AttributeValue, ValueType

Number = int | float

SET = "set"
ADD = "add"
LIST_ADD = "list-add"
LIST_REMOVE = "list-remove"
ACTIONS = (SET, ADD, LIST_ADD, LIST_REMOVE)

TYPE_MISMATCH = "type_mismatch"
TOO_LONG = "too_long"
OVERFLOW = "overflow"
LIMIT = "limit"

MAX_VALUE_CHARACTERS = 1024
MAX_LIST_ITEMS = 1024

_DECIMAL = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
#: Whole doubles below this are written as integers, so that no reader meets `5.0` or `1e16`.
_WHOLE_BELOW = 2.0**63


class Removed:
    """The attribute value goes away (see REMOVED)."""


REMOVED: Final = Removed()


#: What an action does: (a new value, REMOVED, or None for nothing; why it is skipped or None).
#: A plain tuple, because every attribute of every write makes one.
Outcome = tuple[AttributeValue | Removed | None, str | None]

_NOTHING: Outcome = (None, None)
_REMOVE: Outcome = (REMOVED, None)
_MISMATCH: Outcome = (None, TYPE_MISMATCH)
_TOO_LONG: Outcome = (None, TOO_LONG)
_LIMIT: Outcome = (None, LIMIT)
_OVERFLOW: Outcome = (None, OVERFLOW)


def normalise_number(number: Number) -> Number:
    """The number with whole values as int, so that JSON shows no fraction or exponent (D1.8)."""
    if isinstance(number, float) and number.is_integer() and abs(number) < _WHOLE_BELOW:
        return int(number)
    return number


def parse_decimal(text: str) -> Number | None:
    """The finite decimal number that the text spells, or None (C2.3: mobile SDKs send strings)."""
    stripped = text.strip()
    if not _DECIMAL.fullmatch(stripped):
        return None
    number = float(stripped)
    return normalise_number(number) if math.isfinite(number) else None


def value_type_of(value: AttributeValue) -> ValueType:
    """The type an attribute gets when this is its first value (C1.3)."""
    return "numeric" if isinstance(value, int | float) else "text"


def convert_value(value: AttributeValue, value_type: ValueType) -> AttributeValue | None:
    """The value as one of the type, None when it can't be one.

    A number becomes its text; a text, also as the only one of a list, the number it spells.
    """
    if value_type == "text":
        return str(value) if isinstance(value, int | float) else value
    if isinstance(value, list):
        return convert_value(value[0], value_type) if len(value) == 1 else None
    return parse_decimal(value) if isinstance(value, str) else value


def apply_action(
    stored: AttributeValue | None,
    value_type: ValueType | None,
    action: str,
    value: AttributeValue | None,
) -> Outcome:
    """What `action` with `value` makes of the stored value; nothing is changed in place.

    stored: the profile's value or None. value_type: the app-wide type, None when not known yet.
    The action's JSON shape was checked before (`profile_changes/items.py`), so that only conflicts
    with stored state are left; the reason is type_mismatch, too_long, overflow or limit.
    On repeat: set, list-add and list-remove give the same value again; add counts again.
    Source: contract C2.1-C2.34, C3.2.
    """
    if action == SET:
        return _set(value_type, value)
    if action == ADD:
        return _add(stored, value_type, value)
    assert isinstance(value, str)  # noqa: S101 - checked by items.py; narrows the type
    if value_type == "numeric":
        return _MISMATCH
    if action == LIST_ADD:
        return _list_add(stored, value)
    return _list_remove(stored, value)


def _set(value_type: ValueType | None, value: AttributeValue | None) -> Outcome:
    # Strings first: most values are.
    if isinstance(value, str):
        if value_type == "numeric":
            number = parse_decimal(value) if len(value) <= MAX_VALUE_CHARACTERS else None
            return _MISMATCH if number is None else (number, None)
        return _TOO_LONG if len(value) > MAX_VALUE_CHARACTERS else (value, None)
    if isinstance(value, list):
        if not value:
            return _REMOVE
        if value_type == "numeric":
            return _MISMATCH
        unique = list(dict.fromkeys(value))
        if len(unique) > MAX_LIST_ITEMS or any(len(text) > MAX_VALUE_CHARACTERS for text in unique):
            return _TOO_LONG
        return (unique, None)
    assert value is not None  # noqa: S101 - checked by items.py; narrows the type
    return _MISMATCH if value_type == "text" else (normalise_number(value), None)


def _add(
    stored: AttributeValue | None, value_type: ValueType | None, value: AttributeValue | None
) -> Outcome:
    if value_type == "text":
        return _MISMATCH
    # Only while the attribute's type is being converted there is a text stored.
    base = 0 if stored is None else convert_value(stored, "numeric") or 0
    operand = 1 if value is None else value
    assert isinstance(base, int | float)  # noqa: S101 - converted above; narrows the type
    assert isinstance(operand, int | float)  # noqa: S101 - checked by items.py
    # IEEE double arithmetic, as every client has it (C2.17).
    total = float(base) + float(operand)
    if not math.isfinite(total):
        return _OVERFLOW
    return (normalise_number(total), None)


def _list_add(stored: AttributeValue | None, value: str) -> Outcome:
    if len(value) > MAX_VALUE_CHARACTERS:
        return _TOO_LONG
    if stored is None:
        return ([value], None)
    # Only while the attribute's type is being converted there is a number stored.
    stored = convert_value(stored, "text")
    if isinstance(stored, list):
        if value in stored:
            return _NOTHING
        return _LIMIT if len(stored) >= MAX_LIST_ITEMS else ([*stored, value], None)
    assert isinstance(stored, str)  # noqa: S101 - converted above; narrows the type
    return (([stored] if stored == value else [stored, value]), None)


def _list_remove(stored: AttributeValue | None, value: str) -> Outcome:
    if isinstance(stored, list):
        if value not in stored:
            return _NOTHING
        rest = [text for text in stored if text != value]
        return (rest, None) if rest else _REMOVE
    is_equal = stored is not None and convert_value(stored, "text") == value
    return _REMOVE if is_equal else _NOTHING
