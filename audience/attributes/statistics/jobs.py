"""The background job of attribute statistics."""

import asyncio
from datetime import timedelta

from aiohttp import web

from audience.attributes.statistics import storage
from audience.server import clock
from audience.server.database import raw
from audience.server.keys import DATABASE

MOST_COMMON = 5
#: An app is counted again after this long, or after so many times what counting took.
_REFRESH_AFTER = timedelta(minutes=15)
_SHARE_OF_TIME = 100


async def count_due_attributes(app: web.Application) -> bool:
    """One step: count the attributes of the app that is due longest; False when none is.

    Counting never takes more than a hundredth of the time.
    """
    loop = asyncio.get_running_loop()
    now = clock.now()
    async with app[DATABASE].transaction() as conn:
        driver = await raw(conn)
        app_id = await storage.find_due_app(driver, now)
        if app_id is None:
            return False
        started = loop.time()
        counted = await storage.count_attributes(driver, app_id, MOST_COMMON)
        took = timedelta(seconds=loop.time() - started)
    due_at = now + max(_REFRESH_AFTER, took * _SHARE_OF_TIME)
    # A transaction of its own: whoever deletes a profile meanwhile does not wait for the count.
    async with app[DATABASE].transaction() as conn:
        await storage.save_statistics(await raw(conn), app_id, counted, now, due_at)
    return True
