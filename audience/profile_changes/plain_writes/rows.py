"""Which writes are plain: what they make of a profile is the same whatever it holds.

A plain write sets attributes of a known type, by identifiers that nothing blocks. If one profile
holds all of the identifiers and few attributes, no identifier, type or limit is left to decide
about. That "if" is the database's to answer (`storage.py`); what it answers no to goes the usual
way, which says the same of the others.

Pure: standard library only.
"""

from datetime import datetime
from typing import NamedTuple

from audience.attributes.value_types import AttributeValue
from audience.profile_changes.items import Entry
from audience.profile_changes.loaded_app import KnownApp
from audience.profile_changes.write_request import WriteRequest
from audience.profiles.actions import MAX_VALUE_CHARACTERS, SET, Removed, apply_action
from audience.profiles.identifiers import (
    ANALYTICS_VISITOR_ID,
    DEVICE_ID,
    EMAIL,
    USER_ID,
    Identifier,
)
from audience.profiles.profile import Profile


class PlainWrite(NamedTuple):
    """A plain write, in the order in which the statement takes it.

    place: of its request in the batch. identifier_name, identifier_value: the strongest one; then
    all by name. attributes: the values to set.
    """

    place: int
    identifier_name: str
    identifier_value: str
    user_id: str | None
    email: str | None
    device_id: str | None
    analytics_visitor_id: str | None
    email_as_given: str | None
    attributes: dict[str, AttributeValue]


def plain_write(place: int, request: WriteRequest, known: KnownApp) -> PlainWrite | None:
    """The request as a plain write, or None when it is none.

    known: the request's one app.
    """
    items = request.items.items
    if len(items) != 1 or (request.is_strict and request.items.skipped):
        return None
    if known.also_blocked or known.gate_terms is not None:
        return None
    item = items[0]
    if item.form is not None or item.may_be_blocked:
        return None
    attributes = _values(item.entries, known)
    if attributes is None:
        return None
    named = dict(item.identifiers).get
    strongest: Identifier = item.identifiers[0]
    return PlainWrite(
        place,
        strongest[0],
        strongest[1],
        named(USER_ID),
        named(EMAIL),
        named(DEVICE_ID),
        named(ANALYTICS_VISITOR_ID),
        item.email_as_given,
        attributes,
    )


def _values(entries: tuple[Entry, ...], known: KnownApp) -> dict[str, AttributeValue] | None:
    """What the entries set, or None when one does something else or depends on what is stored."""
    types = known.types
    found: dict[str, AttributeValue] = {}
    for _, name, action, value in entries:
        value_type = types.get(name)
        if action != SET or value_type is None:
            return None
        if value_type == "text" and isinstance(value, str) and len(value) <= MAX_VALUE_CHARACTERS:
            # What most writes are: as `apply_action` has it, without going there.
            found[name] = value
            continue
        outcome, _ = apply_action(None, value_type, SET, value)
        if outcome is None or isinstance(outcome, Removed):
            return None
        found[name] = outcome
    return found


class FoundProfile(NamedTuple):
    """What audiences may ask of the profile of a plain write, as stored.

    row: where its row is and which transaction wrote that; of this profile, one state of the row.
    audience_ids: the audiences it is in, None for none.
    """

    profile_id: str
    row: tuple[str, str]
    attributes: dict[str, AttributeValue]
    audience_ids: list[str] | None


def changed_profile(found: FoundProfile, write: PlainWrite, now: datetime) -> Profile:
    """What the write makes of the profile; of the profile only its id and attributes are there."""
    attributes = {**found.attributes, **write.attributes}
    return Profile(found.profile_id, now, now, attributes=attributes)
