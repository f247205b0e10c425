"""All SQL of organizations and apps."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.tables import apps, organizations


@dataclass(frozen=True, slots=True)
class App:
    """One site or application; organization is the organization's name."""

    app_id: str
    name: str
    organization: str
    is_demo: bool = False


async def ensure_organization(conn: AsyncConnection, new_id: str, name: str, now: datetime) -> UUID:
    """The organization's id; it is made when it does not exist.  On repeat: the same id."""
    await conn.execute(
        insert(organizations)
        .values(organization_id=UUID(new_id), name=name, created_at=now)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    found = await conn.execute(
        select(organizations.c.organization_id).where(organizations.c.name == name)
    )
    organization_id: UUID = found.scalar_one()
    return organization_id


async def insert_app(conn: AsyncConnection, app: App, organization_id: UUID, now: datetime) -> bool:
    """Store a new app; False when the id (or the one demo app) exists already."""
    result = await conn.execute(
        insert(apps)
        .values(
            app_id=UUID(app.app_id),
            organization_id=organization_id,
            name=app.name,
            is_demo=app.is_demo,
            created_at=now,
        )
        .on_conflict_do_nothing()
    )
    return result.rowcount == 1


async def find_app(conn: AsyncConnection, app_id: str) -> App | None:
    """The app or None."""
    rows = await conn.execute(_SELECT_APPS.where(apps.c.app_id == UUID(app_id)))
    row = rows.one_or_none()
    return None if row is None else _app(row)


async def find_demo_app(conn: AsyncConnection) -> App | None:
    """The demo app of this installation, or None; there is at most one."""
    row = (await conn.execute(_SELECT_APPS.where(apps.c.is_demo))).one_or_none()
    return None if row is None else _app(row)


async def list_apps(conn: AsyncConnection) -> list[App]:
    """Every app, oldest first."""
    rows = await conn.execute(_SELECT_APPS.order_by(apps.c.created_at, apps.c.app_id))
    return [_app(row) for row in rows]


_SELECT_APPS = select(
    apps.c.app_id, apps.c.name, organizations.c.name.label("organization"), apps.c.is_demo
).join_from(apps, organizations)


def _app(row: object) -> App:
    return App(
        app_id=str(row.app_id),  # type: ignore[attr-defined]
        name=row.name,  # type: ignore[attr-defined]
        organization=row.organization,  # type: ignore[attr-defined]
        is_demo=row.is_demo,  # type: ignore[attr-defined]
    )
