"""SQL of expiry: finding and marking what is older than its app's period."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from consent.forms.settings import DEFAULT_COOKIE_PERIOD_SECONDS

FIND_APP = f"""
SELECT p.app_id::text, p.seconds FROM (
    SELECT a.app_id, coalesce(s.decision_period_seconds, {DEFAULT_COOKIE_PERIOD_SECONDS}) AS seconds
    FROM apps a LEFT JOIN consent_settings s USING (app_id) WHERE a.deleted_at IS NULL
) p
WHERE p.seconds > 0 AND EXISTS (
    SELECT FROM consent_visitors v
    WHERE v.app_id = p.app_id AND NOT v.is_expired
        AND v.last_decided_at <= $1::timestamptz - p.seconds * interval '1 second'
)
LIMIT 1
"""  # noqa: S608 - a constant

# Under the app's consent lock, so that no decision comes between finding and marking.
EXPIRE_SOME = """
WITH old AS (
    SELECT app_id, visitor_id FROM consent_visitors
    WHERE app_id = $1 AND NOT is_expired AND last_decided_at <= $2
    ORDER BY last_decided_at LIMIT $3
)
UPDATE consent_visitors v SET is_expired = true FROM old
WHERE v.app_id = old.app_id AND v.visitor_id = old.visitor_id
RETURNING v.analytics_visitor_id, v.last_decided_at
"""

LOCK = "SELECT pg_advisory_xact_lock($1)"


class Expired(NamedTuple):
    """A visitor whose decisions expired. analytics_visitor_id: None when it is not tied."""

    analytics_visitor_id: str | None
    decided_at: datetime


async def find_app_with_expired(conn: asyncpg.Connection, now: datetime) -> tuple[str, int] | None:
    """(app, its period in seconds) of an app that has anything to expire, or None."""
    row = await conn.fetchrow(FIND_APP, now)
    return None if row is None else (row[0], row[1])


async def lock_consents(conn: asyncpg.Connection, key: int) -> None:
    """Wait for an app's consent lock, until the end of the transaction."""
    await conn.execute(LOCK, key)


async def expire_some(
    conn: asyncpg.Connection, app_id: str, oldest: datetime, most: int
) -> Sequence[Expired]:
    """Mark up to `most` visitors whose newest decision is not after `oldest`, and return them."""
    rows = await conn.fetch(EXPIRE_SOME, app_id, oldest, most)
    return [Expired(row[0], row[1]) for row in rows]
