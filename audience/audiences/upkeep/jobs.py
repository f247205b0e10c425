"""The background jobs of audiences. Each does one bounded step and says whether more is waiting."""

import asyncio
from datetime import UTC, datetime, time, timedelta

import asyncpg
import orjson
import structlog
from aiohttp import web

from audience.audiences.definition import parse_definition
from audience.audiences.patterns import compile_pattern
from audience.audiences.references import audience_ids
from audience.audiences.upkeep import storage
from audience.audiences.upkeep.fill import fill_next_part
from audience.audiences.upkeep.reevaluate import reevaluate
from audience.audiences.upkeep.storage import Fill
from audience.errors import Invalid
from audience.profiles.storage import lock_apps
from audience.server import clock
from audience.server.database import raw
from audience.server.jobs import Job
from audience.server.keys import DATABASE

#: A part of a fill should hold the app's lock about this long ...
_PART_SECONDS = 0.03
#: ... and then leave it to the writers for this many times as long.
_REST = 4.0
_LEAST_PROFILES, _MOST_PROFILES = 100, 20_000
_DUE_PROFILES = 300
_PURGED_MEMBERS = 5_000
_SNAPSHOT_DAYS = 60


class _Pace:
    """How many profiles a part takes, adapted to how long the last one took."""

    def __init__(self) -> None:
        self.size = 1_000

    def adapt(self, seconds: float) -> None:
        factor = min(max(_PART_SECONDS / max(seconds, 1e-4), 0.5), 2.0)
        self.size = int(min(max(self.size * factor, _LEAST_PROFILES), _MOST_PROFILES))


_pace = _Pace()


async def fill_audiences(app: web.Application) -> bool:
    """Work out the members of an audience whose definition has changed, one part.

    An audience that asks about another one waits until that one is filled. When writers wait for
    the app, they get more time after the part than it took.
    """
    async with app[DATABASE].transaction() as conn:
        connection = await raw(conn)
        chosen = await _next_fill(connection)
        if chosen is None:
            return await _follow_timezone(connection)
        if not chosen.is_counted:
            await storage.count_fill(connection, chosen.app_id, chosen.audience_id)
    loop = asyncio.get_running_loop()
    async with app[DATABASE].transaction() as conn:
        connection = await raw(conn)
        await lock_apps(connection, [chosen.app_id])
        started = loop.time()
        now = clock.now()
        await fill_next_part(connection, chosen.app_id, chosen.audience_id, now, _pace.size)
        is_wanted = await storage.is_lock_wanted(connection, chosen.app_id)
    seconds = loop.time() - started
    _pace.adapt(seconds)
    await asyncio.sleep(seconds * _REST if is_wanted else 0)
    return True


async def reevaluate_due(app: web.Application) -> bool:
    """Evaluate profiles whose memberships time may have changed: without traffic, in time.

    When writers wait for the app, they get as much time after the step as it took.
    """
    now = clock.now()
    loop = asyncio.get_running_loop()
    async with app[DATABASE].transaction() as conn:
        connection = await raw(conn)
        due = await storage.list_due(connection, now, _DUE_PROFILES)
        if not due:
            return False
        app_id = due[0][0]
        await lock_apps(connection, [app_id])
        profile_ids = [profile_id for owner, profile_id in due if owner == app_id]
        started = loop.time()
        await reevaluate(connection, app_id, profile_ids, clock.now())
        is_wanted = await storage.is_lock_wanted(connection, app_id)
    await asyncio.sleep(loop.time() - started if is_wanted else 0)
    return True


async def count_members_daily(app: web.Application) -> bool:
    """Count the members of one audience for today (UTC), or clear old counts away."""
    today = clock.now().date()
    start_of_today = datetime.combine(today, time(), UTC)
    async with app[DATABASE].transaction() as conn:
        connection = await raw(conn)
        found = await storage.find_uncounted(connection, today, start_of_today)
        if found is None:
            oldest = today - timedelta(days=_SNAPSHOT_DAYS)
            await storage.delete_old_snapshots(connection, oldest)
            return False
        await storage.insert_snapshot(connection, *found, today)
    return True


async def purge_deleted(app: web.Application) -> bool:
    """Delete members of a deleted audience; nobody sees them any more, no writer adds one."""
    async with app[DATABASE].transaction() as conn:
        connection = await raw(conn)
        found = await storage.find_purged(connection)
        if found is None:
            return False
        if await storage.delete_members(connection, *found, _PURGED_MEMBERS) < _PURGED_MEMBERS:
            await storage.forget_purged(connection, *found)
    return True


JOBS = (
    Job("audiences: fill", 1.0, fill_audiences),
    Job("audiences: re-evaluate", 5.0, reevaluate_due),
    Job("audiences: count", 30.0, count_members_daily),
    Job("audiences: purge", 30.0, purge_deleted),
)


async def _next_fill(connection: asyncpg.Connection) -> Fill | None:
    fills = await storage.list_fills(connection)
    waiting = {fill.audience_id for fill in fills}
    for fill in fills:
        try:
            definition = parse_definition(orjson.loads(fill.definition), compile_pattern)
        except Invalid as error:
            # Written by another version of the service; the others must not wait for it.
            structlog.get_logger().error(
                "audience not understood", audience_id=fill.audience_id, path=error.path
            )
            await storage.give_up_fill(connection, fill.app_id, fill.audience_id)
            continue
        if waiting.isdisjoint(audience_ids(definition)):
            return fill
    return None


async def _follow_timezone(connection: asyncpg.Connection) -> bool:
    """Fill the audiences of an app again whose time zone was changed; False when none was."""
    app_id = await storage.find_moved_app(connection)
    if app_id is None:
        return False
    await lock_apps(connection, [app_id])
    await storage.restart_fills(connection, app_id)
    return True
