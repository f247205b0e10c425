"""Creating and listing apps."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from audience.apps import storage
from audience.apps.storage import App
from audience.errors import Conflict, Invalid, InvalidParameter, NotFound

DEFAULT_ORGANIZATION = "default"
DEMO_APP_NAME = "Demo"
MAX_NAME_CHARACTERS = 100


async def create_app(conn: AsyncConnection, app: App, organization_id: str, now: datetime) -> App:
    """Store a new app, and its organization (with the given id) when that does not exist.

    Errors: Invalid for an empty or over-long name; Conflict when the app id is taken.
    """
    for field, value in (("name", app.name), ("organization", app.organization)):
        check_name(field, value)
    owner = await storage.ensure_organization(conn, organization_id, app.organization, now)
    if not await storage.insert_app(conn, app, owner, now):
        message = f"an app with the id {app.app_id} exists already"
        raise Conflict(message, path="id")
    return app


async def get_app(conn: AsyncConnection, app_id: str) -> App:
    """The app.  Errors: NotFound naming the id."""
    app = await storage.find_app(conn, app_id)
    if app is None:
        message = f"there is no app with the id {app_id}; `audience-consent apps list` shows all"
        raise NotFound(message, path="app")
    return app


async def update_app(conn: AsyncConnection, app: App, now: datetime) -> None:
    """Store what changed of the app.  Errors: Invalid for an empty or over-long name."""
    check_name("name", app.name)
    await storage.save_app(conn, app, now)


async def delete_app(conn: AsyncConnection, app: App, confirmation: str, now: datetime) -> None:
    """Hide the app from everybody; `deletion.erase_deleted_app` removes its rows.

    Errors: InvalidParameter when the confirmation is not the app's name.
    """
    if confirmation != app.name:
        message = "confirm must be the app's name, to show that it is meant"
        raise InvalidParameter(message, path="confirm")
    await storage.mark_app_deleted(conn, app.app_id, now)


async def ensure_demo_app(
    conn: AsyncConnection, app_id: str, organization_id: str, now: datetime
) -> App:
    """The demo app; made with the given ids when there is none yet.  On repeat: the same app."""
    found = await storage.find_demo_app(conn)
    if found is not None:
        return found
    demo = App(app_id, DEMO_APP_NAME, DEFAULT_ORGANIZATION, is_demo=True)
    owner = await storage.ensure_organization(conn, organization_id, demo.organization, now)
    await storage.insert_app(conn, demo, owner, now)
    return await storage.find_demo_app(conn) or demo


def check_name(field: str, value: str) -> None:
    """Errors: Invalid for a name that is blank, too long or can't be stored."""
    if not value.strip() or len(value) > MAX_NAME_CHARACTERS or "\x00" in value:
        message = f"{field} must have 1 to {MAX_NAME_CHARACTERS} characters"
        raise Invalid(message, path=field)
