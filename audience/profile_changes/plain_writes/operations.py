"""Saving the plain writes of a batch before the others, where that is worth a statement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakKeyDictionary

import asyncpg

from audience.audiences.memberships.audience_set import AudienceSet
from audience.audiences.memberships.cache import known_audiences
from audience.audiences.memberships.decide import Before, Differences, decide_memberships
from audience.profile_changes import known_apps
from audience.profile_changes.loaded_app import KnownApp
from audience.profile_changes.plain_writes.rows import (
    FoundProfile,
    PlainWrite,
    changed_profile,
    plain_write,
)
from audience.profile_changes.plain_writes.storage import (
    PlainBatch,
    read_found_profiles,
    save_decided_writes,
    save_plain_writes,
)
from audience.profile_changes.write_request import WriteRequest
from audience.profiles.identifiers import Identifier
from audience.server.session_locks.writer import Conflicts

#: Writes of a batch that must be expected to be saved so: the others cost a statement more.
_WORTH = 0.4
#: How much the newest batch counts.
_NEWEST = 0.1
#: So often it is tried all the same.
_TRIED_EVERY = 32


@dataclass(slots=True)
class _Experience:
    """What part of the plain writes was saved lately; batches that were not tried."""

    part: float = 1.0
    untried: int = 0

    def is_worth(self, plain: int, requests: int) -> bool:
        """Whether enough of so many requests will be saved when so many are plain."""
        if plain < requests * _WORTH:
            return False
        if plain * self.part < requests * _WORTH:
            self.untried += 1
            return self.untried % _TRIED_EVERY == 0
        return True

    def note(self, saved: int, plain: int) -> None:
        """Learn from a try."""
        self.part += _NEWEST * (saved / plain - self.part)


#: By connection, as what is known of apps.
_experiences: WeakKeyDictionary[object, _Experience] = WeakKeyDictionary()


@dataclass(slots=True)
class _Sorted:
    """Plain writes of which audiences need not know, and those of which they must."""

    unwatched: PlainBatch = field(default_factory=PlainBatch)
    watched: PlainBatch = field(default_factory=PlainBatch)
    audiences: dict[str, AudienceSet] = field(default_factory=dict)
    count: int = 0


async def save_plain(
    conn: asyncpg.Connection,
    requests: Sequence[WriteRequest],
    now: Callable[[], datetime],
    saved: set[int],
) -> None:
    """Save the requests that depend on little of what is stored.

    saved: gets the places of those that are done with, in two lots, also when the second one fails.
    They are done before the others of the batch, but none before an earlier one that names the same
    identifier.
    Needs the locks. Not for an open transaction: its requests were not sent at the same time.
    Errors: Conflicts when one of the others has changed a profile meanwhile.
    """
    if conn.is_in_transaction():
        return
    found = _sort(conn, requests)
    experience = _experiences.get(conn) or _experiences.setdefault(conn, _Experience())
    if not found.count or not experience.is_worth(found.count, len(requests)):
        return
    if found.unwatched.writes:
        saved |= await save_plain_writes(conn, found.unwatched, now())
    if found.watched.writes:
        saved |= await _save_watched(conn, found, now)
    experience.note(len(saved), found.count)


def _sort(conn: asyncpg.Connection, requests: Sequence[WriteRequest]) -> _Sorted:
    apps: dict[str, tuple[KnownApp, AudienceSet | None] | None] = {}
    found = _Sorted()
    named: set[Identifier] = set()
    for place, request in enumerate(requests):
        is_first = True
        for item in request.items.items:
            is_first = is_first and named.isdisjoint(item.identifiers)
            named.update(item.identifiers)
        if not is_first or len(request.app_ids) != 1:
            continue
        (app_id,) = request.app_ids
        if app_id not in apps:
            apps[app_id] = _recall(conn, app_id)
        app = apps[app_id]
        if app is None:
            continue
        known, audiences = app
        write = plain_write(place, request, known)
        if write is None:
            continue
        if audiences is None or not audiences.look_at(write.attributes):
            found.unwatched.add(app_id, known, write)
        elif audiences.asks_attributes_only:
            found.watched.add(app_id, known, write)
            found.audiences[app_id] = audiences
        else:
            continue
        found.count += 1
    return found


def _recall(conn: asyncpg.Connection, app_id: str) -> tuple[KnownApp, AudienceSet | None] | None:
    """What the process remembers of an app; None unless it remembers all of it."""
    known = known_apps.recall(conn, app_id, _NO_NAMES)
    if known is None or known.audiences_revision is None:
        return None if known is None else (known, None)
    audiences = known_audiences(app_id)
    is_same = audiences is not None and (
        (audiences.revision, audiences.timezone) == (known.audiences_revision, known.timezone)
    )
    return (known, audiences) if is_same else None


_NO_NAMES: frozenset[str] = frozenset()


async def _save_watched(
    conn: asyncpg.Connection, plain: _Sorted, now: Callable[[], datetime]
) -> set[int]:
    """Save the writes for whose attributes audiences ask, with the memberships that follow."""
    found = await read_found_profiles(conn, plain.watched)
    moment = now()
    saved: set[int] = set()
    decided: dict[str, list[tuple[PlainWrite, FoundProfile]]] = {}
    differences: dict[str, Differences] = {}
    for app_id, writes in plain.watched.writes.items():
        audiences = plain.audiences[app_id]
        differences[app_id], of_app, seen = Differences(), [], set()
        for write in writes:
            stored = found.get(write.place)
            # The second write to a profile must find what the first one has left.
            if stored is None or stored.profile_id in seen:
                continue
            seen.add(stored.profile_id)
            profile = changed_profile(stored, write, moment)
            memberships = dict.fromkeys(stored.audience_ids or ())
            before = Before(moment, memberships, attributes=stored.attributes)
            decide_memberships(audiences, profile, before, moment, differences[app_id])
            of_app.append((write, stored))
            saved.add(write.place)
        if of_app:
            decided[app_id] = of_app
    if saved:
        try:
            await save_decided_writes(conn, decided, differences, moment)
        except asyncpg.SerializationError as error:
            raise Conflicts from error
    return saved
