"""Every URL of the audience manager, one line each; both mount prefixes (contract D0)."""

from collections.abc import Mapping

from aiohttp import web

from audience.apps import deletion
from audience.apps import handlers as apps
from audience.apps.audit import handlers as audit
from audience.apps.authorization import authorized
from audience.apps.tokens import handlers as tokens
from audience.attributes.catalogue import handlers as attributes
from audience.audiences import handlers as audiences
from audience.audiences.catalogue import handlers as catalogue
from audience.audiences.definition_schema import definition_schemas
from audience.audiences.insight import handlers as insight
from audience.audiences.upkeep.jobs import JOBS as AUDIENCE_JOBS
from audience.permissions import PERMISSIONS
from audience.profile_changes import handlers as profile_changes
from audience.profile_changes.analytics_facts import handlers as analytics_facts
from audience.profile_changes.analytics_facts import operations as analytics_facts_operations
from audience.profile_changes.curation import handlers as curation
from audience.profile_changes.erasure import operations as erasure
from audience.profile_changes.imports import apply as imports_apply
from audience.profile_changes.imports import handlers as imports
from audience.profile_changes.imports import jobs as imports_jobs
from audience.profile_changes.type_conversions import handlers as type_conversions
from audience.profile_changes.type_conversions import jobs as type_conversions_jobs
from audience.profiles import handlers as profiles
from audience.profiles import operations as profile_operations
from audience.profiles.attribute_statistics import jobs as attribute_statistics
from audience.profiles.authorized import handlers as profile_reads
from audience.profiles.export import handlers as export
from audience.server import docs_pages, health, metrics, openapi_page
from audience.server.hot_routes import HOT_ROUTES
from audience.server.jobs import Job
from audience.server.json_api import error_response, plain_error
from audience.server.static_files import built_file
from audience.server.surface import Handler, SlashedPath, Surface

#: `/audiences` is the documented prefix, `/data` the one of the mobile SDKs (D0.1, D0.2, D0.9).
PREFIXES = ("/audiences", "/data")
_VISITOR = "/public/api/profiles/{analytics_visitor_id}"
_SLASH = "{slash:/?}"
_API = "/api/audiences/v1"

#: The router tries paths with a visitor ID in this order: the hottest comes first.
PUBLIC_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/tracker/attributes", profile_changes.modify_attributes),
    ("POST", "/tracker/forms", profile_changes.submit_form),
    ("GET", f"{_VISITOR}/audiences/check", audiences.check_audience),
    ("GET", f"{_VISITOR}/attributes", profiles.get_attributes),
    ("GET", f"{_VISITOR}/audiences", audiences.list_audiences),
)

#: The scripts that pages load; their addresses never change (decision 10 of the contract).
WIDGET_ROUTES: tuple[tuple[str, str, Handler], ...] = tuple(
    ("GET", f"/static/widget/{name}", built_file(name))
    for script in ("audience-manager.api.min.js", "audience-manager.form.min.js")
    for name in (script, f"{script}.map")
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


#: Need no token; refuse as OAuth 2 has it.
AUTH_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/auth/token", tokens.create_token),
    ("GET", "/auth/jwks.json", tokens.show_public_keys),
)

#: {name: JSON schema} of what the API takes besides the schemas of its handlers.
SCHEMAS = definition_schemas()

#: Describe the API; need no token.
DOCUMENTATION_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/api/openapi.json", openapi_page.show_openapi),
    ("GET", "/api/docs", openapi_page.show_api_docs),
)

#: Pages for people.
PAGE_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/docs/{name:[a-z-]+}", docs_pages.show_docs),
)

