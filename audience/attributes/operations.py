"""The attribute whitelist: what the public API may show. Nothing is on it by default."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from audience.apps.operations import get_app
from audience.attributes import storage
from audience.errors import Invalid

FIELD_TYPES = ("attributes", "analytics")
MAX_NAME_CHARACTERS = 255


async def allow_attribute(
    conn: AsyncConnection, app_id: str, field_type: str, name: str, now: datetime
) -> bool:
    """Let the public API show the attribute; False when it was allowed already.

    The attribute need not have been written yet. In force from the next public read.
    Errors: NotFound for the app, Invalid for the name.
    """
    _check_name(name)
    await get_app(conn, app_id)
    return await storage.insert_whitelisted(conn, app_id, field_type, name, now)


async def deny_attribute(conn: AsyncConnection, app_id: str, field_type: str, name: str) -> bool:
    """Hide the attribute from the public API; False when it was not allowed.

    Errors: NotFound for the app, Invalid for the name.
    """
    _check_name(name)
    await get_app(conn, app_id)
    return await storage.delete_whitelisted(conn, app_id, field_type, name)


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or "\x00" in name:
        message = f"name must have 1 to {MAX_NAME_CHARACTERS} characters without NUL"
        raise Invalid(message, path="name")
