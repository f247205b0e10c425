"""Every URL of the audience manager, one line each; both mount prefixes (contract D0)."""

from aiohttp import web

from audience.audiences import handlers as audiences
from audience.profile_changes import handlers as profile_changes
from audience.profiles import handlers as profiles
from audience.server import health, metrics
from audience.server.surface import Handler, SlashedPath

#: `/audiences` is the documented prefix, `/data` the one of the mobile SDKs (D0.1, D0.2, D0.9).
PREFIXES = ("/audiences", "/data")
_VISITOR = "/public/api/profiles/{analytics_visitor_id}"
_SLASH = "{slash:/?}"

#: The router tries paths with a visitor ID in this order: the hottest comes first.
PUBLIC_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/tracker/attributes", profile_changes.modify_attributes),
    ("POST", "/tracker/forms", profile_changes.submit_form),
    ("GET", f"{_VISITOR}/audiences/check", audiences.check_audience),
    ("GET", f"{_VISITOR}/attributes", profiles.get_attributes),
    ("GET", f"{_VISITOR}/audiences", audiences.list_audiences),
)

TOP_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/ppms.php", profile_changes.drop_analytics),
    ("POST", "/ppms.php", profile_changes.drop_analytics),
    ("GET", "/piwik.php", profile_changes.drop_analytics),
    ("POST", "/piwik.php", profile_changes.drop_analytics),
    ("GET", "/healthz", health.healthz),
    ("GET", "/readyz", health.readyz),
    ("GET", "/metrics", metrics.show_metrics),
)


def add_audience_routes(app: web.Application, root_path: str) -> None:
    """Register every route with and without trailing slash, below the root path (D0.10, D0.11)."""
    for prefix in PREFIXES:
        for method, path, handler in PUBLIC_ROUTES:
            _add(app, method, f"{root_path}{prefix}{path}", handler)
    for method, path, handler in TOP_ROUTES:
        # Health checks come from the inside, without the proxy's path; the rest may have it.
        for root in {root_path, ""}:
            _add(app, method, f"{root}{path}", handler)
    app.router.register_resource(SlashedPath(app.router))
    app.cleanup_ctx.extend(
        (
            profile_changes.hold_writes,
            profiles.hold_attribute_reads,
            audiences.hold_membership_reads,
        )
    )


def _add(app: web.Application, method: str, path: str, handler: Handler) -> None:
    if method == "GET":
        app.router.add_get(path + _SLASH, handler)
    else:
        app.router.add_route(method, path + _SLASH, handler)
