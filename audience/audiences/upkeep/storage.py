"""SQL of the upkeep of memberships: fills, what is due, daily counts, members of what is deleted.

Fills and re-evaluations run under the lock of the app; what looks for work holds no lock.
"""

from datetime import date, datetime
from typing import NamedTuple

import asyncpg

from audience.audiences.population_sql_due import FillSql
from audience.profiles.profile import Profile
from audience.profiles.storage import PROFILE_DOCUMENT, app_lock_key, profile_of

#: Before the id of every profile.
_FIRST = "00000000-0000-0000-0000-000000000000"


class FillState(NamedTuple):
    """How far the fill of an audience has come, and what it needs to go on."""

    definition: str
    membership_duration_days: int | None
    cursor: str
    keeps_stays: bool
    timezone: str


class Part(NamedTuple):
    """The next `size` profiles of an app after the cursor, for an audience."""

    app_id: str
    audience_id: str
    cursor: str
    size: int


class Fill(NamedTuple):
    """An audience that is being filled."""

    app_id: str
    audience_id: str
    definition: str
    is_counted: bool


FIND_FILL_STATE = """
SELECT d.definition::text, d.membership_duration_days, d.fill_cursor::text, d.fill_keeps_stays,
    a.timezone
FROM audiences d JOIN apps a ON a.app_id = d.app_id
WHERE d.app_id = $1 AND d.audience_id = $2 AND d.is_filling AND NOT d.is_deleted
"""

# The profiles of the part are read once; members among them that are none any more lie in the
# same range of ids.
_FILL_BY_SQL = """
WITH part AS MATERIALIZED (
    SELECT p.profile_id, {fill.is_member} AS is_member, {fill.changes_at} AS changes_at
    FROM profiles p
    WHERE p.app_id = $1 AND p.profile_id > $3 ORDER BY p.profile_id LIMIT $4
), bounds AS MATERIALIZED (
    SELECT count(*) AS done,
        (SELECT profile_id FROM part ORDER BY profile_id DESC LIMIT 1) AS last FROM part
), joined AS (
    INSERT INTO audience_members (app_id, audience_id, profile_id, member_since)
    SELECT $1, $2, profile_id, $5 FROM part WHERE is_member
    ON CONFLICT (app_id, audience_id, profile_id) DO UPDATE SET matched_at = NULL
        WHERE audience_members.matched_at IS NOT NULL
), ended AS (
    DELETE FROM audience_members m USING bounds
    WHERE m.app_id = $1 AND m.audience_id = $2 AND m.profile_id > $3
        AND m.profile_id <= bounds.last
        AND m.profile_id NOT IN (SELECT profile_id FROM part WHERE is_member)
), due AS (
    INSERT INTO profile_reevaluations (app_id, profile_id, changes_at)
    SELECT $1, profile_id, changes_at FROM part WHERE changes_at IS NOT NULL
    ON CONFLICT (app_id, profile_id) DO UPDATE SET changes_at = excluded.changes_at
        WHERE profile_reevaluations.changes_at > excluded.changes_at
)
SELECT done, last::text FROM bounds
"""

SAVE_FILL_STATE = """
UPDATE audiences SET fill_cursor = coalesce($3, fill_cursor), fill_done = fill_done + $4,
    is_filling = NOT $5
WHERE app_id = $1 AND audience_id = $2
"""

LIST_FILLS = """
SELECT d.app_id::text, d.audience_id::text, d.definition::text, d.fill_total > 0 AS is_counted
FROM audiences d
WHERE d.is_filling AND NOT d.is_deleted AND d.app_id = (
    SELECT f.app_id FROM audiences f WHERE f.is_filling AND NOT f.is_deleted
    ORDER BY f.updated_at, f.app_id LIMIT 1
)
ORDER BY d.updated_at, d.audience_id
"""

COUNT_FILL = """
UPDATE audiences SET fill_total = greatest(
    (SELECT count(*) FROM profiles p WHERE p.app_id = $1), 1)
WHERE app_id = $1 AND audience_id = $2
"""

