"""The application: the only module that knows both packages."""

from collections.abc import AsyncIterator

from aiohttp import web

from audience.public import ERASERS
from audience.routes import (
    AUTH_ROUTES,
    AUTHORIZED_ROUTES,
    DOCUMENTATION_ROUTES,
    JOBS,
    add_audience_routes,
    add_authorized_routes,
    add_slashed_paths,
    private_surfaces,
)
from audience.server.database import Database
from audience.server.hot_routes import HOT_ROUTES, HotRoutes
from audience.server.jobs import hold_jobs
from audience.server.keys import DATABASE, SETTINGS
from audience.server.openapi_page import OPENAPI
from audience.server.request_body import MAX_BODY_BYTES
from audience.server.settings import Settings
from audience.server.surface import all_surfaces
from consent import routes
from consent import tables as _tables  # noqa: F401 - puts them on the one MetaData
from consent.api_description import api_description
from consent.demo import Demo
from consent.demo_page import add_demo_page
from consent.permissions import PERMISSIONS


def create_app(
    settings: Settings, database_url: str, *, with_jobs: bool = True, demo: Demo | None = None
) -> web.Application:
    """The service as an aiohttp application; it connects to the database when first asked.

    with_jobs: also do the work in the background. demo: shown on a page of its own.
    """
    private = [
        *AUTH_ROUTES,
        *DOCUMENTATION_ROUTES,
        *AUTHORIZED_ROUTES,
        *routes.AUTHORIZED_ROUTES,
        *routes.PAGE_ROUTES,
        *routes.OPENDSR_ROUTES,
        *routes.OPENDSR_AUTHORIZED_ROUTES,
    ]
    surfaces = all_surfaces(
        (
            *private_surfaces(settings.root_path),
            *routes.private_surfaces(settings.root_path),
        ),
        [handler.__name__ for _, _, handler in private],
    )
    app = web.Application(middlewares=[surfaces], client_max_size=MAX_BODY_BYTES)
    app[SETTINGS] = settings
    app[DATABASE] = Database(database_url)
    app[OPENAPI] = api_description(settings.root_path)
    app[HOT_ROUTES] = HotRoutes(app, surfaces)
    app.cleanup_ctx.append(_close_database)
    add_audience_routes(app, settings.root_path)
    routes.add_consent_routes(app, settings.root_path)
    authorized = (*routes.AUTHORIZED_ROUTES, *routes.OPENDSR_AUTHORIZED_ROUTES)
    add_authorized_routes(app, settings.root_path, authorized, PERMISSIONS)
    # Before the profiles': locks are taken in this order everywhere.
    app[ERASERS][:0] = routes.ERASERS
    if demo is not None:
        add_demo_page(app, demo)
    add_slashed_paths(app)
    if with_jobs:
        app.cleanup_ctx.append(hold_jobs((*JOBS, *routes.JOBS)))
    return app


async def _close_database(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[DATABASE].close()
