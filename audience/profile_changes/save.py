"""Saving what a change did to the profiles of an app: the one way, whatever changed them."""

from datetime import datetime

import asyncpg

from audience.profile_changes.visitor_consents import apply_visitor_consents
from audience.profiles import storage as profile_storage
from audience.profiles.profile_set import ProfileSet


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
    await profile_storage.touch_profiles(conn, {app_id: profiles})
    await profile_storage.save_profile_set(conn, app_id, profiles, now)