GIVE_UP_FILL = """
UPDATE audiences SET is_filling = false WHERE app_id = $1 AND audience_id = $2
"""

FIND_MOVED_APP = """
SELECT a.app_id::text FROM apps a
WHERE a.audiences_revision IS NOT NULL AND EXISTS (
    SELECT FROM audiences d
    WHERE d.app_id = a.app_id AND NOT d.is_deleted AND d.fill_timezone <> a.timezone
)
LIMIT 1
"""

RESTART_FILLS = """
UPDATE audiences d SET is_filling = true, fill_cursor = NULL, fill_done = 0, fill_total = 0,
    fill_timezone = a.timezone, fill_keeps_stays = NOT d.is_filling OR d.fill_keeps_stays
FROM apps a
WHERE d.app_id = $1 AND a.app_id = $1 AND NOT d.is_deleted AND d.fill_timezone <> a.timezone
"""

# An advisory lock's key is shown in halves.
IS_LOCK_WANTED = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND NOT granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = (($1::bigint >> 32) & 4294967295)::oid
        AND objid = ($1::bigint & 4294967295)::oid
)
"""

LIST_PROFILES = f"""
SELECT {PROFILE_DOCUMENT}::text FROM profiles p
WHERE p.app_id = $1 AND p.profile_id > $2 ORDER BY p.profile_id LIMIT $3
"""  # noqa: S608 - the document is a constant

LIST_DUE = """
SELECT app_id::text, profile_id::text FROM profile_reevaluations
WHERE changes_at <= $1 ORDER BY changes_at LIMIT $2
"""

FIND_UNCOUNTED = """
SELECT d.app_id::text, d.audience_id::text FROM audiences d
WHERE NOT d.is_deleted AND d.created_at < $2 AND NOT EXISTS (
    SELECT FROM audience_count_snapshots s
    WHERE s.app_id = d.app_id AND s.audience_id = d.audience_id AND s.counted_on = $1
)
LIMIT 1
"""

INSERT_SNAPSHOT = """
INSERT INTO audience_count_snapshots (app_id, audience_id, counted_on, member_count)
SELECT $1, $2, $3, (
    SELECT count(*) FROM audience_members m WHERE m.app_id = $1 AND m.audience_id = $2
)
ON CONFLICT DO NOTHING
"""

DELETE_OLD_SNAPSHOTS = "DELETE FROM audience_count_snapshots WHERE counted_on < $1"

FIND_PURGED = """
SELECT app_id::text, purged_audience_ids[1]::text FROM apps
WHERE cardinality(purged_audience_ids) > 0 LIMIT 1
"""

DELETE_MEMBERS = """
DELETE FROM audience_members m USING (
    SELECT profile_id FROM audience_members
    WHERE app_id = $1 AND audience_id = $2 ORDER BY profile_id LIMIT $3
) gone
WHERE m.app_id = $1 AND m.audience_id = $2 AND m.profile_id = gone.profile_id
"""

FORGET_PURGED = """
UPDATE apps SET purged_audience_ids = array_remove(purged_audience_ids, $2::uuid)
WHERE app_id = $1
"""


async def find_fill_state(
    conn: asyncpg.Connection, app_id: str, audience_id: str
) -> FillState | None:
    """How far the audience is filled; None when it is not being filled."""
    row = await conn.fetchrow(FIND_FILL_STATE, app_id, audience_id)
    return None if row is None else FillState(row[0], row[1], row[2] or _FIRST, row[3], row[4])


async def fill_by_sql(
    conn: asyncpg.Connection, part: Part, fill: FillSql, now: datetime
) -> tuple[int, str | None]:
    """Store who of the part is a member, as SQL tells; (profiles looked at, last one).

    fill: its parameters from 6 on. Needs the app's lock.
    """
    row = await conn.fetchrow(
        _FILL_BY_SQL.format(fill=fill),
        part.app_id,
        part.audience_id,
        part.cursor,
        part.size,
        now,
        *fill.parameters,
    )
    return row["done"], row["last"]


async def save_fill_state(
    conn: asyncpg.Connection, part: Part, last: str | None, done: int, *, is_finished: bool
) -> None:
    """Note that the part is done, up to the profile `last`."""
    await conn.execute(SAVE_FILL_STATE, part.app_id, part.audience_id, last, done, is_finished)


async def list_fills(conn: asyncpg.Connection) -> list[Fill]:
    """The audiences being filled in the app that has waited longest."""
    return [Fill(*row) for row in await conn.fetch(LIST_FILLS)]


async def count_fill(conn: asyncpg.Connection, app_id: str, audience_id: str) -> None:
    """Note how many profiles the fill has to look at."""
    await conn.execute(COUNT_FILL, app_id, audience_id)


async def give_up_fill(conn: asyncpg.Connection, app_id: str, audience_id: str) -> None:
    """Fill the audience no further: its members stay as they are."""
    await conn.execute(GIVE_UP_FILL, app_id, audience_id)


async def find_moved_app(conn: asyncpg.Connection) -> str | None:
    """An app whose time zone is not the one its audiences were filled in, or None."""
    found: str | None = await conn.fetchval(FIND_MOVED_APP)
    return found


async def restart_fills(conn: asyncpg.Connection, app_id: str) -> None:
    """Fill the app's audiences again, in its new time zone. Needs the app's lock."""
    await conn.execute(RESTART_FILLS, app_id)


async def is_lock_wanted(conn: asyncpg.Connection, app_id: str) -> bool:
    """Whether somebody waits for the lock of the app's profiles."""
    is_wanted: bool = await conn.fetchval(IS_LOCK_WANTED, app_lock_key(app_id))
    return is_wanted


