"""SQL of a session's advisory locks."""

from collections.abc import Collection, Sequence

import asyncpg

# The first part is done before the second one. Keys are taken in the order given, so that two
# sessions never wait for each other. A row says '' for a lock that had to be waited for.
SWITCH_LOCKS = """
SELECT pg_advisory_unlock(key)::text FROM unnest($1::bigint[]) AS key
UNION ALL
SELECT CASE WHEN pg_try_advisory_lock(key) THEN 'free' ELSE pg_advisory_lock(key)::text END
FROM unnest($2::bigint[]) AS key
"""

# Waits for nobody, so it may be done while other locks are held.
TRY_LOCKS = "SELECT pg_try_advisory_lock(key) FROM unnest($1::bigint[]) AS key"


async def switch_locks(
    conn: asyncpg.Connection, released: Collection[int], wanted: Sequence[int]
) -> bool:
    """Release some locks, then take others in the order given; whether somebody had any of those.

    Afterwards this session is the only one that does what the taken locks stand for, until they are
    released or the connection ends. Everybody takes them in one order and waits while holding none
    that comes later, so two callers never deadlock.
    """
    rows = await conn.fetch(SWITCH_LOCKS, list(released), list(wanted))
    return any(row[0] == "" for row in rows)


async def try_locks(conn: asyncpg.Connection, keys: Collection[int]) -> set[int]:
    """Take those of the locks that nobody has; which they are."""
    rows = await conn.fetch(TRY_LOCKS, list(keys))
    return {key for key, row in zip(keys, rows, strict=True) if row[0]}
