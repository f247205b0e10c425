"""The background job of attribute statistics."""

import asyncio
from datetime import timedelta

from aiohttp import web

from audience.profiles import storage as profile_storage
from audience.profiles.attribute_statistics import storage
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
        app_id = await storage.find_due_app(driver, clock.now())
        if app_id is None:
            return False
        # Under the lock for a moment: every change until now is in the count, so that a profile
        # that changed later is known to have changed since (`storage.forget_values`).
        await profile_storage.lock_apps(driver, [app_id])
        now = clock.now()
    started = loop.time()
    async with app[DATABASE].transaction() as conn:
        counted = await storage.count_attributes(await raw(conn), app_id, MOST_COMMON)
    took = timedelta(seconds=loop.time() - started)
    due_at = now + max(_REFRESH_AFTER, took * _SHARE_OF_TIME)
    # A transaction of its own: whoever deletes a profile meanwhile does not wait for the count.
    async with app[DATABASE].transaction() as conn:
        await storage.save_statistics(await raw(conn), app_id, counted, now, due_at)
    return True
