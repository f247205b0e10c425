"""One row of an imported file as an item of the write path, or what is wrong with it.

Pure: standard library only; what is said of a row never repeats its values.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from audience.attributes.value_types import AttributeValue, ValueType
from audience.errors import Invalid
from audience.profile_changes.imports.columns import ImportColumn
from audience.profile_changes.items import EmailCheck, Entry, Item
from audience.profiles.actions import (
    MAX_LIST_ITEMS,
    MAX_VALUE_CHARACTERS,
    SET,
    parse_decimal,
)
from audience.profiles.export.columns import unguarded
from audience.profiles.identifiers import (
    ANALYTICS_VISITOR_ID,
    EMAIL,
    IDENTIFIER_NAMES,
    MAX_IDENTIFIER_CHARACTERS,
    Identifier,
    is_blocked,
    normalise_analytics_visitor_id,
)
from audience.profiles.merge import MAX_PROFILES_IN_MERGE

_EXPECTED = {
    ANALYTICS_VISITOR_ID: "must be 16 hex digits",
    EMAIL: "must be a valid e-mail address",
}


class RowError(NamedTuple):
    """What is wrong with a row; row 1 is the header, column None the whole row."""

    row: int
    column: str | None
    problem: str


@dataclass(slots=True)
class RowRules:
    """How the rows of one file are read.

    types: the app's value types of the attributes of the file, as far as they are known.
    also_blocked: the app's own placeholders, lower-cased.
    """

    app_id: str
    columns: Sequence[ImportColumn]
    width: int
    check_email: EmailCheck
    types: Mapping[str, ValueType | None]
    also_blocked: frozenset[str] = frozenset()
    errors: list[RowError] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Errors: Invalid when the mapping says another type than the attribute has."""
        for column in self.columns:
            known = self.types.get(column.attribute or "")
            if None not in (known, column.value_type) and known != column.value_type:
                message = f"mapping: the attribute of {column.header!r} is {known} in this app"
                raise Invalid(message, path="mapping")


class _Problem(Exception):
    """What is wrong with a cell."""


def parse_row(rules: RowRules, row: int, cells: Sequence[str]) -> Item | list[RowError]:
    """The row as an item, or everything that is wrong with it.

    An empty cell says nothing. An apostrophe before what a spreadsheet would run as a formula, as
    exports write it, is taken off. A text that is a JSON array of texts becomes a list.
    """
    if len(cells) != rules.width:
        problem = f"has {len(cells)} cells, the header has {rules.width}"
        return [RowError(row, None, problem)]
    errors: list[RowError] = []
    identifiers: list[Identifier] = []
    entries: list[Entry] = []
    email_as_given = None
    for column in rules.columns:
        cell = unguarded(cells[column.position])
        if not cell or cell.isspace():
            continue
        try:
            if column.identifier is not None:
                found = list(_identifiers(rules, column, cell))
                identifiers += found
                email_as_given = cell.strip() if column.identifier == EMAIL else email_as_given
            elif column.attribute is not None:
                value = _value(rules, column, cell)
                entries.append((len(entries), column.attribute, SET, value))
        except _Problem as problem:
            errors.append(RowError(row, column.header, str(problem)))
    if not errors and not identifiers:
        errors.append(RowError(row, None, "has no usable identifier"))
    if errors:
        return errors
    identifiers.sort(key=lambda each: IDENTIFIER_NAMES.index(each.identifier_name))
    return Item(row, rules.app_id, tuple(identifiers), email_as_given, tuple(entries))


def _identifiers(rules: RowRules, column: ImportColumn, cell: str) -> Iterator[Identifier]:
    name = column.identifier or ""
    values: list[str] | None = [cell]
    if column.is_list:
        values = _texts_of(cell)
        if values is None or len(values) > MAX_PROFILES_IN_MERGE:
            message = f"must be a JSON array of at most {MAX_PROFILES_IN_MERGE} texts"
            raise _Problem(message)
    for value in values or ():
        if len(value) > MAX_IDENTIFIER_CHARACTERS or "\x00" in value:
            message = f"must have at most {MAX_IDENTIFIER_CHARACTERS} characters and no NUL"
            raise _Problem(message)
        normal: str | None = value
        if name == ANALYTICS_VISITOR_ID:
            normal = normalise_analytics_visitor_id(value.strip())
        elif name == EMAIL:
            normal = rules.check_email(value)
        if normal is None:
            raise _Problem(_EXPECTED[name])
        if not is_blocked(name, normal, rules.also_blocked):
            yield Identifier(name, normal)


def _value(rules: RowRules, column: ImportColumn, cell: str) -> AttributeValue:
    if "\x00" in cell:
        message = "must not contain NUL"
        raise _Problem(message)
    value_type = rules.types.get(column.attribute or "") or column.value_type
    if value_type == "numeric":
        number = parse_decimal(cell) if len(cell) <= MAX_VALUE_CHARACTERS else None
        if number is None:
            message = "must be a number"
            raise _Problem(message)
        return number
    texts = _texts_of(cell)
    if texts and all("\x00" not in text for text in texts):
        unique = list(dict.fromkeys(texts))
        is_long = any(len(text) > MAX_VALUE_CHARACTERS for text in unique)
        if is_long or len(unique) > MAX_LIST_ITEMS:
            limits = f"{MAX_LIST_ITEMS} texts of {MAX_VALUE_CHARACTERS} characters"
            message = f"must have at most {limits}"
            raise _Problem(message)
        return unique
    if len(cell) > MAX_VALUE_CHARACTERS:
        message = f"must have at most {MAX_VALUE_CHARACTERS} characters"
        raise _Problem(message)
    return cell


def _texts_of(cell: str) -> list[str] | None:
    """The texts of a JSON array of texts, None for anything else."""
    if not cell.startswith("["):
        return None
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        return None
    # What PostgreSQL can't hold is no list of texts either.
    is_holdable = all(not any("\ud800" <= char <= "\udfff" for char in text) for text in found)
    return found if is_holdable else None
