"""What every handler may ask the application for."""

from aiohttp import web

from audience.server.database import Database
from audience.server.settings import Settings

SETTINGS = web.AppKey("settings", Settings)
DATABASE = web.AppKey("database", Database)
