"""Removing a deleted app's consents: a step of the job that removes deleted apps."""

from sqlalchemy.ext.asyncio import AsyncConnection

from audience.server.database import raw
from consent.decisions.erasing import storage

_ERASED_AT_ONCE = 5000


async def erase_some_consents(conn: AsyncConnection, app_id: str) -> bool:
    """Remove up to 5,000 rows of a deleted app; False: none is left.  Safe to run twice.

    This is the only way in which decisions are ever deleted.
    """
    return await storage.delete_some_consents(await raw(conn), app_id, _ERASED_AT_ONCE)
