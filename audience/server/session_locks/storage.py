"""SQL of a session's advisory locks."""

from collections.abc import Collection, Sequence

import asyncpg

# The first part is done before the second one. Keys are taken in the order given, so that two
# sessions never wait for each other. A row says '' for a lock that had to be waited for.
SWITCH_LOCKS = """
SELECT CASE WHEN $3 THEN pg_advisory_unlock_shared(key) ELSE pg_advisory_unlock(key) END::text
FROM unnest($1::bigint[]) AS key
UNION ALL
SELECT CASE
    WHEN NOT $4 THEN CASE WHEN pg_try_advisory_lock(key) THEN 'free'
        ELSE pg_advisory_lock(key)::text END
    WHEN pg_try_advisory_lock_shared(key) THEN 'free'
    ELSE pg_advisory_lock_shared(key)::text
END
FROM unnest($2::bigint[]) AS key
"""

# Waits for nobody, so it may be done while other locks are held.
TRY_LOCKS = """
SELECT CASE WHEN $2 THEN pg_try_advisory_lock_shared(key) ELSE pg_try_advisory_lock(key) END
FROM unnest($1::bigint[]) AS key
"""

# An advisory lock's key is shown in halves.
ARE_LOCKS_SHARED = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND pid <> pg_backend_pid()
        AND mode = 'ShareLock'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32 | objid::bigint) = ANY($1::bigint[])
)
"""


async def switch_locks(
    conn: asyncpg.Connection,
    released: Collection[int],
    wanted: Sequence[int],
    *,
    was_shared: bool,
    is_shared: bool,
) -> bool:
    """Release some locks, then take others in the order given; whether somebody had any of those.

    was_shared: how the released ones are held. is_shared: take the others together with sessions
    that share them; who takes them alone waits for all of these. Taken alone, this session is the
    only one that does what the locks stand for, until they are released or the connection ends.
    Everybody takes them in one order and waits while holding none that comes later, so two callers
    never deadlock.
    """
    rows = await conn.fetch(SWITCH_LOCKS, list(released), list(wanted), was_shared, is_shared)
    return any(row[0] == "" for row in rows)


async def try_locks(
    conn: asyncpg.Connection, keys: Collection[int], *, is_shared: bool
) -> set[int]:
    """Take those of the locks that nobody has (or that are shared); which they are."""
    rows = await conn.fetch(TRY_LOCKS, list(keys), is_shared)
    return {key for key, row in zip(keys, rows, strict=True) if row[0]}


async def are_shared(conn: asyncpg.Connection, keys: Collection[int]) -> bool:
    """Whether another session shares any of the locks, or waits to."""
    found: bool = await conn.fetchval(ARE_LOCKS_SHARED, list(keys))
    return found
