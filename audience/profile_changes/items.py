"""The items of a public write request, checked: shapes, types and limits, nothing stored yet.

Pure: standard library only, written by hand because every public write passes here (3 us an item).
Source: contract D1.5, D1.11-D1.13, C2 (malformed rows), C3.1; decisions 2 and 8.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from audience.attributes.value_types import AttributeValue
from audience.errors import Invalid, TooLarge
from audience.profiles.actions import ACTIONS, ADD, LIST_ADD, LIST_REMOVE, SET
from audience.profiles.identifiers import (
    ANALYTICS_VISITOR_ID,
    EMAIL,
    IDENTIFIER_NAMES,
    MAX_IDENTIFIER_CHARACTERS,
    Identifier,
    is_blocked,
    normalise_analytics_visitor_id,
)
from audience.uuid_text import parse_uuid, uuid_or_none

MAX_ITEMS = 1000
MAX_ENTRIES = 10_000
MAX_NAME_CHARACTERS = 255
MAX_FORM_ID_CHARACTERS = 255
MAX_URL_CHARACTERS = 2048


#: One attribute action of an item: (its position in the item's `attributes`, name, action, value).
#: A plain tuple, because every attribute of every write makes one.
Entry = tuple[int, str, str, AttributeValue | None]


class Skip(NamedTuple):
    """One entry that was not applied; entry is None for an identifier (decision 8)."""

    item: int
    entry: int | None
    name: str
    reason: str


class FormSubmission(NamedTuple):
    """A submitted form: the id of its element and the address of its page."""

    form_id: str
    url: str


class Item(NamedTuple):
    """One checked item. identifiers: strongest first, normal form; email_as_given for display.

    form: only in items of the forms endpoint. may_be_blocked: False when no identifier is one that
    every app blocks.
    """

    position: int
    app_id: str
    identifiers: tuple[Identifier, ...]
    email_as_given: str | None
    entries: tuple[Entry, ...]
    form: FormSubmission | None = None
    may_be_blocked: bool = True


class Items(NamedTuple):
    """All items of a request with what is skipped already."""

    items: tuple[Item, ...]
    skipped: tuple[Skip, ...]


#: The comparable form of an e-mail, or None when it is not one.
EmailCheck = Callable[[str], str | None]


def parse_items(payload: object, check_email: EmailCheck, *, are_forms: bool = False) -> Items:
    """The request body's items; a lone object counts as one item, `[]` as none (D1.12).

    are_forms: every item also carries `form_id` and `url` (D5.1).
    Errors: Invalid with the path of the first field at fault (the whole request is refused, C3.1);
    TooLarge past 1,000 items or 10,000 attribute entries.
    """
    if isinstance(payload, dict):
        payload = [payload]
    if not isinstance(payload, list):
        message = "the body must be a JSON array of items"
        raise Invalid(message)
    if len(payload) > MAX_ITEMS:
        message = f"the body holds {len(payload)} items, at most {MAX_ITEMS} are allowed"
        raise TooLarge(message)
    items: list[Item] = []
    skipped: list[Skip] = []
    entries = 0
    for position, raw in enumerate(payload):
        item = _parse_item(position, raw, check_email, skipped)
        if are_forms:
            item = item._replace(form=_parse_form(raw, f"items[{position}]"))
        entries += len(item.entries)
        if entries > MAX_ENTRIES:
            message = f"the body holds more than {MAX_ENTRIES} attribute entries"
            raise TooLarge(message)
        items.append(item)
    return Items(tuple(items), tuple(skipped))


def _parse_item(position: int, raw: object, check_email: EmailCheck, skipped: list[Skip]) -> Item:
    # Paths are put together for errors only: every public write passes here.
    if not isinstance(raw, dict):
        _refuse(f"items[{position}]", "must be a JSON object")
    website_id = raw.get("website_id")
    app_id = uuid_or_none(website_id)
    if app_id is None:
        app_id = parse_uuid(website_id, f"items[{position}].website_id")
    attributes = raw.get("attributes")
    if not isinstance(attributes, list):
        _refuse(
            f"items[{position}].attributes",
            "is required" if attributes is None else "must be an array of {name, value, action}",
        )
    identifiers, email_as_given = _parse_identifiers(position, raw, check_email, skipped)
    entries: list[Entry] = []
    for number, entry in enumerate(attributes):
        try:
            entries.append(parse_entry(number, entry))
        except MalformedEntry as malformed:
            where = f"items[{position}].attributes[{number}]{malformed.field}"
            _refuse(where, malformed.problem)
    # Here and not when the batch is applied: others wait for a batch.
    may_be_blocked = False
    for name, value in identifiers:
        may_be_blocked = may_be_blocked or is_blocked(name, value)
    return Item(position, app_id, identifiers, email_as_given, tuple(entries), None, may_be_blocked)


def _parse_form(raw: dict[str, Any], where: str) -> FormSubmission:
    limits = {"form_id": MAX_FORM_ID_CHARACTERS, "url": MAX_URL_CHARACTERS}
    for name, most in limits.items():
        value = raw.get(name)
        if value is None:
            _refuse(f"{where}.{name}", "is required")
        if not isinstance(value, str) or not 1 <= len(value) <= most or "\x00" in value:
            _refuse(f"{where}.{name}", f"must be a string of 1 to {most} characters without NUL")
    return FormSubmission(raw["form_id"], raw["url"])


def _parse_identifiers(
    position: int, raw: dict[str, Any], check_email: EmailCheck, skipped: list[Skip]
) -> tuple[tuple[Identifier, ...], str | None]:
    found: list[Identifier] = []
    unusable: dict[str, str] = {}
    email_as_given = None
    for name in IDENTIFIER_NAMES:
        value = raw.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            _refuse(f"items[{position}].{name}", "must be a string")
        if not value or value.isspace():
            continue
        if len(value) > MAX_IDENTIFIER_CHARACTERS or "\x00" in value:
            expected = f"must have at most {MAX_IDENTIFIER_CHARACTERS} characters and no NUL"
            _refuse(f"items[{position}].{name}", expected)
        normal = _normalise(name, value, check_email)
        if normal is None:
            unusable[name] = _EXPECTED[name]
            continue
        found.append(Identifier(name, normal))
        if name == EMAIL:
            email_as_given = value.strip()
    if not found:
        _refuse_identifiers(position, unusable)
    if EMAIL in unusable:
        skipped.append(Skip(position, None, EMAIL, "invalid"))
    return tuple(found), email_as_given


def _refuse_identifiers(position: int, unusable: Mapping[str, str]) -> NoReturn:
    """unusable: {identifier_name: what was expected} of what the item has instead."""
    for name, expected in unusable.items():
        _refuse(f"items[{position}].{name}", expected)
    _refuse(f"items[{position}]", "needs at least one of " + ", ".join(IDENTIFIER_NAMES))


_EXPECTED = {
    ANALYTICS_VISITOR_ID: "must be 16 hex digits",
    EMAIL: "must be a valid e-mail address",
}


def _normalise(name: str, value: str, check_email: EmailCheck) -> str | None:
    if name == ANALYTICS_VISITOR_ID:
        return normalise_analytics_visitor_id(value)
    return check_email(value) if name == EMAIL else value


class MalformedEntry(Exception):
    """An entry with the wrong shape; its whole path is put together where it is known."""

    def __init__(self, field: str, problem: str) -> None:
        """field: `.name`, or nothing for the entry itself."""
        super().__init__(problem)
        self.field = field
        self.problem = problem


def parse_entry(position: int, raw: object) -> Entry:
    """One `{name, value, action}`; value may be missing for add only (C2.13).

    Errors: MalformedEntry naming the field for everything that C2 calls malformed.
    """
    if not isinstance(raw, dict):
        raise MalformedEntry("", "must be an object {name, value, action}")
    name, value = raw.get("name"), raw.get("value")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_CHARACTERS or "\x00" in name:
        expected = f"must be a string of 1 to {MAX_NAME_CHARACTERS} characters without NUL"
        raise MalformedEntry(".name", "is required" if name is None else expected)
    action = raw.get("action", SET)
    # Texts first: most values are.
    is_text = isinstance(value, str) and "\x00" not in value
    if action == SET and (is_text or _is_attribute_value(value)):
        return (position, name, SET, value)
    if not isinstance(action, str) or action not in ACTIONS:
        raise MalformedEntry(".action", "must be one of " + ", ".join(ACTIONS))
    if "value" not in raw and action != ADD:
        raise MalformedEntry(".value", "is required")
    if action == ADD:
        if "value" in raw and not _is_number(value):
            raise MalformedEntry(".value", "must be a number for the action add")
    elif action in (LIST_ADD, LIST_REMOVE):
        if not isinstance(value, str) or "\x00" in value:
            problem = f"must be a string without NUL for the action {action}"
            raise MalformedEntry(".value", problem)
    else:
        problem = "must be a string, a finite number or an array of strings, without NUL"
        raise MalformedEntry(".value", problem)
    return (position, name, action, value)


def _is_number(value: object) -> bool:
    # By type, not isinstance: true is an int in Python.
    return type(value) in (int, float)


def _is_attribute_value(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" not in value
    if isinstance(value, list):
        return all(isinstance(text, str) and "\x00" not in text for text in value)
    return _is_number(value)


def _refuse(path: str, problem: str) -> NoReturn:
    message = f"{path} {problem}"
    raise Invalid(message, path=path)
