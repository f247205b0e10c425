"""The background job of conversions: one bounded step at a time."""

import asyncio

from aiohttp import web

from audience.profile_changes.type_conversions import storage
from audience.profile_changes.type_conversions.operations import (
    convert_next_values,
    finish_conversion,
)
from audience.server import clock
from audience.server.database import raw
from audience.server.keys import DATABASE


async def convert_attributes(app: web.Application) -> bool:
    """One step of the oldest conversion; False when none is left."""
    loop = asyncio.get_running_loop()
    async with app[DATABASE].transaction() as conn:
        driver = await raw(conn)
        found = await storage.find_unfinished(driver)
        if found is None:
            return False
        started = loop.time()
        ended = await convert_next_values(driver, found)
    if ended is not None:
        async with app[DATABASE].transaction() as conn:
            await finish_conversion(await raw(conn), ended, clock.now())
    # The writers of the app get as much time as the step took.
    await asyncio.sleep(loop.time() - started)
    return True
