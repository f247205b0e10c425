"""SQL of the job locks: advisory locks of a session."""

import asyncpg

TRY_JOB_LOCK = "SELECT pg_try_advisory_lock($1)"
RELEASE_JOB_LOCK = "SELECT pg_advisory_unlock($1)"


async def try_job_lock(conn: asyncpg.Connection, key: int) -> bool:
    """True when this session is now the one that runs the job; False when another one is."""
    is_mine: bool = await conn.fetchval(TRY_JOB_LOCK, key)
    return is_mine


async def release_job_lock(conn: asyncpg.Connection, key: int) -> None:
    """Let another session run the job."""
    await conn.execute(RELEASE_JOB_LOCK, key)
