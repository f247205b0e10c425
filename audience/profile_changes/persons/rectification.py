"""Correcting a person's profile: chosen attributes and identifiers, under the app's lock.

Source: issue "Data subject requests", item 4, rectification.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from audience.attributes import storage as attribute_storage
from audience.attributes.value_types import AttributeValue
from audience.errors import Conflict, Forbidden, Invalid, NotFound
from audience.profile_changes import storage as change_storage
from audience.profile_changes.decide import AttributeTypes, modify_attributes
from audience.profile_changes.items import Entry, Item
from audience.profile_changes.save import save_changes
from audience.profiles import storage as profile_storage
from audience.profiles.actions import SET
from audience.profiles.identifiers import STRONG_IDENTIFIER_NAMES, Identifier, is_blocked
from audience.profiles.ledger import storage as ledger
from audience.profiles.profile import Profile
from audience.profiles.profile_set import ProfileSet
from audience.server.clock import new_id
from audience.server.database import raw


class AttributeChange(NamedTuple):
    """value: None removes the attribute."""

    name: str
    value: AttributeValue | None


class IdentifierChange(NamedTuple):
    """Values in normal form. old: taken away, or None; new: added, or None."""

    identifier_name: str
    old: str | None
    new: str | None


class Rectified(NamedTuple):
    """What was changed: `attributes.NAME` or an identifier's name, and its values as text."""

    field: str
    old: str | None
    new: str | None


async def rectify_profile(
    conn: AsyncConnection,
    app_id: str,
    profile_id: str,
    attributes: Sequence[AttributeChange],
    identifiers: Sequence[IdentifierChange],
    now: datetime,
) -> list[Rectified]:
    """Make the changes to the profile (or to the one that absorbed it); what was changed.

    On repeat: nothing is changed and the list is empty.  The caller opens the transaction.
    Errors: NotFound; Invalid for a value that the attribute can't have, Conflict for an identifier
    that is another profile's, that this one does not hold, or that is its last one.
    """
    driver = await raw(conn)
    await profile_storage.lock_apps(driver, [app_id])
    found = await ledger.resolve_profile_id(driver, app_id, profile_id)
    if found is None:
        message = f"there is no profile {profile_id}"
        raise NotFound(message, path="profile_id")
    own = (await profile_storage.get_profiles(driver, app_id, [found]))[0].identifiers()
    wanted = {Identifier(one.identifier_name, one.new) for one in identifiers if one.new}
    names = {one.name for one in attributes}
    loaded = await change_storage.load_apps(driver, {app_id: {*own, *wanted}}, {app_id: names})
    app = loaded.get(app_id)
    if app is None:
        message = "the audience manager is switched off for the app"
        raise Forbidden(message)
    types = AttributeTypes(known=app.known.types)
    types.definition_count = await attribute_storage.count_attribute_definitions(driver, app_id)
    profiles = ProfileSet(new_profile_id=new_id, also_blocked=app.known.also_blocked)
    profiles.load(app.profiles)
    profile = profiles.profiles[found]
    done = _change_attributes(profiles, profile, types, attributes, now)
    for position, change in enumerate(identifiers):
        done += _change_identifier(profiles, profile, change, f"identifiers[{position}]", now)
    if types.new:
        await attribute_storage.save_attribute_types(driver, app_id, types.new, now)
    await save_changes(driver, app_id, profiles, now)
    return done


def _change_attributes(
    profiles: ProfileSet,
    profile: Profile,
    types: AttributeTypes,
    changes: Sequence[AttributeChange],
    now: datetime,
) -> list[Rectified]:
    before = profile.attributes
    entries: tuple[Entry, ...] = tuple(
        (position, change.name, SET, [] if change.value is None else change.value)
        for position, change in enumerate(changes)
        if before.get(change.name) != change.value
    )
    if not entries:
        return []
    # An item that names the profile's strongest identifier lands on it and merges nothing.
    item = Item(0, "", (profile.identifiers()[0],), None, entries)
    for skip in modify_attributes(profiles, types, [item], now):
        path = f"attributes[{skip.entry}].value"
        message = f"{path} can't be the attribute's value: {skip.reason}"
        raise Invalid(message, path=path, code=skip.reason)
    return [
        Rectified(
            f"attributes.{name}", _text(before.get(name)), _text(profile.attributes.get(name))
        )
        for name in dict.fromkeys(name for _, name, _, _ in entries)
    ]


def _change_identifier(
    profiles: ProfileSet, profile: Profile, change: IdentifierChange, path: str, now: datetime
) -> list[Rectified]:
    name = change.identifier_name
    old = _replaced(profile, change)
    new = None if change.new is None else Identifier(name, change.new)
    if new is not None and is_blocked(*new, profiles.also_blocked):
        message = f"{path}.new_value is a placeholder; expected a real {name}"
        raise Invalid(message, path=f"{path}.new_value")
    if new is not None and profiles.owner(new) is profile:
        if old is None or old == new or profiles.owner(old) is not profile:
            return []
        new = None
    if new is not None and profiles.owner(new) is not None:
        message = f"{path}.new_value is another profile's {name}"
        raise Conflict(message, path=f"{path}.new_value", code="identifier_taken")
    if old is not None and profiles.owner(old) is not profile:
        if new is None:
            return []
        message = f"{path}.old_value is no {name} of the profile"
        raise Conflict(message, path=f"{path}.old_value", code="identifier_unknown")
    if new is None and len(profile.identifiers()) == 1:
        message = f"{path}: at least one identifier must stay with the profile"
        raise Conflict(message, path=path, code="no_identifier_left")
    if old is not None:
        profiles.detach(profile, old)
    if new is not None and not profiles.attach(profile, new):
        message = f"{path}: the profile would have too many identifiers of this kind"
        raise Conflict(message, path=path, code="too_many_identifiers")
    profile.updated_at = now
    profiles.changed_profile_ids.add(profile.profile_id)
    return [
        Rectified(
            name,
            None if old is None else old.identifier_value,
            change.new,
        )
    ]


def _replaced(profile: Profile, change: IdentifierChange) -> Identifier | None:
    """The identifier that goes: the given one; of a kind with one value, that."""
    name = change.identifier_name
    if change.old is not None:
        return Identifier(name, change.old)
    if name in STRONG_IDENTIFIER_NAMES:
        for identifier in profile.identifiers():
            if identifier.identifier_name == name and identifier.identifier_value != change.new:
                return identifier
    return None


def _text(value: AttributeValue | None) -> str | None:
    if value is None:
        return None
    return "\n".join(value) if isinstance(value, list) else str(value)
