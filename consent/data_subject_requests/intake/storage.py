"""All SQL of taking requests in that is about the app."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.tables import consent_settings


async def find_origins(conn: AsyncConnection, app_id: str) -> list[str]:
    """The host names from which the app collects; empty: from all."""
    found = await conn.scalar(
        select(consent_settings.c.origins).where(consent_settings.c.app_id == UUID(app_id))
    )
    return list(found or ())
