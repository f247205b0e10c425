"""All SQL of taking requests in that is about the app: whence it collects, how many it takes."""

import hashlib
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.data_subject_requests.lifecycle import FORM
from consent.data_subject_requests.storage import ADVISORY_LOCK, first_id_of
from consent.tables import consent_settings
from consent.tables_requests import data_subject_requests


class Limit(NamedTuple):
    """At most so many requests since a moment."""

    most: int
    since: datetime


class Recent(NamedTuple):
    """How many requests came by the form, each counted up to its limit."""

    of_email: int
    of_app: int


async def find_origins(conn: AsyncConnection, app_id: str) -> list[str]:
    """The host names from which the app collects; empty: from all."""
    found = await conn.scalar(
        select(consent_settings.c.origins).where(consent_settings.c.app_id == UUID(app_id))
    )
    return list(found or ())


async def lock_intake(conn: AsyncConnection, app_id: str) -> None:
    """Wait until this transaction is the only one that takes requests to the app in.

    Always the last lock that is taken. Without it many at once would all find the app below its
    limit and pass it together.
    """
    await conn.execute(ADVISORY_LOCK, {"key": intake_lock_key(app_id)})


def intake_lock_key(app_id: str) -> int:
    """The number of the app's lock."""
    digest = hashlib.sha256(f"intake of {app_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


async def count_recent(
    conn: AsyncConnection, app_id: str, email: str, email_limit: Limit, app_limit: Limit
) -> Recent:
    """How many requests visitors have sent to the app lately; looks at no more than the limits."""
    column = data_subject_requests.c
    rows = await conn.execute(
        select(
            _count(app_id, email_limit, column.email == email),
            _count(app_id, app_limit, literal(value=True)),
        )
    )
    return Recent(*rows.one())


def _count(app_id: str, limit: Limit, condition: Any) -> Any:
    column = data_subject_requests.c
    found = (
        select(column.request_id)
        .where(
            # Ids begin with the time: the primary key finds the newest.
            column.app_id == UUID(app_id),
            column.request_id >= first_id_of(limit.since),
            column.channel == FORM,
            condition,
        )
        .limit(limit.most)
        .subquery()
    )
    return select(func.count()).select_from(found).scalar_subquery()