#: Need a token with the scope that `permissions.py` has for the handler's name.
AUTHORIZED_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/api/apps/v2", apps.list_apps),
    ("POST", "/api/apps/v2", apps.create_app),
    ("GET", "/api/apps/v2/{app_id}", apps.get_app),
    ("PATCH", "/api/apps/v2/{app_id}", apps.update_app),
    ("DELETE", "/api/apps/v2/{app_id}", apps.delete_app),
    ("GET", "/api/audit/v1/entries", audit.list_audit_entries),
    ("GET", f"{_API}/audiences", catalogue.list_app_audiences),
    ("POST", f"{_API}/audiences", catalogue.create_audience),
    ("POST", f"{_API}/audiences/preview", insight.preview_audience),
    ("GET", f"{_API}/audiences/{{audience_id}}", catalogue.get_audience),
    ("PUT", f"{_API}/audiences/{{audience_id}}", catalogue.replace_audience),
    ("DELETE", f"{_API}/audiences/{{audience_id}}", catalogue.delete_audience),
    ("POST", f"{_API}/audiences/{{audience_id}}/explain", insight.explain_audience),
    ("GET", f"{_API}/attributes", attributes.list_attributes),
    ("POST", f"{_API}/attributes", type_conversions.create_attribute),
    ("PATCH", f"{_API}/attributes", type_conversions.update_attribute),
    ("PATCH", f"{_API}/attributes/{{attribute_id}}", type_conversions.update_attribute),
    ("POST", f"{_API}/analytics", analytics_facts.add_facts),
    ("POST", f"{_API}/profiles", export.export_profiles),
    ("GET", f"{_API}/profiles/get", profile_reads.find_profiles),
    ("POST", f"{_API}/profiles/import", imports.import_profiles),
    ("GET", f"{_API}/profiles/import", imports.list_imports),
    ("GET", f"{_API}/profiles/import/{{import_id}}", imports.get_import),
    ("GET", f"{_API}/profiles/{{profile_id}}", profile_reads.get_profile),
    ("DELETE", f"{_API}/profiles/{{profile_id}}", curation.delete_profile),
    ("GET", f"{_API}/profiles/{{profile_id}}/merges", profile_reads.list_merges),
    ("POST", f"{_API}/profiles/{{profile_id}}/merge", curation.merge_profiles),
    ("POST", f"{_API}/profiles/{{profile_id}}/split", curation.split_profile),
    ("POST", f"{_API}/merges/{{merge_id}}/undo", curation.undo_merge),
)

JOBS: tuple[Job, ...] = (
    Job("erase deleted apps", 5, deletion.erase_deleted_app),
    Job("finish erasures", 5, erasure.finish_erasures),
    Job("apply imports", 2, imports_jobs.apply_imports),
    Job("convert attributes", 2, type_conversions_jobs.convert_attributes),
    Job("count attributes", 30, attribute_statistics.count_due_attributes),
    *AUDIENCE_JOBS,
)

#: Remove the many rows of a deleted app, in this order.
ERASERS: tuple[deletion.Eraser, ...] = (
    profile_operations.erase_some_profiles,
    analytics_facts_operations.erase_some_counted_events,
    imports_apply.erase_some_import_rows,
)


def private_surfaces(root_path: str) -> tuple[Surface, ...]:
    """The parts of the service that refuse in forms of their own and have no CORS (D2.4)."""
    return (
        Surface(f"{root_path}/api/", error_response, plain_error),
        Surface(
            f"{root_path}/auth/",
            lambda _request, error: tokens.oauth_error(error),
            tokens.oauth_failure,
        ),
    )


def add_authorized_routes(
    app: web.Application,
    root_path: str,
    routes: tuple[tuple[str, str, Handler], ...],
    permissions: Mapping[str, str],
) -> None:
    """Register routes behind authentication.  Errors: KeyError for one without a permission."""
    for method, path, handler in routes:
        _add(app, method, f"{root_path}{path}", authorized(handler, permissions))


def add_audience_routes(app: web.Application, root_path: str) -> None:
    """Register every route with and without trailing slash, below the root path (D0.10, D0.11)."""
    for prefix in PREFIXES:
        for method, path, handler in PUBLIC_ROUTES:
            route = _add(app, method, f"{root_path}{prefix}{path}", handler)
            app[HOT_ROUTES].add(method, f"{root_path}{prefix}{path}", route)
        for method, path, handler in WIDGET_ROUTES:
            _add(app, method, f"{root_path}{prefix}{path}", handler)
    for method, path, handler in TOP_ROUTES:
        # Health checks come from the inside, without the proxy's path; the rest may have it.
        for root in {root_path, ""}:
            _add(app, method, f"{root}{path}", handler)
    for method, path, handler in (*AUTH_ROUTES, *DOCUMENTATION_ROUTES, *PAGE_ROUTES):
        _add(app, method, f"{root_path}{path}", handler)
    add_authorized_routes(app, root_path, AUTHORIZED_ROUTES, PERMISSIONS)
    app[deletion.ERASERS] = list(ERASERS)
    app.cleanup_ctx.extend(
        (
            profile_changes.hold_writes,
            profiles.hold_attribute_reads,
            export.hold_exports,
            imports.hold_imports,
            audiences.hold_membership_reads,
        )
    )


def _add(app: web.Application, method: str, path: str, handler: Handler) -> web.AbstractRoute:
    if method == "GET":
        return app.router.add_get(path + _SLASH, handler)
    return app.router.add_route(method, path + _SLASH, handler)


def add_slashed_paths(app: web.Application) -> None:
    """Find paths with doubled slashes too; to be called once all routes are there."""
    app.router.register_resource(SlashedPath(app.router))
