"""SQL of expiry: finding and marking what is older than its app's period."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from consent.forms.settings import DEFAULT_COOKIE_PERIOD_SECONDS

FIND_APP = f"""
SELECT p.app_id::text FROM (
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

# Under the app's consent lock, so that no decision comes between finding and marking. The period is
# read here and nowhere before: what is marked stays so, also when it has just been made longer.
EXPIRE_SOME = f"""
WITH period AS (
    SELECT coalesce(
        (SELECT s.decision_period_seconds FROM consent_settings s WHERE s.app_id = $1),
        {DEFAULT_COOKIE_PERIOD_SECONDS}
    ) AS seconds
), old AS (
    SELECT app_id, visitor_id FROM consent_visitors
    WHERE app_id = $1 AND NOT is_expired AND (SELECT seconds FROM period) > 0
        AND last_decided_at
            <= $2::timestamptz - (SELECT seconds FROM period) * interval '1 second'
    ORDER BY last_decided_at LIMIT $3
)
UPDATE consent_visitors v SET is_expired = true FROM old
WHERE v.app_id = old.app_id AND v.visitor_id = old.visitor_id
RETURNING v.analytics_visitor_id, v.last_decided_at
"""  # noqa: S608 - a constant

LOCK = "SELECT pg_advisory_xact_lock($1)"


class Expired(NamedTuple):
    """A visitor whose decisions expired. analytics_visitor_id: None when it is not tied."""

    analytics_visitor_id: str | None
    decided_at: datetime


async def find_app_with_expired(conn: asyncpg.Connection, now: datetime) -> str | None:
    """An app that has anything to expire, or None."""
    app_id: str | None = await conn.fetchval(FIND_APP, now)
    return app_id


async def lock_consents(conn: asyncpg.Connection, key: int) -> None:
    """Wait for an app's consent lock, until the end of the transaction."""
    await conn.execute(LOCK, key)


async def expire_some(
    conn: asyncpg.Connection, app_id: str, now: datetime, most: int
) -> Sequence[Expired]:
    """Mark up to `most` visitors whose newest decision is too old by now, and return them."""
    rows = await conn.fetch(EXPIRE_SOME, app_id, now, most)
    return [Expired(row[0], row[1]) for row in rows]
