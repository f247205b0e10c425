"""Profile sets for the pure tests: short notation, reproducible ids."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from audience.profile_changes.decide import AttributeTypes, modify_attributes
from audience.profile_changes.items import Skip, parse_items
from audience.profiles.identifiers import Identifier, normalise_email
from audience.profiles.profile_set import ProfileSet

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
APP_ID = "01234567-89ab-cdef-0123-456789abcdef"
_NAMES = {"u": "user_id", "e": "email", "d": "device_id", "v": "analytics_visitor_id"}


def new_set() -> ProfileSet:
    """An empty set whose profiles are called p0, p1, ..."""
    counter = itertools.count()
    return ProfileSet(new_profile_id=lambda: f"p{next(counter)}")


def identifier(short: str) -> Identifier:
    """`u1` is user_id u1, `e1` an e-mail, `d1` a device, `v1` a visitor ID."""
    return Identifier(_NAMES[short[0]], value_of(short))


def value_of(short: str) -> str:
    """The value that goes with the short notation."""
    if short[0] == "v":
        return f"{int(short[1:]) + 1:016x}"
    return f"{short}@example.com" if short[0] == "e" else short


def item(identifiers: str, *entries: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    """A request item: `item("u1 v1", color="green")`."""
    named = {_NAMES[short[0]]: value_of(short) for short in identifiers.split()}
    values = [{"name": name, "value": value} for name, value in attributes.items()]
    return {"website_id": APP_ID, **named, "attributes": [*entries, *values]}


def send(
    profiles: ProfileSet,
    *items: dict[str, Any],
    after: float = 0,
    types: AttributeTypes | None = None,
) -> list[Skip]:
    """Apply one request of these items, `after` seconds past START."""
    parsed = parse_items(list(items), normalise_email)
    moment = START + timedelta(seconds=after)
    return modify_attributes(profiles, types or AttributeTypes(), parsed.items, moment)


def graph(profiles: ProfileSet) -> set[frozenset[str]]:
    """The identifier graph in short notation: {frozenset({"u1", "v1"}), ...}."""
    back = {identifier(f"{kind}{n}"): f"{kind}{n}" for kind in "uedv" for n in range(200)}
    return {frozenset(back[member] for member in group) for group in profiles.identifier_graph()}


def groups(text: str) -> set[frozenset[str]]:
    """`groups("u1 v1 | e2")` is the graph of two profiles."""
    return {frozenset(part.split()) for part in text.split("|")} if text else set()
