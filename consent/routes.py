"""Every URL of the consent service, one line each."""

from aiohttp import web

from audience.server.hot_routes import HOT_ROUTES
from audience.server.jobs import Job
from audience.server.surface import Handler, Surface
from consent.data_subject_requests.execution import handlers as execution
from consent.data_subject_requests.execution.exports import handlers as exports
from consent.data_subject_requests.handling import handlers as requests
from consent.data_subject_requests.opendsr import handlers as opendsr
from consent.data_subject_requests.setting_up import REQUEST_JOBS, set_up_requests
from consent.data_subject_requests.settings import handlers as request_settings
from consent.data_subject_requests.verification import handlers as verification
from consent.decisions import handlers as decisions
from consent.decisions.erasing.operations import erase_some_consents
from consent.decisions.expiry.operations import expire_consents
from consent.decisions.history import handlers as history
from consent.decisions.statistics import handlers as statistics
from consent.decisions.statistics.operations import close_days
from consent.forms import container_handlers as containers
from consent.forms import handlers as forms

_SLASH = "{slash:/?}"
_API = "/api/consents/v1"
_PRIVACY = "/api/privacy/v1"
_REQUESTS = f"{_PRIVACY}/requests"

#: Need no token.
PUBLIC_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/consent/collect", decisions.collect),
    ("GET", "/containers/{app_id}.sync.js", containers.show_container),
    ("GET", "/containers/{app_id}.js", containers.show_container),
    ("GET", "/containers/{app_id}/noscript.html", containers.show_noscript),
    ("GET", "/containers/{app_id}/privacy-templates.json", containers.show_templates),
    ("GET", "/containers/{app_id}/privacy-widgets.json", containers.show_widgets),
    ("GET", "/audiences/static/widget/consent-widgets.min.js", containers.show_widgets_script),
    ("GET", "/.well-known/gpc.json", containers.show_gpc),
)

#: Found before the router is asked.
_BUSY = {"/consent/collect"}

#: Small pages for people; they refuse as pages and have no CORS.
PAGE_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/privacy/confirm/{link}", verification.show_confirmation),
    ("POST", "/privacy/confirm/{link}", verification.confirm_request),
    ("GET", "/privacy/exports/{secret}", exports.download_by_link),
)

#: Need no token; refuse as OpenDSR has it.
OPENDSR_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/opendsr/v1/discovery", opendsr.discover_opendsr),
    ("GET", "/opendsr/v1/certificate.pem", opendsr.show_certificate),
)

#: The same, with a token.
OPENDSR_AUTHORIZED_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/opendsr/v1/requests", opendsr.submit_opendsr_request),
    ("GET", "/opendsr/v1/requests/{subject_request_id}", opendsr.get_opendsr_request),
    ("DELETE", "/opendsr/v1/requests/{subject_request_id}", opendsr.cancel_opendsr_request),
)

#: Need a token with the scope that `permissions.py` has for the handler's name.
AUTHORIZED_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", f"{_API}/settings", forms.get_consent_settings),
    ("PATCH", f"{_API}/settings", forms.update_consent_settings),
    ("GET", f"{_API}/forms", forms.list_consent_texts),
    ("POST", f"{_API}/forms/publish", forms.publish_consent_text),
    ("GET", f"{_API}/versions", forms.list_consent_text_versions),
    ("GET", f"{_API}/versions/{{history_id}}", forms.get_consent_text_version),
    ("GET", f"{_API}/visitors/{{visitor_id}}/history", history.list_consent_history),
    ("GET", f"{_API}/visitors/{{visitor_id}}/state", history.get_consent_state),
    ("GET", f"{_API}/visitors/{{visitor_id}}/receipt", history.get_consent_receipt),
    ("GET", f"{_API}/history/export", history.export_consent_history),
    ("GET", f"{_API}/statistics", statistics.get_consent_statistics),
    ("GET", f"{_PRIVACY}/settings", request_settings.get_request_settings),
    ("PATCH", f"{_PRIVACY}/settings", request_settings.update_request_settings),
    ("GET", _REQUESTS, requests.list_requests),
    ("POST", _REQUESTS, requests.create_request),
    ("GET", f"{_REQUESTS}/{{request_id}}", requests.get_request),
    ("PATCH", f"{_REQUESTS}/{{request_id}}", requests.update_request),
    ("POST", f"{_REQUESTS}/{{request_id}}/verify", requests.verify_request),
    ("POST", f"{_REQUESTS}/{{request_id}}/extend", requests.extend_request),
    ("GET", f"{_REQUESTS}/{{request_id}}/preview", execution.preview_request),
    ("POST", f"{_REQUESTS}/{{request_id}}/preview", execution.preview_execution),
    ("POST", f"{_REQUESTS}/{{request_id}}/execute", execution.execute_request),
    ("GET", f"{_REQUESTS}/{{request_id}}/execution", execution.get_execution),
    ("GET", f"{_REQUESTS}/{{request_id}}/receipt", execution.get_receipt),
    ("GET", f"{_REQUESTS}/{{request_id}}/export", exports.download_export),
)

JOBS: tuple[Job, ...] = (
    Job("close consent days", 60, close_days),
    Job("expire consents", 300, expire_consents),
    *REQUEST_JOBS,
)

#: Remove the many rows of a deleted app.
ERASERS = (erase_some_consents,)


def add_consent_routes(app: web.Application, root_path: str) -> None:
    """Register the public routes with and without trailing slash, below the root path."""
    for method, path, handler in (*PUBLIC_ROUTES, *PAGE_ROUTES, *OPENDSR_ROUTES):
        if method == "GET":
            app.router.add_get(f"{root_path}{path}{_SLASH}", handler)
            continue
        route = app.router.add_route(method, f"{root_path}{path}{_SLASH}", handler)
        if path in _BUSY:
            app[HOT_ROUTES].add(method, f"{root_path}{path}", route)
    containers.keep_container_answers(app)
    set_up_requests(app)
    app.cleanup_ctx.append(decisions.hold_collects)


def private_surfaces(root_path: str) -> tuple[Surface, ...]:
    """The parts of the consent service that refuse in forms of their own and have no CORS."""
    return (
        Surface(f"{root_path}/privacy/", verification.refuse_page, verification.fail_page),
        Surface(
            f"{root_path}/opendsr/",
            opendsr.refuse_opendsr,
            opendsr.fail_opendsr,
            opendsr.seal_opendsr,
        ),
    )