async def list_profiles(conn: asyncpg.Connection, part: Part) -> list[Profile]:
    """The profiles of the part."""
    rows = await conn.fetch(LIST_PROFILES, part.app_id, part.cursor, part.size)
    return [profile_of(document) for (document,) in rows]


async def list_due(conn: asyncpg.Connection, now: datetime, size: int) -> list[tuple[str, str]]:
    """(app_id, profile_id) of profiles whose memberships may have changed, longest due first."""
    return [tuple(row) for row in await conn.fetch(LIST_DUE, now, size)]


async def find_uncounted(
    conn: asyncpg.Connection, today: date, start_of_today: datetime
) -> tuple[str, str] | None:
    """(app_id, audience_id) of an audience older than today without today's snapshot, or None."""
    row = await conn.fetchrow(FIND_UNCOUNTED, today, start_of_today)
    return None if row is None else tuple(row)


async def insert_snapshot(
    conn: asyncpg.Connection, app_id: str, audience_id: str, today: date
) -> None:
    """Count the members for today.  On repeat: the first count stays."""
    await conn.execute(INSERT_SNAPSHOT, app_id, audience_id, today)


async def delete_old_snapshots(conn: asyncpg.Connection, before: date) -> None:
    """Delete the snapshots of earlier days."""
    await conn.execute(DELETE_OLD_SNAPSHOTS, before)


async def find_purged(conn: asyncpg.Connection) -> tuple[str, str] | None:
    """(app_id, audience_id) of a deleted audience that may still have members, or None."""
    row = await conn.fetchrow(FIND_PURGED)
    return None if row is None else tuple(row)


async def delete_members(conn: asyncpg.Connection, app_id: str, audience_id: str, size: int) -> int:
    """Delete at most so many members of a deleted audience; how many it were."""
    status: str = await conn.execute(DELETE_MEMBERS, app_id, audience_id, size)
    return int(status.rpartition(" ")[2])


async def forget_purged(conn: asyncpg.Connection, app_id: str, audience_id: str) -> None:
    """Note that a deleted audience has no members any more."""
    await conn.execute(FORGET_PURGED, app_id, audience_id)
