"""A decision older than its app's period counts as none: profiles are told by a job.

The state and the form reckon with the time themselves; only the copy that a profile has, for the
gate and for conditions of audiences, must be emptied, and filled again when the app makes its
period longer.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import asyncpg
from aiohttp import web

from audience import public
from audience.server import clock
from audience.server.database import raw
from audience.server.keys import DATABASE
from consent.decisions.decide import valid_types
from consent.decisions.expiry import storage
from consent.decisions.expiry.storage import Marked
from consent.decisions.storage import consent_lock_key, state_of

_AT_ONCE = 200

_Find = Callable[[asyncpg.Connection, datetime], Awaitable[str | None]]
_Mark = Callable[[asyncpg.Connection, str, datetime, int], Awaitable[Sequence[Marked]]]


async def expire_consents(app: web.Application) -> bool:
    """A step of the job: up to 200 visitors of one app; True when more may be waiting.

    First those whose decisions are too old, then those whose decisions count again.
    Safe to run twice.
    """
    return await _step(
        app, storage.find_app_with_expired, storage.expire_some, _nothing
    ) or await _step(app, storage.find_app_with_revived, storage.revive_some, _statuses)


async def _step(
    app: web.Application,
    find_app: _Find,
    mark: _Mark,
    statuses: Callable[[Marked, datetime], dict[str, int]],
) -> bool:
    now = clock.now()
    async with app[DATABASE].transaction() as conn:
        driver = await raw(conn)
        app_id = await find_app(driver, now)
        if app_id is None:
            return False
        await storage.lock_consents(driver, consent_lock_key(app_id))
        marked = await mark(driver, app_id, now, _AT_ONCE)
        states = {
            one.analytics_visitor_id: public.VisitorConsents(statuses(one, now), one.decided_at)
            for one in sorted(marked, key=lambda one: one.decided_at)
            if one.analytics_visitor_id is not None
        }
        if states:
            await public.set_consents_of_visitors(driver, {app_id: states}, now)
        return True


def _nothing(_marked: Marked, _now: datetime) -> dict[str, int]:
    return {}


def _statuses(marked: Marked, now: datetime) -> dict[str, int]:
    """Of the types that count again: each has a time of its own."""
    seconds = marked.period_seconds
    valid_for = timedelta(seconds=seconds) if seconds else None
    types = valid_types(state_of(marked.state), valid_for, now)
    return {name: one.status for name, one in types.items()}
