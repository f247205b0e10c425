"""Saving what a change did to the profiles of an app: the one way, whatever changed them."""

from datetime import datetime

import asyncpg

from audience.audiences.memberships import storage as membership_storage
from audience.audiences.memberships.cache import load_audiences
from audience.audiences.memberships.decide import decide_all
from audience.profile_changes.visitor_consents import apply_visitor_consents
from audience.profiles import storage as profile_storage
from audience.profiles.profile_set import ProfileSet
from audience.profiles.touches.storage import touch_profiles


async def save_changes(
    conn: asyncpg.Connection, app_id: str, profiles: ProfileSet, now: datetime
) -> None:
    """Write everything the set has changed, and the memberships that follow from it.

    Every operation that changes profiles ends here: take the app's lock
    (`profiles.storage.lock_apps`) in an open transaction, load the profiles into a ProfileSet,
    change them through its methods (mark a profile whose members were set directly:
    `profiles.changed_profile_ids.add(...)` and `updated_at = now`), then call this once. Profiles
    deleted by hand take their memberships along. The batches of public writes do the same with
    fewer statements (`operations.write_batch`).
    """
    await apply_visitor_consents(conn, app_id, profiles)
    audiences = await load_audiences(conn, app_id)
    before = {}
    if audiences is not None:
        ids = profiles.changed_profile_ids | profiles.touched_profile_ids
        ids |= profiles.absorbed_profile_ids
        before = await membership_storage.get_before(conn, app_id, ids)
        await membership_storage.load_member_since(conn, app_id, profiles, before)
    await touch_profiles(conn, {app_id: profiles})
    await profile_storage.save_profile_set(conn, app_id, profiles, now)
    if audiences is not None:
        differences = decide_all(audiences, profiles, before, now)
        await membership_storage.save_memberships(conn, {app_id: differences}, now)
