"""Authorized reads of profiles, and the end of all profiles of an app."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from audience.apps.operations import get_app
from audience.errors import Invalid
from audience.profiles import storage
from audience.profiles.identifiers import ANALYTICS_VISITOR_ID, parse_identifier
from audience.profiles.profile import profile_document
from audience.server.database import raw

_ERASED_AT_ONCE = 1000


async def find_profile_documents(
    conn: AsyncConnection, app_id: str, identifier_name: str, value: str
) -> list[dict[str, Any]]:
    """The documents (contract B) of the profiles that hold the identifier, newest update first.

    Errors: NotFound for the app, Invalid for a value that can't be an identifier of that kind.
    """
    identifier = parse_identifier(identifier_name, value)
    if identifier is None:
        is_visitor = identifier_name == ANALYTICS_VISITOR_ID
        expected = "must be 16 hex digits" if is_visitor else "must not be empty"
        message = f"value {expected} for the identifier {identifier_name}"
        raise Invalid(message, path="value")
    await get_app(conn, app_id)
    found = await storage.find_profiles(await raw(conn), app_id, [identifier])
    found.sort(key=lambda profile: profile.updated_at, reverse=True)
    return [profile_document(app_id, profile) for profile in found]


async def erase_some_profiles(conn: AsyncConnection, app_id: str) -> bool:
    """Remove up to a thousand profiles of a deleted app with all that is theirs; False: none left.

    A step of `apps/deletion.py`; safe to run twice.
    """
    raw_conn = await raw(conn)
    await storage.lock_apps(raw_conn, [app_id])
    return await storage.delete_some_profiles(raw_conn, app_id, _ERASED_AT_ONCE)
