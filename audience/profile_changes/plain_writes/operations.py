"""Saving the plain writes of a batch before the others, where that is worth a statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakKeyDictionary

import asyncpg

from audience.audiences.memberships.audience_set import AudienceSet
from audience.audiences.memberships.cache import known_audiences
from audience.profile_changes import known_apps
from audience.profile_changes.loaded_app import KnownApp
from audience.profile_changes.plain_writes.rows import PlainWrite, plain_write
from audience.profile_changes.plain_writes.storage import save_plain_writes
from audience.profile_changes.write_request import WriteRequest
from audience.profiles.profile import microseconds

#: Writes of a batch that must be expected to be saved so: the others cost a statement more.
_WORTH = 0.4
#: How much the newest batch counts.
_NEWEST = 0.1
#: So often it is tried all the same.
_TRIED_EVERY = 32


@dataclass(slots=True)
class _Experience:
    """What part of the plain writes was saved lately; batches since the last try."""

    part: float = 1.0
    untried: int = 0

    def is_worth(self, plain: int, requests: int) -> bool:
        """Whether enough of so many requests will be saved when so many are plain."""
        if not plain:
            return False
        if plain * self.part < requests * _WORTH:
            self.untried += 1
            return plain >= requests * _WORTH and self.untried % _TRIED_EVERY == 0
        return True

    def note(self, saved: int, plain: int) -> None:
        """Learn from a try."""
        self.part += _NEWEST * (saved / plain - self.part)


_experiences: WeakKeyDictionary[object, _Experience] = WeakKeyDictionary()
_NOBODY: frozenset[int] = frozenset()


async def save_plain(
    conn: asyncpg.Connection, requests: Sequence[WriteRequest], now: datetime
) -> set[int] | frozenset[int]:
    """Save the requests that need nothing to be read; the places of those that are done with.

    They are done before the others of the batch. Nobody can tell: none of them was answered when
    the others came. Needs the locks, which may be shared: each row is changed as it is then.
    """
    apps: dict[str, tuple[KnownApp, AudienceSet | None] | None] = {}
    writes: dict[str, list[PlainWrite]] = {}
    written, count = microseconds(now), 0
    for place, request in enumerate(requests):
        if len(request.app_ids) != 1:
            continue
        (app_id,) = request.app_ids
        if app_id not in apps:
            apps[app_id] = _recall(conn, app_id)
        app = apps[app_id]
        write = None if app is None else plain_write(place, request, *app, written)
        if write is not None:
            writes.setdefault(app_id, []).append(write)
            count += 1
    experience = _experiences.get(conn) or _experiences.setdefault(conn, _Experience())
    if not experience.is_worth(count, len(requests)):
        return _NOBODY
    known = {app_id: app[0] for app_id, app in apps.items() if app is not None}
    saved = await save_plain_writes(
        conn,
        writes,
        {app_id: known[app_id].version for app_id in writes},
        now,
        has_erased=any(known[app_id].has_erased for app_id in writes),
    )
    experience.note(len(saved), count)
    return saved


def _recall(conn: asyncpg.Connection, app_id: str) -> tuple[KnownApp, AudienceSet | None] | None:
    """What the process remembers of an app; None unless it remembers all of it."""
    known = known_apps.recall(conn, app_id, _NO_NAMES)
    if known is None:
        return None
    if known.audiences_revision is None:
        return known, None
    audiences = known_audiences(app_id)
    if audiences is None or (audiences.revision, audiences.timezone) != (
        known.audiences_revision,
        known.timezone,
    ):
        return None
    return known, audiences


_NO_NAMES: frozenset[str] = frozenset()
