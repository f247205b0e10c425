"""What a consent decision does to the profile of its visitor: known there, perhaps erased there.

The consent service calls this in the transaction that stores the decision. Whoever holds locks of
its own takes them first, the locks of profiles last.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import asyncpg

from audience.profile_changes.save import save_changes
from audience.profile_changes.visitor_consents import VisitorConsents, load_holder, set_consents
from audience.profiles import storage as profile_storage
from audience.profiles.attribute_statistics.storage import forget_values
from audience.profiles.identifiers import ANALYTICS_VISITOR_ID, Identifier
from audience.profiles.ledger import storage as ledger
from audience.profiles.profile import Profile
from audience.profiles.profile_set import ProfileSet
from audience.server.clock import new_id


async def set_profile_consents(
    conn: asyncpg.Connection,
    app_id: str,
    analytics_visitor_id: str,
    state: VisitorConsents,
    now: datetime,
) -> bool:
    """Let the visitor's profile know what the visitor has decided; audiences follow at once.

    state: the whole state and when it was decided; replaces what the profile knew, but an older
    one never a newer one.  analytics_visitor_id: lower-case.  False when nobody holds it or a newer
    state is known: then nothing is changed, no profile is made.  On repeat: the same state.
    conn: with an open transaction; takes the app's lock until its end (`server.database.raw` gives
    the connection below a Core transaction).
    """
    await profile_storage.lock_apps(conn, [app_id])
    profiles = ProfileSet(new_profile_id=new_id)
    await load_holder(conn, app_id, analytics_visitor_id, profiles)
    if not set_consents(profiles, analytics_visitor_id, state, now):
        return False
    await save_changes(conn, app_id, profiles, now)
    return True


async def set_consents_of_visitors(
    conn: asyncpg.Connection,
    states: Mapping[str, Mapping[str, VisitorConsents]],
    now: datetime,
) -> None:
    """Let profiles know what their visitors have decided; audiences follow at once.

    states: {app_id: {analytics visitor id, lower-case: whole state and when it was decided}}. A
    visitor nobody holds makes no profile; an older state never replaces a newer one.
    conn: with an open transaction; takes the apps' locks until its end.  On repeat: the same.
    """
    await profile_storage.lock_apps(conn, states)
    for app_id, visitors in states.items():
        profiles = await _holders(conn, app_id, visitors)
        changed = [
            set_consents(profiles, visitor_id, state, now) for visitor_id, state in visitors.items()
        ]
        if any(changed):
            await save_changes(conn, app_id, profiles, now)


async def erase_collected(
    conn: asyncpg.Connection, app_id: str, withdrawn: Mapping[str, datetime], now: datetime
) -> int:
    """Remove attributes and forms from the visitors' profiles; how many profiles had any.

    withdrawn: {analytics visitor id: when consent was withdrawn}; a profile that knows a newer
    decision keeps everything.
    Also from the documents of their merges, as undoing one would bring them back, and from the
    statistics where nobody else has them. Identifiers, analytics facts and consents stay.
    conn: as above.  On repeat: changes nothing.
    """
    await profile_storage.lock_apps(conn, [app_id])
    profiles = await _holders(conn, app_id, withdrawn)
    moments: dict[str, datetime] = {}
    for visitor_id, moment in withdrawn.items():
        holder = profiles.owner(Identifier(ANALYTICS_VISITOR_ID, visitor_id))
        if holder is not None:
            moments[holder.profile_id] = max(moment, moments.get(holder.profile_id, moment))
    erased = 0
    for profile in profiles.profiles.values():
        if profile.consents_at is not None and profile.consents_at > moments[profile.profile_id]:
            continue
        await _erase_from_ledger(conn, app_id, profile.profile_id)
        if profile.attributes or profile.forms:
            values = {"attributes": profile.attributes}
            await forget_values(conn, app_id, values, profile.updated_at)
            profile.attributes, profile.attribute_written_at, profile.forms = {}, {}, {}
            profile.updated_at = now
            profiles.changed_profile_ids.add(profile.profile_id)
            erased += 1
    if erased:
        await save_changes(conn, app_id, profiles, now)
    return erased


async def _holders(
    conn: asyncpg.Connection, app_id: str, analytics_visitor_ids: Collection[str]
) -> ProfileSet:
    wanted = [Identifier(ANALYTICS_VISITOR_ID, value) for value in analytics_visitor_ids]
    profiles = ProfileSet(new_profile_id=new_id)
    profiles.load(await profile_storage.find_profiles(conn, app_id, wanted))
    return profiles


async def _erase_from_ledger(conn: asyncpg.Connection, app_id: str, profile_id: str) -> None:
    """Empty the documents of the profile's merges, and of those of the profiles it absorbed.

    Of a merge that was undone only the profile's own side: the other one is somebody else's.
    """
    waiting, seen = [profile_id], {profile_id}
    while waiting:
        current = waiting.pop()
        for merge_id, merge, undone_at in await ledger.list_merges_of(conn, app_id, current):
            survivor, absorbed = merge.survivor_before, merge.absorbed_before
            is_whole = undone_at is None and survivor.profile_id == current
            if undone_at is None and not is_whole:
                # The merge that brought it here: done with the survivor.
                continue
            if is_whole and absorbed.profile_id not in seen:
                seen.add(absorbed.profile_id)
                waiting.append(absorbed.profile_id)
            sides = {"survivor_before": survivor, "absorbed_before": absorbed}
            emptied: dict[str, Any] = {
                name: _emptied(side)
                for name, side in sides.items()
                if is_whole or side.profile_id == current
            }
            left = {merge_id: replace(merge, **emptied)}
            await ledger.save_merge_documents(conn, app_id, left)


def _emptied(profile: Profile) -> Profile:
    return replace(profile, attributes={}, attribute_written_at={}, forms={}, stored_bytes=0)
