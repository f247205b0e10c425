"""All SQL of organizations and apps. An app that is being deleted exists for nobody."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.tables import apps, organizations


@dataclass(frozen=True, slots=True)
class App:
    """One site or application; organization is the organization's name.

    timezone: an IANA name, for days and relative dates. consent_settings: what differs from
    `consent_settings.CONSENT_SETTING_DEFAULTS`.
    """

    app_id: str
    name: str
    organization: str
    is_demo: bool = False
    organization_id: str = ""
    urls: tuple[str, ...] = ()
    timezone: str = "UTC"
    currency: str = "USD"
    consent_settings: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None


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
            urls=list(app.urls),
            timezone=app.timezone,
            currency=app.currency,
            consent_settings=dict(app.consent_settings),
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing()
    )
    return result.rowcount == 1


async def save_app(conn: AsyncConnection, app: App, now: datetime) -> None:
    """Write what may change of an app."""
    await conn.execute(
        update(apps)
        .where(apps.c.app_id == UUID(app.app_id))
        .values(
            name=app.name,
            urls=list(app.urls),
            timezone=app.timezone,
            currency=app.currency,
            consent_settings=dict(app.consent_settings),
            updated_at=now,
        )
    )


async def find_app(conn: AsyncConnection, app_id: str, *, is_to_change: bool = False) -> App | None:
    """The app or None. is_to_change: others who mean to change it wait for this transaction."""
    statement = _SELECT_APPS.where(apps.c.app_id == UUID(app_id))
    if is_to_change:
        statement = statement.with_for_update(of=apps, key_share=True)
    rows = await conn.execute(statement)
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


async def list_apps_of(
    conn: AsyncConnection, organization_id: str, *, search: str, limit: int, offset: int
) -> tuple[list[App], int]:
    """(the organization's apps whose name contains `search`, by name; how many in all)."""
    pattern = "%" + search.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    wanted = (
        apps.c.organization_id == UUID(organization_id),
        apps.c.deleted_at.is_(None),
        apps.c.name.ilike(pattern, escape="\\"),
    )
    count = await conn.scalar(select(func.count()).select_from(apps).where(*wanted))
    rows = await conn.execute(
        _SELECT_APPS.where(*wanted).order_by(apps.c.name, apps.c.app_id).limit(limit).offset(offset)
    )
    return [_app(row) for row in rows], count or 0


async def mark_app_deleted(conn: AsyncConnection, app_id: str, now: datetime) -> None:
    """Hide the app from everybody; the public API refuses it from now on."""
    await conn.execute(
        update(apps)
        .where(apps.c.app_id == UUID(app_id))
        # The place of the demo app is free again at once.
        .values(deleted_at=now, is_audience_manager_enabled=False, is_demo=False)
    )


async def find_deleted_app_id(conn: AsyncConnection) -> str | None:
    """An app that is marked as deleted and still has its row, or None."""
    found = await conn.scalar(
        select(apps.c.app_id)
        .where(apps.c.deleted_at.is_not(None))
        .order_by(apps.c.deleted_at)
        .limit(1)
    )
    return None if found is None else str(found)


async def delete_app(conn: AsyncConnection, app_id: str) -> bool:
    """Remove the row, and with it what few rows still refer to it.

    False when a transaction has added such a row and is not over: it is not waited for, as the
    caller has locks that writes to other apps may be waiting for.
    """
    free = select(apps.c.app_id).where(apps.c.app_id == UUID(app_id))
    free = free.with_for_update(skip_locked=True)
    result = await conn.execute(delete(apps).where(apps.c.app_id.in_(free)))
    return result.rowcount == 1


_SELECT_APPS = (
    select(apps, organizations.c.name.label("organization"))
    .join_from(apps, organizations)
    .where(apps.c.deleted_at.is_(None))
)


def _app(row: Any) -> App:
    return App(
        app_id=str(row.app_id),
        name=row.name,
        organization=row.organization,
        is_demo=row.is_demo,
        organization_id=str(row.organization_id),
        urls=tuple(row.urls),
        timezone=row.timezone,
        currency=row.currency,
        consent_settings=row.consent_settings,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
