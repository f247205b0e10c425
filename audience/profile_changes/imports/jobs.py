"""The background job of imports: one bounded step at a time."""

import asyncio
from datetime import timedelta

from aiohttp import web

from audience.profile_changes.imports import storage
from audience.profile_changes.imports.apply import apply_next_rows
from audience.profile_changes.operations import Counts
from audience.server import clock, metrics
from audience.server.database import raw
from audience.server.keys import DATABASE

#: Imports are kept for so long after they are done.
KEPT_FOR = timedelta(days=90)


async def apply_imports(app: web.Application) -> bool:
    """One step: the next rows of the oldest import; False when none is left."""
    database = app[DATABASE]
    async with database.transaction() as conn:
        connection = await raw(conn)
        key = await storage.find_unfinished(connection)
        if key is None:
            await storage.delete_old_imports(connection, clock.now() - KEPT_FOR)
            return False
    loop = asyncio.get_running_loop()
    started = loop.time()
    await apply_next_rows(database, *key, _count)
    # The writers of the app get as much time as the rows took.
    await asyncio.sleep(loop.time() - started)
    return True


def _count(counts: Counts) -> None:
    metrics.MERGES.inc(counts.merges)
    for reason, count in counts.refusals.items():
        metrics.MERGE_REFUSALS.labels(reason).inc(count)
