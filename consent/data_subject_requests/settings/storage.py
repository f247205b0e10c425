"""All SQL of the settings of data subject requests."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.tables_requests import data_subject_settings


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """One app's settings.

    retention_days: after it a closed request loses its personal content, an unverified one after
    unverified_retention_days. reminder_days: so many days before a request is due the team is
    reminded at team_email; None: at its assignee, when that is an address.
    """

    retention_days: int = 365
    unverified_retention_days: int = 30
    reminder_days: int = 7
    team_email: str | None = None
    team_language: str = "en"


async def get_settings(conn: AsyncConnection, app_id: str) -> RequestSettings:
    """The app's settings, the defaults where it has none."""
    rows = await conn.execute(
        select(data_subject_settings).where(data_subject_settings.c.app_id == UUID(app_id))
    )
    row = rows.one_or_none()
    if row is None:
        return RequestSettings()
    return RequestSettings(**{one.name: getattr(row, one.name) for one in fields(RequestSettings)})


async def save_settings(
    conn: AsyncConnection, app_id: str, settings: RequestSettings, now: datetime
) -> None:
    """Write all of the app's settings."""
    values = {**asdict(settings), "updated_at": now}
    await conn.execute(
        insert(data_subject_settings)
        .values(app_id=UUID(app_id), **values)
        .on_conflict_do_update(index_elements=["app_id"], set_=values)
    )
