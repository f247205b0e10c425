"""Removing what a deleted app leaves behind: a job of bounded steps, safe to run twice.

An app may have millions of profiles; removing them in one transaction would hold everybody else up.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.apps import storage
from audience.server.keys import DATABASE

#: Removes a bounded share of an app's rows; True when it found any.
Eraser = Callable[[AsyncConnection, str], Awaitable[bool]]

#: Each feature with many rows adds its own, in the order in which they are to run.
ERASERS = web.AppKey("app_erasers", list[Eraser])


async def erase_deleted_app(app: web.Application) -> bool:
    """One step: some rows of a deleted app, or its own row when nothing else is left.

    False also while somebody still adds to the app, an upload perhaps: its row is for later.
    """
    async with app[DATABASE].transaction() as conn:
        app_id = await storage.find_deleted_app_id(conn)
        if app_id is None:
            return False
        for erase in app[ERASERS]:
            if await erase(conn, app_id):
                return True
        return await storage.delete_app(conn, app_id)
