"""All SQL of mails that wait to be sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.tables_requests import mails


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail that waits; purpose and parameters: what its composer makes of it."""

    app_id: str
    mail_id: str
    purpose: str
    recipient: str
    language: str
    created_at: datetime
    next_try_at: datetime
    request_id: str | None = None
    parameters: Mapping[str, Any] | None = None
    try_count: int = 0


async def insert_mail(conn: AsyncConnection, mail: Mail) -> None:
    """Store a mail."""
    await conn.execute(
        insert(mails).values(
            app_id=UUID(mail.app_id),
            mail_id=UUID(mail.mail_id),
            request_id=None if mail.request_id is None else UUID(mail.request_id),
            purpose=mail.purpose,
            recipient=mail.recipient,
            language=mail.language,
            parameters=dict(mail.parameters or {}),
            try_count=mail.try_count,
            created_at=mail.created_at,
            next_try_at=mail.next_try_at,
        )
    )


async def find_due_mail(conn: AsyncConnection, now: datetime) -> Mail | None:
    """The mail that has been due longest, its row locked, or None."""
    rows = await conn.execute(
        select(mails)
        .where(mails.c.next_try_at <= now)
        .order_by(mails.c.next_try_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = rows.one_or_none()
    if row is None:
        return None
    return Mail(
        app_id=str(row.app_id),
        mail_id=str(row.mail_id),
        purpose=row.purpose,
        recipient=row.recipient,
        language=row.language,
        created_at=row.created_at,
        next_try_at=row.next_try_at,
        request_id=None if row.request_id is None else str(row.request_id),
        parameters=row.parameters,
        try_count=row.try_count,
    )


async def count_try(conn: AsyncConnection, mail: Mail, next_try_at: datetime) -> None:
    """Note one more try, and when the next one is due should this one fail."""
    await conn.execute(
        update(mails).where(_is(mail)).values(try_count=mail.try_count + 1, next_try_at=next_try_at)
    )


async def is_waiting(conn: AsyncConnection, mail: Mail) -> bool:
    """Whether the mail is still to be sent."""
    found = select(mails.c.mail_id).where(_is(mail))
    return bool(await conn.scalar(select(found.exists())))


async def delete_mail(conn: AsyncConnection, mail: Mail) -> bool:
    """Forget the mail; False when it was gone already."""
    result = await conn.execute(delete(mails).where(_is(mail)))
    return result.rowcount == 1


def _is(mail: Mail) -> Any:
    return (mails.c.app_id == UUID(mail.app_id)) & (mails.c.mail_id == UUID(mail.mail_id))
