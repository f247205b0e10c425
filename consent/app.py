"""The application: the only module that knows both packages."""

from collections.abc import AsyncIterator

from aiohttp import web

from audience.routes import add_audience_routes
from audience.server.database import Database
from audience.server.keys import DATABASE, SETTINGS
from audience.server.request_body import MAX_BODY_BYTES
from audience.server.settings import Settings
from audience.server.surface import public_surface


def create_app(settings: Settings, database_url: str) -> web.Application:
    """The service as an aiohttp application; it connects to the database when first asked."""
    app = web.Application(middlewares=[public_surface()], client_max_size=MAX_BODY_BYTES)
    app[SETTINGS] = settings
    app[DATABASE] = Database(database_url)
    app.cleanup_ctx.append(_close_database)
    add_audience_routes(app, settings.root_path)
    return app


async def _close_database(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[DATABASE].close()
