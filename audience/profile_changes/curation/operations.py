"""Merging, splitting and deleting profiles by hand, under the app's lock."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from audience.errors import Conflict, NotFound
from audience.profile_changes.erasure.operations import take_out_moved
from audience.profile_changes.save import save_changes
from audience.profiles import storage as profile_storage
from audience.profiles.attribute_statistics.storage import forget_values
from audience.profiles.identifiers import Identifier
from audience.profiles.ledger import storage as ledger
from audience.profiles.merge import (
    DIFFERENT_EMAILS,
    DIFFERENT_USER_IDS,
    TOO_MANY_IDENTIFIERS,
    merge_into,
    why_not_by_hand,
)
from audience.profiles.moved_identifiers import storage as moved_identifiers
from audience.profiles.profile import Profile
from audience.profiles.profile_set import ProfileSet
from audience.profiles.split import split_profile
from audience.server.clock import new_id

_WHY = {
    DIFFERENT_USER_IDS: "the profiles have different user IDs; that can't be forced",
    DIFFERENT_EMAILS: "the profiles have different e-mails; force merges them all the same",
    TOO_MANY_IDENTIFIERS: "together the profiles would have too many identifiers",
}


async def merge_profiles_by_id(
    conn: asyncpg.Connection,
    app_id: str,
    profile_ids: tuple[str, str],
    now: datetime,
    *,
    is_forced: bool,
) -> Profile:
    """The survivor with everything of the absorbed profile; the merge is in the ledger.

    profile_ids: the survivor's, then the absorbed one's.  is_forced: different
    e-mails don't hinder; the survivor keeps its own, the other one is free again.
    An absorbed profile's id stands for its survivor.  The caller opens the transaction.
    Errors: NotFound; Conflict when both ids are one profile, for different user IDs, for different
    e-mails unless forced, and for more identifiers than a profile may have.
    """
    await profile_storage.lock_apps(conn, [app_id])
    survivor_id = await resolve(conn, app_id, profile_ids[0])
    absorbed_id = await resolve(conn, app_id, profile_ids[1])
    if survivor_id == absorbed_id:
        message = "both ids are the same profile"
        raise Conflict(message, path="profile_id", code="same_profile")
    profiles = await _load(conn, app_id, [survivor_id, absorbed_id])
    survivor, absorbed = profiles.profiles[survivor_id], profiles.profiles[absorbed_id]
    reason = why_not_by_hand(survivor, absorbed, is_forced=is_forced)
    if reason is not None:
        raise Conflict(_WHY[reason], path="profile_id", code=reason)
    merged = merge_into(profiles, survivor, absorbed, (), now)
    await save_changes(conn, app_id, profiles, now)
    return merged


async def split_profile_by_id(
    conn: asyncpg.Connection,
    app_id: str,
    profile_id: str,
    identifiers: Sequence[Identifier],
    now: datetime,
) -> Profile:
    """The new profile that has the identifiers now; the old one keeps everything else.

    An absorbed profile's id stands for its survivor.  The caller opens the transaction.
    Errors: NotFound; those of `split_profile`.
    """
    await profile_storage.lock_apps(conn, [app_id])
    profile_id = await resolve(conn, app_id, profile_id)
    profiles = await _load(conn, app_id, [profile_id])
    new = split_profile(profiles, profiles.profiles[profile_id], identifiers, now)
    await save_changes(conn, app_id, profiles, now)
    return new


async def delete_profile_by_id(conn: asyncpg.Connection, app_id: str, profile_id: str) -> str:
    """The id of the profile that is gone now, with everything that told of it.

    Its identifiers, memberships and refused merges go along, and the ledger rows of every merge it
    or a profile it had absorbed took part in: they hold whole documents.  Ledger rows of others who
    held an identifier before lose it, all at once: no digest keeps it from coming back later.  An
    absorbed profile's id stands for its survivor.  The caller opens the transaction.  Errors:
    NotFound.
    """
    await profile_storage.lock_apps(conn, [app_id])
    profile_id = await resolve(conn, app_id, profile_id)
    profiles = await profile_storage.get_profiles(conn, app_id, [profile_id])
    for profile in profiles:
        values = {"attributes": profile.attributes, "analytics": profile.analytics}
        await forget_values(conn, app_id, values, profile.updated_at)
    lineage = await ledger.list_lineage(conn, app_id, profile_id)
    await ledger.delete_merges_of(conn, app_id, lineage)
    await moved_identifiers.delete_moved_from(conn, app_id, lineage)
    await ledger.delete_refusals_of(conn, app_id, lineage)
    await profile_storage.delete_profiles(conn, app_id, [profile_id])
    for profile in profiles:
        await moved_identifiers.mark_erased(conn, app_id, profile.identifiers())
    while await take_out_moved(conn, app_id):
        pass
    return profile_id


async def resolve(conn: asyncpg.Connection, app_id: str, profile_id: str) -> str:
    """The id under which the profile lives.  Errors: NotFound."""
    found = await ledger.resolve_profile_id(conn, app_id, profile_id)
    if found is None:
        message = f"there is no profile {profile_id}"
        raise NotFound(message, path="profile_id")
    return found


async def _load(conn: asyncpg.Connection, app_id: str, profile_ids: Sequence[str]) -> ProfileSet:
    profiles = ProfileSet(new_profile_id=new_id)
    profiles.load(await profile_storage.get_profiles(conn, app_id, profile_ids))
    return profiles
