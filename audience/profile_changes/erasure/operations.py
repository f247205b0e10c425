"""Erasing persons: the profile at once, the rest in bounded steps, the memory after some days.

The order of things: lock the app, find, remember by digests, delete. From the moment of the commit
nobody finds anything of the profile; ledger rows, which only undoing a merge could read (and that
needs the profile), follow in steps. Those of undone merges, which the other side shows, go at once.
Ledger rows of others who held an identifier before (it was split off, or has moved) lose the
identifier and nothing else: some at once, the rest in steps.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import chain

import asyncpg
import orjson
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.profile_changes.erasure import storage
from audience.profile_changes.erasure.memory import (
    KEY_BYTES,
    REMEMBERED_FOR,
    blocked_until,
    digests_of_profiles,
    identifier_hash,
)
from audience.profile_changes.persons.operations import BEFORE_ALL_MERGES
from audience.profile_changes.persons.storage import list_merges_after
from audience.profiles import storage as profile_storage
from audience.profiles.attribute_statistics.storage import forget_values
from audience.profiles.identifiers import Identifier
from audience.profiles.ledger import storage as ledger
from audience.profiles.moved_identifiers import storage as moved_identifiers
from audience.profiles.profile import Profile, from_record
from audience.profiles.profile_set import Merge, without_identifier
from audience.server import clock
from audience.server.database import raw
from audience.server.keys import DATABASE

_MERGES_AT_ONCE = 1_000
_MOVED_AT_ONCE = 500
#: These are read and written, not only deleted.
_DOCUMENTS_AT_ONCE = 200
_FORGOTTEN_AT_ONCE = 100
#: Merges whose replaced values are remembered: read under the app's lock. Bytes as stored.
_REMEMBERED_MERGES, _REMEMBERED_BYTES = 100, 1024 * 1024
#: After a step the app's writers have its lock for this many times as long.
REST = 5.0


async def lock_profiles(conn: AsyncConnection, app_id: str) -> None:
    """Wait until this transaction is the only one that changes profiles of the app."""
    await profile_storage.lock_apps(await raw(conn), [app_id])


async def count_person_rows(
    conn: AsyncConnection, app_id: str, identifiers: Collection[Identifier]
) -> dict[str, int]:
    """{table: rows that erasing the holders of the identifiers would remove}; changes nothing."""
    connection = await raw(conn)
    profiles = await profile_storage.find_profiles(connection, app_id, identifiers)
    ids = [profile.profile_id for profile in profiles]
    lineages = [await ledger.list_lineage(connection, app_id, one) for one in ids]
    return await storage.count_rows(connection, app_id, ids, list(chain(*lineages)))


async def erase_person(
    conn: AsyncConnection, app_id: str, identifiers: Collection[Identifier], now: datetime
) -> dict[str, int]:
    """Erase the profiles that hold any of the identifiers; {table: rows removed}.

    Rows of profile_merges are counted, and follow by `erase_some_merges`, which also cleans those
    of others who held an identifier before. Waits for the app's lock: a write either comes before
    and is erased, or after and starts an empty profile.  On repeat: erases what has been written
    since.  The caller opens the transaction.
    """
    connection = await raw(conn)
    await profile_storage.lock_apps(connection, [app_id])
    profiles = await profile_storage.find_profiles(connection, app_id, identifiers)
    return await _erase(connection, app_id, profiles, now)


async def erase_profile(
    conn: AsyncConnection, app_id: str, profile_id: str, now: datetime
) -> dict[str, int]:
    """As `erase_person`, for a profile by its id; an absorbed one's id stands for its survivor.

    Nothing is erased when there is no such profile.
    """
    connection = await raw(conn)
    await profile_storage.lock_apps(connection, [app_id])
    found = await ledger.resolve_profile_id(connection, app_id, profile_id)
    ids = [] if found is None else [found]
    profiles = await profile_storage.get_profiles(connection, app_id, ids)
    return await _erase(connection, app_id, profiles, now)


async def erase_some_merges(conn: AsyncConnection, app_id: str | None = None) -> tuple[int, bool]:
    """(ledger rows of erased profiles removed, whether more may be left); one bounded step.

    First erased identifiers are taken out of the ledger rows of those who held them before.
    app_id: only this app's.  On repeat: goes on.  The caller opens the transaction.
    """
    connection = await raw(conn)
    cleaned = await moved_identifiers.find_app_with_erased(connection, app_id)
    if cleaned is not None:
        # Undoing a merge writes the same documents. Who finds nothing left must also have waited
        # for another one who is at it.
        await profile_storage.lock_apps(connection, [cleaned])
        await take_out_moved(connection, cleaned)
        return 0, True
    pending = await storage.find_pending(connection, app_id)
    if pending is None:
        return 0, False
    removed = await storage.delete_some_merges(
        connection, pending.app_id, pending.profile_ids, _MERGES_AT_ONCE
    )
    if removed == 0:
        await storage.clear_pending(connection, pending.app_id, pending.erasure_id)
    return removed, True


async def finish_erasures(app: web.Application) -> bool:
    """A background step: ledger rows of erased profiles, then erasures to forget.

    After ledger rows the app's writers get five times the time that the step took.
    """
    now, loop = clock.now(), asyncio.get_running_loop()
    started = loop.time()
    async with app[DATABASE].transaction() as conn:
        _, is_more = await erase_some_merges(conn)
    if is_more:
        await asyncio.sleep((loop.time() - started) * REST)
        return True
    async with app[DATABASE].transaction() as conn:
        connection = await raw(conn)
        app_id = await storage.find_forgettable(connection, now)
        if app_id is None:
            return False
        # An erasure that starts now would count on the key.
        await profile_storage.lock_apps(connection, [app_id])
        await storage.forget_some(connection, app_id, now, _FORGOTTEN_AT_ONCE)
        return True


async def _erase(
    conn: asyncpg.Connection, app_id: str, profiles: Sequence[Profile], now: datetime
) -> dict[str, int]:
    """Needs the app's lock."""
    counts: Counter[str] = Counter()
    for profile in profiles:
        lineage = await ledger.list_lineage(conn, app_id, profile.profile_id)
        rows = await storage.count_rows(conn, app_id, [profile.profile_id], lineage)
        await _remember(conn, app_id, profile, lineage if rows["profile_merges"] else [], now)
        await ledger.delete_refusals_of(conn, app_id, lineage)
        # The others follow: nobody can read them. These are few, undone by hand.
        await ledger.delete_undone_merges_of(conn, app_id, lineage)
        values = {"attributes": profile.attributes, "analytics": profile.analytics}
        await forget_values(conn, app_id, values, profile.updated_at)
        await profile_storage.delete_profiles(conn, app_id, [profile.profile_id])
        await moved_identifiers.delete_moved_from(conn, app_id, lineage)
        await moved_identifiers.mark_erased(conn, app_id, profile.identifiers())
        counts.update(rows)
    if profiles:
        await take_out_moved(conn, app_id)
    return dict(counts)


