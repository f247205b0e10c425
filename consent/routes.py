"""Every URL of the consent service, one line each."""

from aiohttp import web

from audience.server.surface import Handler
from consent.decisions import handlers as decisions
from consent.decisions.erasing.operations import erase_some_consents

_SLASH = "{slash:/?}"

#: Need no token.
PUBLIC_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/consent/collect", decisions.collect),
)

#: Need a token with the scope that `permissions.py` has for the handler's name.
AUTHORIZED_ROUTES: tuple[tuple[str, str, Handler], ...] = ()

#: Remove the many rows of a deleted app.
ERASERS = (erase_some_consents,)


def add_consent_routes(app: web.Application, root_path: str) -> None:
    """Register the public routes with and without trailing slash, below the root path."""
    for method, path, handler in PUBLIC_ROUTES:
        if method == "GET":
            app.router.add_get(f"{root_path}{path}{_SLASH}", handler)
        else:
            app.router.add_route(method, f"{root_path}{path}{_SLASH}", handler)
    app.cleanup_ctx.append(decisions.hold_collects)
