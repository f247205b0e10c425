"""SQL of expiry: finding and marking decisions older than their app's period, or no longer so."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from consent.forms.settings import DEFAULT_COOKIE_PERIOD_SECONDS

# Of a visitor `v` of an app `p`: its decision counts no more, and counts again. A period of 0 never
# ends.
_HAS_EXPIRED = """NOT v.is_expired AND p.seconds > 0
        AND v.last_decided_at <= {now}::timestamptz - p.seconds * interval '1 second'"""
_COUNTS_AGAIN = """v.is_expired AND v.last_decided_at > CASE WHEN p.seconds = 0
        THEN '-infinity' ELSE {now}::timestamptz - p.seconds * interval '1 second' END"""

_FIND_APP = f"""
SELECT p.app_id::text FROM (
    SELECT a.app_id, coalesce(s.decision_period_seconds, {DEFAULT_COOKIE_PERIOD_SECONDS}) AS seconds
    FROM apps a LEFT JOIN consent_settings s USING (app_id) WHERE a.deleted_at IS NULL
) p
WHERE EXISTS (SELECT FROM consent_visitors v WHERE v.app_id = p.app_id AND {{condition}})
LIMIT 1
"""  # noqa: S608 - a constant
FIND_APP_WITH_EXPIRED = _FIND_APP.format(condition=_HAS_EXPIRED.format(now="$1"))
FIND_APP_WITH_REVIVED = _FIND_APP.format(condition=_COUNTS_AGAIN.format(now="$1"))

# Under the app's consent lock, so that no decision comes between finding and marking. The period is
# read here and nowhere before: what is marked stays so until the period changes again.
_MARK_SOME = f"""
WITH chosen AS (
    SELECT v.app_id, v.visitor_id, p.seconds FROM (
        SELECT coalesce(
            (SELECT s.decision_period_seconds FROM consent_settings s WHERE s.app_id = $1),
            {DEFAULT_COOKIE_PERIOD_SECONDS}
        ) AS seconds
    ) p CROSS JOIN consent_visitors v
    WHERE v.app_id = $1 AND {{condition}}
    ORDER BY v.last_decided_at {{order}} LIMIT $3
)
UPDATE consent_visitors v SET is_expired = {{is_expired}} FROM chosen
WHERE v.app_id = chosen.app_id AND v.visitor_id = chosen.visitor_id
RETURNING v.analytics_visitor_id, v.last_decided_at, v.state::text, chosen.seconds
"""  # noqa: S608 - a constant
EXPIRE_SOME = _MARK_SOME.format(
    condition=_HAS_EXPIRED.format(now="$2"), order="ASC", is_expired="true"
)
# The newest first: an older one never takes the place of a newer one in a profile.
REVIVE_SOME = _MARK_SOME.format(
    condition=_COUNTS_AGAIN.format(now="$2"), order="DESC", is_expired="false"
)

LOCK = "SELECT pg_advisory_xact_lock($1)"


class Marked(NamedTuple):
    """A visitor whose decisions have expired or count again.

    analytics_visitor_id: None when it is not tied. state: as the column has it. period_seconds: the
    app's; 0 for ever.
    """

    analytics_visitor_id: str | None
    decided_at: datetime
    state: str
    period_seconds: int


async def find_app_with_expired(conn: asyncpg.Connection, now: datetime) -> str | None:
    """An app that has anything to expire, or None."""
    app_id: str | None = await conn.fetchval(FIND_APP_WITH_EXPIRED, now)
    return app_id


async def find_app_with_revived(conn: asyncpg.Connection, now: datetime) -> str | None:
    """An app whose period is longer than when something expired, so that it counts again."""
    app_id: str | None = await conn.fetchval(FIND_APP_WITH_REVIVED, now)
    return app_id


async def lock_consents(conn: asyncpg.Connection, key: int) -> None:
    """Wait for an app's consent lock, until the end of the transaction."""
    await conn.execute(LOCK, key)


async def expire_some(
    conn: asyncpg.Connection, app_id: str, now: datetime, most: int
) -> Sequence[Marked]:
    """Mark up to `most` visitors whose newest decision is too old by now, and return them."""
    return [Marked(*row) for row in await conn.fetch(EXPIRE_SOME, app_id, now, most)]


async def revive_some(
    conn: asyncpg.Connection, app_id: str, now: datetime, most: int
) -> Sequence[Marked]:
    """Mark up to `most` expired visitors whose newest decision is not too old, and return them."""
    return [Marked(*row) for row in await conn.fetch(REVIVE_SOME, app_id, now, most)]