async def take_out_moved(conn: asyncpg.Connection, app_id: str) -> bool:
    """Take some erased identifiers out of documents of former holders; False when none is left.

    One bounded step.  Needs the app's lock.
    """
    moved = await moved_identifiers.list_erased(conn, app_id, _MOVED_AT_ONCE)
    found = await ledger.list_merges_telling_of(conn, app_id, moved, _DOCUMENTS_AT_ONCE)
    left: dict[str, Merge] = {}
    for place, merge_id, merge in found:
        left[merge_id] = without_identifier(left.get(merge_id, merge), moved[place].identifier)
    await ledger.save_merge_documents(conn, app_id, left)
    # Else there may be more: those found now are not found again.
    if len(found) < _DOCUMENTS_AT_ONCE:
        await moved_identifiers.delete_moved(conn, app_id, moved)
    return bool(moved)


async def _remember(
    conn: asyncpg.Connection,
    app_id: str,
    profile: Profile,
    pending_profile_ids: Sequence[str],
    now: datetime,
) -> None:
    former = await _former_states(conn, app_id, profile) if pending_profile_ids else []
    app_key = await storage.ensure_erasure_key(conn, app_id, secrets.token_bytes(KEY_BYTES))
    erasure_id, hash_key = clock.new_id(), secrets.token_bytes(KEY_BYTES)
    await storage.insert_erasure(
        conn,
        app_id,
        erasure_id,
        hash_key=hash_key,
        value_digests=digests_of_profiles(hash_key, [profile, *former]),
        pending_profile_ids=pending_profile_ids,
        erased_at=now,
        remembered_until=now + REMEMBERED_FOR,
    )
    hashes = [
        (identifier_hash(app_key, identifier), blocked_until(identifier, now))
        for identifier in profile.identifiers()
    ]
    await storage.insert_erased_identifiers(conn, app_id, erasure_id, hashes)


async def _former_states(conn: asyncpg.Connection, app_id: str, profile: Profile) -> list[Profile]:
    """What the profile and those it absorbed were before merges, as far as one page of them goes.

    A merge replaces values, and their retry may still come; the ledger is erased with the profile.
    """
    limits = (_REMEMBERED_MERGES, _REMEMBERED_BYTES)
    rows = await list_merges_after(conn, app_id, profile.profile_id, BEFORE_ALL_MERGES, limits)
    return [
        from_record(orjson.loads(row[f"{side}_before"]))
        for row in rows
        for side in ("survivor", "absorbed")
        if row[f"is_{side}_own"]
    ]
