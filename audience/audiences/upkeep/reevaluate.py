"""Evaluating profiles again whose memberships time may have changed."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from audience.audiences.memberships import storage as membership_storage
from audience.audiences.memberships.cache import load_audiences
from audience.audiences.memberships.decide import Change, Differences, Due, evaluate_audiences
from audience.profiles.storage import get_profiles


async def reevaluate(
    conn: asyncpg.Connection, app_id: str, profile_ids: Sequence[str], now: datetime
) -> None:
    """Store what the profiles' memberships are at `now`, and when they may change next.

    Looks at the audiences that time can change alone. conn: with an open transaction that holds the
    app's lock.  On repeat: the same state.
    """
    audiences = await load_audiences(conn, app_id)
    profiles = await get_profiles(conn, app_id, profile_ids)
    before = await membership_storage.get_before(conn, app_id, profile_ids)
    affected = () if audiences is None else audiences.affected_by(())
    differences = Differences()
    for profile in profiles:
        stored = before[profile.profile_id]
        soonest = evaluate_audiences(affected, Change(profile, stored, now, differences))
        differences.due.append(Due(profile.profile_id, soonest))
    await membership_storage.save_memberships(conn, {app_id: differences}, now)
