"""Work in the background: small steps, each run by exactly one process at a time.

What there is to do is in tables, so that it survives a restart; a job here only says how often to
look and what one bounded step is. Own code instead of a job queue, because nothing is ever queued:
a step asks the database what is due (ARCHITECTURE.md, decision 17).
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import web

from audience.errors import Unavailable
from audience.server.job_locks import storage
from audience.server.keys import DATABASE
from audience.server.log import describe_error

_CLOSE_WITHIN_SECONDS = 3.0
_PAUSE_AFTER_ERROR_SECONDS = 5.0

#: Does one bounded step; True when more is waiting. Safe to run twice, and to be cancelled.
Step = Callable[[web.Application], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Job:
    """name: unique, for the lock and the log. every_seconds: the pause when nothing is waiting."""

    name: str
    every_seconds: float
    step: Step


def hold_jobs(jobs: Sequence[Job]) -> Callable[[web.Application], AsyncIterator[None]]:
    """A cleanup context that runs the jobs while the service does.

    One process of all that serve the database runs a job at a time; when it ends, another one takes
    over. A step that fails is logged by the type of its error and tried again after a pause.
    """

    async def run_jobs(app: web.Application) -> AsyncIterator[None]:
        locks = _Locks(app)
        tasks = [asyncio.create_task(_run(app, job, locks), name=job.name) for job in jobs]
        yield
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_WITHIN_SECONDS)
        await locks.close()

    return run_jobs


class _Locks:
    """The job locks of this process, on one connection of their own.

    When the connection breaks, the locks are gone while a step still runs: then two processes may
    do the same step, which is why steps are safe to run twice.
    """

    def __init__(self, app: web.Application) -> None:
        self._held = app[DATABASE].hold()
        self._mutex = asyncio.Lock()

    async def try_lock(self, key: int) -> bool:
        async with self._mutex, self._held.use() as conn:
            return await storage.try_job_lock(conn, key)

    async def unlock(self, key: int) -> None:
        # Unavailable: the connection is gone, and the lock with it.
        with contextlib.suppress(Unavailable):
            async with self._mutex, self._held.use() as conn:
                await storage.release_job_lock(conn, key)

    async def close(self) -> None:
        await self._held.close()


async def _run(app: web.Application, job: Job, locks: _Locks) -> None:
    while True:
        pause = job.every_seconds
        try:
            if await locks.try_lock(job_lock_key(job)):
                try:
                    is_more = True
                    while is_more:
                        is_more = await job.step(app)
                finally:
                    await locks.unlock(job_lock_key(job))
        except Unavailable:
            pause = max(pause, _PAUSE_AFTER_ERROR_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job goes on later
            structlog.get_logger().error("job failed", job=job.name, error=describe_error(error))
            pause = max(pause, _PAUSE_AFTER_ERROR_SECONDS)
        await asyncio.sleep(pause)


def job_lock_key(job: Job) -> int:
    """The advisory lock of a job: 64 bits of its name's hash."""
    digest = hashlib.sha256(f"job {job.name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
