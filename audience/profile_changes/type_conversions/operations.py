"""Declaring an attribute, telling what a conversion would do, and beginning one."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from audience.attributes import storage as attribute_storage
from audience.attributes.analytics_keys import ANALYTICS_KEYS
from audience.attributes.value_types import AttributeValue, ValueType
from audience.errors import Conflict, Invalid
from audience.profile_changes.decide import MAX_ATTRIBUTE_DEFINITIONS_PER_APP
from audience.profile_changes.save import save_changes
from audience.profile_changes.type_conversions import storage
from audience.profile_changes.type_conversions.storage import Conversion
from audience.profile_changes.type_conversions.values import fit_profile
from audience.profiles import storage as profile_storage
from audience.profiles.actions import convert_value
from audience.profiles.profile_set import ProfileSet
from audience.server import clock
from audience.server.clock import new_id

#: Profiles that are looked at, and changed, in one step.
_LOOKED_AT, _CHANGED_AT_ONCE = 2000, 300
_EXAMPLES = 5
_VALUES_AT_A_STRETCH = 500


@dataclass(slots=True)
class Forecast:
    """What a conversion would do: profiles whose value converts, and does not.

    examples: the most common values that do not.
    """

    convertible: int = 0
    not_convertible: int = 0
    examples: list[AttributeValue] = field(default_factory=list)


async def declare_attribute(
    conn: asyncpg.Connection,
    app_id: str,
    attribute: tuple[str, str],
    value_type: ValueType | None,
    now: datetime,
) -> None:
    """Make (field_type, name) known before its first value; without a type that value decides.

    Takes the app's lock, as a write may be giving the attribute its type.
    Errors: Conflict when it is known; Invalid for an analytics attribute that does not exist or is
    no text, and past 10,000 custom attributes.
    """
    field_type, name = attribute
    if field_type == "analytics" and (name not in ANALYTICS_KEYS or value_type == "numeric"):
        message = f"an analytics attribute is a text, one of {', '.join(ANALYTICS_KEYS)}"
        raise Invalid(message, path="name")
    await profile_storage.lock_apps(conn, [app_id])
    if field_type == "attributes":
        count = await attribute_storage.count_attribute_definitions(conn, app_id)
        if count >= MAX_ATTRIBUTE_DEFINITIONS_PER_APP:
            message = f"the app has {count} attributes, more are not possible"
            raise Invalid(message, path="name", code="limit")
    declared = "text" if field_type == "analytics" else value_type
    if not await storage.insert_definition(conn, app_id, attribute, declared, now):
        message = f"the attribute {name!r} exists"
        raise Conflict(message, path="name", code="attribute_exists")


async def forecast_conversion(
    conn: asyncpg.Connection, app_id: str, name: str, value_type: ValueType
) -> Forecast:
    """What converting the attribute would do; changes nothing."""
    forecast = Forecast()
    looked_at = 0
    async for value, uses in storage.count_values(conn, app_id, name):
        looked_at += 1
        if convert_value(value, value_type) is not None:
            forecast.convertible += uses
        else:
            forecast.not_convertible += uses
            if len(forecast.examples) < _EXAMPLES:
                forecast.examples.append(value)
        if looked_at % _VALUES_AT_A_STRETCH == 0:
            await asyncio.sleep(0)
    return forecast


async def begin_conversion(
    conn: asyncpg.Connection, app_id: str, name: str, value_type: ValueType, now: datetime
) -> None:
    """Give the attribute another type: for new writes at once, for stored values step by step.

    Takes the app's lock. A conversion that runs is replaced.  On repeat: begins anew.
    """
    await profile_storage.lock_apps(conn, [app_id])
    await storage.set_value_type(conn, app_id, name, value_type, now)
    await storage.save_conversion(conn, app_id, name, value_type, now)


async def convert_next_values(conn: asyncpg.Connection, found: Conversion) -> Conversion | None:
    """One bounded step of a conversion, in the caller's transaction; at the last profile itself.

    Then `finish_conversion` says whether that was all: meanwhile a merge may have brought a value
    into a profile that was looked at before.  Needs no lock of the caller's: a conversion that has
    been replaced since it was found does nothing, the one in its place takes the step.
    """
    await profile_storage.lock_apps(conn, [found.app_id])
    current = await storage.find_again(conn, found)
    if current is None:
        return None
    found = current
    rows = await storage.find_misfits(conn, found, _LOOKED_AT)
    misfits = [profile_id for profile_id, is_misfit in rows if is_misfit][:_CHANGED_AT_ONCE]
    counts = await _convert(conn, found, misfits, clock.now()) if misfits else (0, 0)
    reached = rows[-1][0] if rows else None
    if len(misfits) == _CHANGED_AT_ONCE:
        reached = misfits[-1]
    is_end = not rows or (len(rows) < _LOOKED_AT and reached == rows[-1][0])
    further = found._replace(cursor_profile_id=None if is_end else reached)
    await storage.save_progress(conn, further, counts)
    return further if is_end else None


async def finish_conversion(conn: asyncpg.Connection, found: Conversion, now: datetime) -> None:
    """Note that the conversion is done, unless a value of another type is left: then it goes on.

    The look is one snapshot without a lock: values of another type are never written anew, so that
    none can come up after it has found none.
    """
    if not await storage.has_misfits(conn, found):
        await storage.save_finished(conn, found, now)


async def _convert(
    conn: asyncpg.Connection, found: Conversion, profile_ids: list[str], now: datetime
) -> tuple[int, int]:
    profiles = ProfileSet(new_profile_id=new_id)
    profiles.load(await profile_storage.get_profiles(conn, found.app_id, profile_ids))
    converted = removed = 0
    for profile in profiles.profiles.values():
        one, other = fit_profile(profile, {found.attribute_name: found.value_type})
        converted, removed = converted + one, removed + other
        if one or other:
            profiles.touch(profile, now)
    await save_changes(conn, found.app_id, profiles, now)
    return converted, removed
