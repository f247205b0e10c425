"""The way of public writes and imports, one writer at a time per app.

The order of things: the caller has locked the apps; save what is plain, then find, decide (pure)
and save the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter

import asyncpg

from audience.attributes import storage as attribute_storage
from audience.audiences.memberships.decide import Differences, decide_all
from audience.audiences.memberships.storage import (
    load_member_since,
    save_memberships,
    touch_profiles_and_save,
)
from audience.errors import DomainError, Forbidden, Invalid
from audience.profile_changes import storage
from audience.profile_changes.admission import admit
from audience.profile_changes.decide import AttributeTypes, modify_attributes
from audience.profile_changes.items import Item, Skip
from audience.profile_changes.loaded_app import LoadedApp
from audience.profile_changes.plain_writes.operations import save_plain
from audience.profile_changes.visitor_consents import (
    apply_visitor_consents,
    load_gate,
)
from audience.profile_changes.write_request import SkippedStrictly, WriteRequest
from audience.profiles import storage as profile_storage
from audience.profiles.identifiers import Identifier
from audience.profiles.profile_set import ProfileSet
from audience.profiles.touches.storage import touch_profiles
from audience.server.clock import new_id
from audience.server.session_locks.writer import Conflicts, NeedsToBeAlone

#: Of an `Entry`.
_NAME = itemgetter(1)


@dataclass(slots=True)
class Counts:
    """What a batch did: merges, refusals by reason; whether it only touched profiles."""

    is_one_statement: bool = False
    merges: int = 0
    refusals: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _AppChange:
    """One app's share of a batch."""

    app: LoadedApp
    profiles: ProfileSet
    types: AttributeTypes

    def is_one_statement(self) -> bool:
        """True when `touch_profiles` saves it whole, which needs no transaction around it."""
        return not self.types.new and self.profiles.only_touches()


WriteResult = list[Skip] | DomainError


async def write_batch(
    conn: asyncpg.Connection,
    requests: Sequence[WriteRequest],
    now: Callable[[], datetime],
    counts: Counts,
    *,
    is_shared: bool = False,
    done: dict[int, WriteResult] | None = None,
) -> list[WriteResult]:
    """Apply the requests; per request its skipped entries, or why it was refused whole.

    Plain writes (`plain_writes/`) come first, each saved for good, then all others in order, saved
    in one transaction. now is asked after the locks are held, so that write times follow the order
    of writing.
    The caller holds the locks of all apps (`storage.lock_apps`); only an import has a transaction
    open, and it has no plain writes. Errors of the database are the caller's: nothing is applied
    but what is in `done`.
    done: {place: result} of those that are not to be written any more; gets the plain ones.
    is_shared: the locks are shared with others who do as this does.
    Errors, with nothing but `done` applied: NeedsToBeAlone when they are shared and more than
    attributes of existing profiles would change; Conflicts when one of the profiles was changed
    meanwhile, or has moved (VACUUM FULL, which asks for no lock of ours).
    """
    if done is None:
        done = {}
    if not done:
        saved: set[int] = set()
        try:
            await save_plain(conn, requests, now, saved)
        finally:
            done.update({place: [*requests[place].items.skipped] for place in saved})
    if not done:
        return await _write_loaded(conn, requests, now, counts, is_shared=is_shared)
    counts.is_one_statement = True
    left = [place for place in range(len(requests)) if place not in done]
    if left:
        others = [requests[place] for place in left]
        results = await _write_loaded(conn, others, now, counts, is_shared=is_shared)
        # Not in `done`: what is there must stay written, whatever comes.
        return _put_together(done, dict(zip(left, results, strict=True)))
    return _put_together(done, {})


def _put_together(*parts: dict[int, WriteResult]) -> list[WriteResult]:
    together = {place: result for part in parts for place, result in part.items()}
    return [together[place] for place in range(len(together))]


async def _write_loaded(
    conn: asyncpg.Connection,
    requests: Sequence[WriteRequest],
    now: Callable[[], datetime],
    counts: Counts,
    *,
    is_shared: bool,
) -> list[WriteResult]:
    """As `write_batch`, for requests that depend on what is stored: find, decide, save."""
    changes = await _load(conn, requests)
    moment = now()
    results = [_apply(request, changes, moment) for request in requests]
    counts.is_one_statement = all(change.is_one_statement() for change in changes.values())
    if is_shared:
        await _save_unchanged(conn, changes, moment, is_possible=counts.is_one_statement)
    elif counts.is_one_statement:
        await touch_profiles_and_save(conn, _sets(changes), _decide(changes, moment), moment)
    else:
        async with conn.transaction():
            await _save(conn, changes, moment)
    for change in changes.values():
        counts.merges += len(change.profiles.merges)
        for refusal in change.profiles.refusals:
            counts.refusals[refusal.reason] = counts.refusals.get(refusal.reason, 0) + 1
    return results


