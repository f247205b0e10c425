"""Who calls the authorized API, and the only way from there to an app.

Source: contract D4; issue "Audiences and the authorized API", Access.
"""

from collections.abc import Collection
from dataclasses import dataclass

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.apps import storage
from audience.apps.storage import App
from audience.errors import NotFound

READ, WRITE, PRIVACY, ADMIN = "read", "write", "privacy", "admin"
SCOPES = (READ, WRITE, PRIVACY, ADMIN)
#: What a scope includes besides itself.
_INCLUDES = {WRITE: {READ}, ADMIN: {READ, WRITE, PRIVACY}}


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client: one credential of one organization.

    credential_id: empty for the operator on the machine.
    """

    credential_id: str
    name: str
    organization_id: str
    organization: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the credential has the scope, or one that includes it."""
        return any(scope == held or scope in _INCLUDES.get(held, ()) for held in self.scopes)


CALLER = web.RequestKey("caller", Caller)


def caller_of(request: web.Request) -> Caller:
    """Who sent this authorized request."""
    return request[CALLER]


async def access_app(
    conn: AsyncConnection, caller: Caller, app_id: str, *, is_to_change: bool = False
) -> App:
    """The app, when it belongs to the caller's organization.

    is_to_change: of settings, which are read, changed in part and stored: its row is locked until
    the end of the transaction, so that of two changes at once none is lost.
    Errors: NotFound, the same for somebody else's app as for one that does not exist.
    """
    app = await storage.find_app(conn, app_id, is_to_change=is_to_change)
    if app is None or app.organization_id != caller.organization_id:
        message = f"there is no app with the id {app_id}"
        raise NotFound(message, path="website_id")
    return app


def check_scopes(scopes: Collection[str]) -> frozenset[str]:
    """The scopes as a set.  Errors: ValueError naming the first that does not exist."""
    for scope in scopes:
        if scope not in SCOPES:
            message = f"{scope!r} is not a scope: expected some of {', '.join(SCOPES)}"
            raise ValueError(message)
    return frozenset(scopes)
