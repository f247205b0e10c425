"""What stands before every authorized handler: the token, the scope, an audit row for a refusal."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps

from aiohttp import web

from audience.apps.access import CALLER
from audience.apps.audit.operations import REFUSED, record_audit_entry
from audience.apps.credentials.operations import authenticate
from audience.errors import Forbidden
from audience.server import clock
from audience.server.keys import DATABASE, SETTINGS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def authorized(handler: Handler, permissions: Mapping[str, str]) -> Handler:
    """The handler behind authentication; its name is the operation in the table of permissions.

    Errors: Unauthenticated (401) without a valid token, Forbidden (403) without the scope; the
    latter leaves an audit row. KeyError at start-up when the table lacks the operation.
    """
    operation = handler.__name__
    scope = permissions[operation]

    @wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        now = clock.now()
        async with request.app[DATABASE].transaction() as conn:
            caller = await authenticate(
                conn,
                request.headers.get("Authorization"),
                request.app[SETTINGS].token_issuer,
                now,
            )
            is_allowed = caller.may(scope)
            if not is_allowed:
                await record_audit_entry(conn, caller, operation, now=now, outcome=REFUSED)
        if not is_allowed:
            held = ", ".join(sorted(caller.scopes)) or "none"
            message = f"this needs the scope {scope}; the credential has {held}"
            raise Forbidden(message, code="missing_scope")
        request[CALLER] = caller
        return await handler(request)

    return handle