async def _load(
    conn: asyncpg.Connection, requests: Sequence[WriteRequest]
) -> dict[str, _AppChange]:
    """{app_id: what the batch works on}, without the apps that may not be written to."""
    identifiers: dict[str, set[Identifier]] = {}
    names: dict[str, set[str]] = {}
    for request in requests:
        for item in request.items.items:
            app_id = item.app_id
            if app_id not in identifiers:
                identifiers[app_id], names[app_id] = set(), set()
            identifiers[app_id].update(item.identifiers)
            names[app_id].update(map(_NAME, item.entries))
    changes: dict[str, _AppChange] = {}
    for app_id, app in (await storage.load_apps(conn, identifiers, names)).items():
        types = AttributeTypes(known=app.known.types)
        if len(app.known.types) < len(names[app_id]):
            count = await attribute_storage.count_attribute_definitions(conn, app_id)
            types.definition_count = count
        profiles = ProfileSet(new_profile_id=new_id, also_blocked=app.known.also_blocked)
        profiles.load(app.profiles)
        if app.gate is not None:
            await load_gate(conn, app_id, app.gate, identifiers[app_id] - profiles.owners.keys())
        changes[app_id] = _AppChange(app, profiles, types)
    return changes


def _sets(changes: dict[str, _AppChange]) -> dict[str, ProfileSet]:
    return {app_id: change.profiles for app_id, change in changes.items()}


def _decide(changes: dict[str, _AppChange], now: datetime) -> dict[str, Differences]:
    """{app_id: how memberships change}, of the apps that have audiences."""
    return {
        app_id: decide_all(change.app.audiences, change.profiles, change.app.before, now)
        for app_id, change in changes.items()
        if change.app.audiences is not None
    }


async def _save_unchanged(
    conn: asyncpg.Connection, changes: dict[str, _AppChange], now: datetime, *, is_possible: bool
) -> None:
    """Save what only touches profiles, if these are still what was loaded."""
    if not is_possible:
        raise NeedsToBeAlone
    versions = {app_id: change.app.versions for app_id, change in changes.items()}
    try:
        await touch_profiles_and_save(
            conn, _sets(changes), _decide(changes, now), now, versions=versions
        )
    except asyncpg.SerializationError as error:
        raise Conflicts from error


async def _save(conn: asyncpg.Connection, changes: dict[str, _AppChange], now: datetime) -> None:
    """As `save.save_changes`, for several apps, with what is loaded already."""
    for app_id, change in changes.items():
        await apply_visitor_consents(conn, app_id, change.profiles)
        if change.app.audiences is not None:
            await load_member_since(conn, app_id, change.profiles, change.app.before)
    await touch_profiles(conn, _sets(changes))
    for app_id, change in changes.items():
        if change.types.new:
            await attribute_storage.save_attribute_types(conn, app_id, change.types.new, now)
        await profile_storage.save_profile_set(conn, app_id, change.profiles, now)
    await save_memberships(conn, _decide(changes, now), now)


def _why_not(request: WriteRequest, changes: dict[str, _AppChange]) -> DomainError | None:
    """Why the request is refused before anything is decided, or None."""
    app_ids = request.app_ids
    if not app_ids <= changes.keys():
        return Forbidden("Forbidden: website_id names no app of this service", path="website_id")
    if len(app_ids) > 1 and len({changes[one].app.known.organization_id for one in app_ids}) > 1:
        message = "website_id: all items of one request must belong to one organization"
        return Invalid(message, path="website_id")
    return None


def _apply(request: WriteRequest, changes: dict[str, _AppChange], now: datetime) -> WriteResult:
    refusal = _why_not(request, changes)
    if refusal is not None:
        return refusal
    if request.is_strict or len(request.app_ids) != 1:
        return _apply_wholly(request, changes, now)
    (app_id,) = request.app_ids
    try:
        skipped = _modify(changes[app_id], request, request.items.items, now)
    except DomainError as late_refusal:
        return late_refusal
    return _in_order([*request.items.skipped, *skipped])


def _apply_wholly(
    request: WriteRequest, changes: dict[str, _AppChange], now: datetime
) -> WriteResult:
    """As `_apply`, for requests of which a part may be done when the rest is refused."""
    groups = _by_app(request)
    saved = {
        app_id: (changes[app_id].profiles.snapshot(), dict(changes[app_id].types.new))
        for app_id in groups
    }
    skipped = list(request.items.skipped)
    try:
        for app_id, items in groups.items():
            skipped += _modify(changes[app_id], request, items, now)
        if skipped and request.is_strict:
            raise SkippedStrictly(skipped)
    except DomainError as late_refusal:
        for app_id, (profiles, new_types) in saved.items():
            changes[app_id].profiles.restore(profiles)
            changes[app_id].types.new = new_types
        return late_refusal
    return _in_order(skipped)


def _modify(
    change: _AppChange, request: WriteRequest, items: Sequence[Item], now: datetime
) -> list[Skip]:
    admitted, refused = admit(change.app, items, change.profiles, now, request.taken_at)
    skipped = modify_attributes(change.profiles, change.types, admitted, now)
    return [*refused, *skipped] if refused else skipped


def _in_order(skipped: list[Skip]) -> list[Skip]:
    if len(skipped) > 1:
        skipped.sort(key=lambda skip: (skip.item, -1 if skip.entry is None else skip.entry))
    return skipped


def _by_app(request: WriteRequest) -> dict[str, Sequence[Item]]:
    items = request.items.items
    if len(request.app_ids) == 1:
        return {items[0].app_id: items}
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.app_id, []).append(item)
    return {**groups}
