"""Taking a merge back, under the app's lock."""

from datetime import datetime

import asyncpg

from audience.errors import Conflict, NotFound
from audience.profile_changes.erasure.memory import erased_since
from audience.profile_changes.erasure.storage import find_remembered
from audience.profile_changes.save import save_changes
from audience.profile_changes.type_conversions.values import fit_values_to_types
from audience.profiles import storage as profile_storage
from audience.profiles.ledger import storage as ledger
from audience.profiles.profile import Profile
from audience.profiles.profile_set import Merge, ProfileSet
from audience.profiles.unmerge import undo_merge
from audience.server.clock import new_id


async def undo_merge_by_id(
    conn: asyncpg.Connection, app_id: str, merge_id: str, now: datetime
) -> Profile:
    """Take a merge back; the profile that had been absorbed, alive again under its old id.

    Both profiles get back what was theirs; what was written since stays with the survivor.
    Identifiers of somebody who was erased since do not come back.
    Errors: NotFound("merge"); Conflict when it was undone before, or when whom it would bring back
    was erased since.
    """
    await profile_storage.lock_apps(conn, [app_id])
    found = await ledger.get_merge(conn, app_id, merge_id)
    if found is None:
        message = f"there is no merge {merge_id}"
        raise NotFound(message, path="merge")
    merge, undone_at = found
    if undone_at is not None:
        message = f"merge {merge_id} was undone already"
        raise Conflict(message, path="merge", code="merge_undone")
    lineage_id, later = await _later_merges(conn, app_id, merge_id, merge)
    profiles = ProfileSet(new_profile_id=new_id)
    profiles.load(await profile_storage.get_profiles(conn, app_id, [lineage_id]))
    if lineage_id not in profiles.profiles:
        message = f"the profile that merge {merge_id} made no longer exists"
        raise NotFound(message, path="merge")
    both = [*merge.absorbed_before.identifiers(), *merge.survivor_before.identifiers()]
    profiles.load(await profile_storage.find_profiles(conn, app_id, both))
    gone = erased_since(await find_remembered(conn, app_id, both), merge.merged_at)
    restored, corrected = undo_merge(profiles, merge, [row for _, row in later], now, gone)
    # An erased person's identifiers are taken out of the documents of others.
    if not restored.identifiers() and (gone or not merge.absorbed_before.identifiers()):
        message = f"the person that merge {merge_id} would bring back was erased"
        raise Conflict(message, path="merge", code="person_erased")
    documents = {key: document for (key, _), document in zip(later, corrected, strict=True)}
    await ledger.save_merge_documents(conn, app_id, documents)
    await fit_values_to_types(conn, app_id, profiles)
    await save_changes(conn, app_id, profiles, now)
    await ledger.mark_merge_undone(conn, app_id, merge_id, now)
    return profiles.profiles[restored.profile_id]


async def _later_merges(
    conn: asyncpg.Connection, app_id: str, merge_id: str, merge: Merge
) -> tuple[str, list[tuple[str, Merge]]]:
    """The id under which the merge's survivor lives on, and the standing merges it went through."""
    lineage_id = merge.survivor_before.profile_id
    later: list[tuple[str, Merge]] = []
    after = merge_id
    while True:
        absorbed_by = None
        rows = await ledger.list_merges_of(conn, app_id, lineage_id)
        start = [key for key, _, _ in rows].index(after) + 1
        for key, row, undone_at in rows[start:]:
            if undone_at is not None:
                continue
            later.append((key, row))
            if row.absorbed_before.profile_id == lineage_id:
                absorbed_by, after = row.survivor_before.profile_id, key
                break
        if absorbed_by is None:
            return lineage_id, later
        lineage_id = absorbed_by
