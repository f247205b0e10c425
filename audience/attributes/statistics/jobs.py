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
    async with app[DATABASE].transaction() as conn:
        driver = await raw(conn)
        now = clock.now()
        app_id = await storage.find_due_app(driver, now)
        if app_id is None:
            return False
        started = loop.time()
        await storage.count_attributes(driver, app_id, MOST_COMMON, now, now + _REFRESH_AFTER)
        took = timedelta(seconds=loop.time() - started)
        if took * _SHARE_OF_TIME > _REFRESH_AFTER:
            await storage.set_due(driver, app_id, now + took * _SHARE_OF_TIME)
    return True
