"""What the columns of an imported file become: identifiers, attributes, or nothing.

Pure: standard library only. Source: issue "Audiences and the authorized API", item 7.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from audience.attributes.value_types import ValueType
from audience.errors import Invalid
from audience.profile_changes.items import MAX_NAME_CHARACTERS
from audience.profiles.identifiers import (
    ANALYTICS_VISITOR_ID,
    DEVICE_ID,
    IDENTIFIER_NAMES,
)

MAX_COLUMNS = 1000
#: Columns of an export with several identifiers as a JSON array.
LIST_COLUMNS = {"device_ids": DEVICE_ID, "analytics_visitor_ids": ANALYTICS_VISITOR_ID}
_TYPES = ("text", "numeric")


class ImportColumn(NamedTuple):
    """One column that is not ignored; `identifier` or `attribute` is its name, the other None.

    value_type: what the mapping says of the attribute, None when it says nothing.
    """

    position: int
    header: str
    identifier: str | None
    attribute: str | None
    value_type: ValueType | None = None
    is_list: bool = False


def map_columns(header: Sequence[str], mapping: Mapping[str, Any]) -> list[ImportColumn]:
    """The columns of the file, ignored ones left out.

    mapping: {header: {"identifier": name} | {"attribute": name, "type"?: text|numeric} | null};
    null ignores the column. A column it does not name is an identifier when it is called like one,
    else an attribute of its name.
    Errors: Invalid for a header or a mapping that can't be followed.
    """
    _check_header(header)
    for name in mapping:
        if name not in header:
            message = f"mapping names the column {name!r}, which the file does not have"
            raise Invalid(message, path="mapping")
    columns = [
        column
        for position, name in enumerate(header)
        if (column := _column(position, name, mapping)) is not None
    ]
    targets = [(column.identifier, column.attribute, column.is_list) for column in columns]
    for column, target in zip(columns, targets, strict=True):
        if targets.count(target) > 1:
            message = f"two columns become the same, one of them is {column.header!r}"
            raise Invalid(message, path="mapping")
    if not any(column.identifier for column in columns):
        message = f"no column is an identifier: expected one of {', '.join(IDENTIFIER_NAMES)}"
        raise Invalid(message, path="mapping")
    return columns


def _check_header(header: Sequence[str]) -> None:
    if len(header) > MAX_COLUMNS:
        message = f"the file has {len(header)} columns, at most {MAX_COLUMNS} are allowed"
        raise Invalid(message, path="file")
    for position, name in enumerate(header):
        if not name or "\x00" in name:
            message = f"column {position + 1} has no name in the header, or one with NUL"
            raise Invalid(message, path="file")
        if name in header[:position]:
            message = f"two columns are called {name!r}"
            raise Invalid(message, path="file")


def _column(position: int, header: str, mapping: Mapping[str, Any]) -> ImportColumn | None:
    if header not in mapping:
        if header in IDENTIFIER_NAMES:
            return ImportColumn(position, header, header, None)
        if header in LIST_COLUMNS:
            return ImportColumn(position, header, LIST_COLUMNS[header], None, is_list=True)
        return _attribute(position, header, {"attribute": header})
    target = mapping[header]
    if target is None:
        return None
    if isinstance(target, dict) and set(target) == {"identifier"}:
        if target["identifier"] in IDENTIFIER_NAMES:
            return ImportColumn(position, header, target["identifier"], None)
        expected = f"must be one of {', '.join(IDENTIFIER_NAMES)}"
        raise Invalid(f"mapping: identifier of {header!r} {expected}", path="mapping")
    if isinstance(target, dict) and {"attribute"} <= set(target) <= {"attribute", "type"}:
        return _attribute(position, header, target)
    message = f'mapping: {header!r} must be {{"identifier"}}, {{"attribute", "type"}} or null'
    raise Invalid(message, path="mapping")


def _attribute(position: int, header: str, target: dict[str, Any]) -> ImportColumn:
    name, value_type = target["attribute"], target.get("type")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_CHARACTERS or "\x00" in name:
        message = (
            f"the attribute of column {position + 1} must have 1 to {MAX_NAME_CHARACTERS} "
            "characters without NUL"
        )
        raise Invalid(message, path="mapping")
    if value_type is not None and value_type not in _TYPES:
        message = f"mapping: type of {header!r} must be one of {', '.join(_TYPES)}"
        raise Invalid(message, path="mapping")
    return ImportColumn(position, header, None, name, value_type)
