"""Making the values of profiles fit the types of their attributes."""

from collections.abc import Mapping

import asyncpg

from audience.attributes.value_types import ValueType
from audience.profile_changes.type_conversions import storage
from audience.profiles.actions import convert_value, value_type_of
from audience.profiles.profile import Profile
from audience.profiles.profile_set import ProfileSet


def fit_profile(profile: Profile, types: Mapping[str, ValueType]) -> tuple[int, int]:
    """(values converted, values removed because they could not be) of the profile's attributes.

    types: {attribute_name: type}; others stay as they are. Write times stay.
    """
    attributes, written_at = dict(profile.attributes), dict(profile.attribute_written_at)
    converted = removed = 0
    for name, value_type in types.items():
        if name not in attributes or value_type_of(attributes[name]) == value_type:
            continue
        value = convert_value(attributes[name], value_type)
        if value is None:
            del attributes[name]
            written_at.pop(name, None)
            removed += 1
        else:
            attributes[name] = value
            converted += 1
    if converted or removed:
        profile.attributes, profile.attribute_written_at = attributes, written_at
    return converted, removed


async def fit_values_to_types(conn: asyncpg.Connection, app_id: str, profiles: ProfileSet) -> None:
    """Convert what the changed profiles hold from before their attributes' types were changed.

    Documents of the ledger keep the values that they were written with.
    """
    changed = [profiles.profiles[key] for key in sorted(profiles.changed_profile_ids)]
    names = {name for profile in changed for name in profile.attributes}
    types = await storage.list_types(conn, app_id, names)
    for profile in changed:
        fit_profile(profile, types)
