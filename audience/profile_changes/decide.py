"""What a checked write request does to the profiles of its app: identifiers, then attributes.

Pure: standard library only, `now` is an argument. Source: contract C2.32-C2.33, C3.2, C3.4;
decisions 1 and 8; the limits are this project's (ARCHITECTURE.md, decision 8).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from audience.attributes.value_types import AttributeValue, ValueType
from audience.errors import Invalid
from audience.profile_changes.items import FormSubmission, Item, Skip
from audience.profiles.actions import (
    LIMIT,
    MAX_VALUE_CHARACTERS,
    SET,
    Removed,
    apply_action,
    value_type_of,
)
from audience.profiles.identifiers import EMAIL, IDENTIFIER_NAMES, Identifier, is_blocked
from audience.profiles.merge import resolve_identifiers
from audience.profiles.profile import Profile, microseconds, timestamp_text
from audience.profiles.profile_set import ProfileSet

MAX_ATTRIBUTES_PER_PROFILE = 1000
MAX_ATTRIBUTE_DEFINITIONS_PER_APP = 10_000
MAX_FORMS_PER_PROFILE = 200
#: A profile whose attributes take more than this grows no further.
MAX_ATTRIBUTES_BYTES = 1024 * 1024


@dataclass(slots=True)
class AttributeTypes:
    """The app's value types of custom attributes by name; `new` are first seen in this change.

    known: {attribute_name: type, or None when declared without one}; definition_count: how many
    custom attributes the app has in all.
    """

    known: Mapping[str, ValueType | None] = field(default_factory=dict)
    new: dict[str, ValueType] = field(default_factory=dict)
    definition_count: int = 0

    def learn(self, name: str, value_type: ValueType) -> None:
        """Give the attribute the type of its first value (contract C1.3)."""
        if name not in self.known:
            self.definition_count += 1
        self.new[name] = value_type


def modify_attributes(
    profiles: ProfileSet, types: AttributeTypes, items: Sequence[Item], now: datetime
) -> list[Skip]:
    """Apply the items of one request and one app; the entries that were not applied.

    First all identifiers are resolved (`merge.resolve_identifiers`), then the attribute entries are
    applied in the order given, each to the profile its item names.
    Errors: Invalid when an item has no identifier left that may be used.
    """
    usable = [_without_blocked(item, profiles.also_blocked) for item in items]
    targets = resolve_identifiers(profiles, usable, now)
    skipped: list[Skip] = []
    written = microseconds(now)
    for profile, item in zip(targets, items, strict=True):
        _remember_email_as_given(profile, item)
        _apply_entries(profile, types, item, written, skipped)
        if item.form is not None:
            _note_form(profile, item.form, item.position, now, skipped)
            profiles.changed_profile_ids.add(profile.profile_id)
        profiles.touch(profile, now)
    return skipped


def _without_blocked(item: Item, also_blocked: frozenset[str]) -> tuple[Identifier, ...]:
    if not item.may_be_blocked and not also_blocked:
        return item.identifiers
    blocked = [one for one in item.identifiers if is_blocked(one[0], one[1], also_blocked)]
    if not blocked:
        return item.identifiers
    usable = tuple(identifier for identifier in item.identifiers if identifier not in blocked)
    if not usable:
        path = f"items[{item.position}]"
        message = (
            f"{path} has no usable identifier: the value of {item.identifiers[0].identifier_name} "
            f"is a placeholder; expected a real one of {', '.join(IDENTIFIER_NAMES)}"
        )
        raise Invalid(message, path=path)
    return usable


def _remember_email_as_given(profile: Profile, item: Item) -> None:
    if item.email_as_given is not None and (EMAIL, profile.email) in item.identifiers:
        profile.email_as_given = item.email_as_given


def _note_form(
    profile: Profile, form: FormSubmission, position: int, now: datetime, skipped: list[Skip]
) -> None:
    """Keep the newest submission of the form (contract B9)."""
    form_id, url = form
    if form_id not in profile.forms and len(profile.forms) >= MAX_FORMS_PER_PROFILE:
        skipped.append(Skip(position, None, "form_id", LIMIT))
        return
    submission = {"timestamp": timestamp_text(now), "url": url}
    known = profile.forms.get(form_id)
    if known is None or known["timestamp"] <= submission["timestamp"]:
        profile.forms = {**profile.forms, form_id: submission}


def _apply_entries(
    profile: Profile, types: AttributeTypes, item: Item, written: int, skipped: list[Skip]
) -> None:
    if not item.entries:
        return
    attributes = dict(profile.attributes)
    written_at = dict(profile.attribute_written_at)
    is_full = profile.stored_bytes > MAX_ATTRIBUTES_BYTES
    known, new = types.known, types.new
    for entry, name, action, value in item.entries:
        value_type = known.get(name) or new.get(name)
        is_usual = action == SET and name in attributes and not is_full
        if is_usual and (
            len(value) <= MAX_VALUE_CHARACTERS
            if isinstance(value, str) and value_type == "text"
            else type(value) is int and value_type == "numeric"
        ):
            # What most writes are: as `apply_action` has it, without going there.
            assert value is not None  # noqa: S101 - checked above; narrows the type
            attributes[name] = value
            written_at[name] = written
            continue
        outcome, reason = apply_action(attributes.get(name), value_type, action, value)
        if isinstance(outcome, Removed):
            attributes.pop(name, None)
            written_at.pop(name, None)
            continue
        if outcome is not None and (is_full or value_type is None or name not in attributes):
            reason = LIMIT if is_full else _past_limit(attributes, types, name)
        if reason is not None:
            skipped.append(Skip(item.position, entry, name, reason))
        elif outcome is not None:
            if value_type is None:
                types.learn(name, value_type_of(outcome))
            attributes[name] = outcome
            written_at[name] = written
    profile.attributes = attributes
    profile.attribute_written_at = written_at


def _past_limit(
    attributes: dict[str, AttributeValue], types: AttributeTypes, name: str
) -> str | None:
    """LIMIT when the attribute may not be added to these, or is one too many for the app."""
    is_first_seen = name not in types.known and name not in types.new
    if is_first_seen and types.definition_count >= MAX_ATTRIBUTE_DEFINITIONS_PER_APP:
        return LIMIT
    is_added = name not in attributes
    return LIMIT if is_added and len(attributes) >= MAX_ATTRIBUTES_PER_PROFILE else None
