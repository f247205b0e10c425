"""Writes batches of public requests on one connection, under the locks of their apps."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

import asyncpg

from audience.errors import Unavailable
from audience.profile_changes import storage
from audience.profile_changes.items import Skip
from audience.profile_changes.operations import Counts, WriteResult, write_batch
from audience.profile_changes.write_request import WriteRequest
from audience.server import clock, metrics
from audience.server.database import HeldConnection

#: Locks are kept this long after a batch, in case the next one needs them again ...
_LINGER_SECONDS = 0.002
#: ... but not longer than this without a break ...
_LONGEST_HOLD_SECONDS = 0.025
#: ... and no more of them at a time ...
_MOST_LOCKS = 64
#: ... and not at all for a while after somebody else had them.
_CONTENDED_SECONDS = 1.0


class Writer:
    """One writer of the process: one batch at a time.

    Taking and releasing the locks is half of a batch's round trips. So a writer that nobody
    competes with keeps them for a moment; one that had to wait releases them after each batch.
    """

    def __init__(self, held: HeldConnection) -> None:
        """held: a connection of the writer's own."""
        self._held = held
        self._mutex = asyncio.Lock()
        self._locked: set[str] = set()
        self._locked_on: asyncpg.Connection | None = None
        self._locked_at = 0.0
        self._contended_until = 0.0
        self._is_release_due = False
        self._release: asyncio.TimerHandle | None = None
        self._releasing: asyncio.Task[None] | None = None
        #: Asked whether requests wait for the next batch (`Batcher.has_waiting`).
        self.has_waiting: Callable[[], bool] = lambda: False
        #: Asked for requests that arrived while the locks were waited for (`Batcher.take_also`).
        self.take_also: Callable[[Callable[[WriteRequest], bool]], list[WriteRequest]] = (
            lambda _fits: []
        )

    async def write(self, requests: Sequence[WriteRequest]) -> list[list[Skip] | BaseException]:
        """Write the requests in one transaction; if that fails, each in its own.

        So one poisonous request never fails its neighbours. While the database is away, all fail.
        The locks are held on return, see `settle`.
        """
        if self._release is not None:
            self._release.cancel()
        async with self._mutex:
            app_ids = set().union(*[request.app_ids for request in requests])
            async with self._held.use() as conn:
                has_waited = await self._lock(conn, app_ids)
            everything = [*requests]
            if has_waited:
                everything += self.take_also(lambda one: one.app_ids <= self._locked)
            results = await self._write_whole(everything)
        if self._is_contended():
            # The next batch begins with it; without one it is begun before the answers are given:
            # others wait for it.
            self._is_release_due = True
            if not self.has_waiting():
                self._unlock_soon()
        return results

    async def settle(self) -> None:
        """Give the locks to others with the next batch, or in a moment."""
        if self._is_contended():
            return
        loop = asyncio.get_running_loop()
        self._is_release_due = loop.time() - self._locked_at > _LONGEST_HOLD_SECONDS
        if not self.has_waiting():
            self._release = loop.call_later(_LINGER_SECONDS, self._unlock_soon)

    async def unlock(self) -> None:
        """Let others write to the apps of the last batch."""
        async with self._mutex, self._held.use() as conn:
            await self._unlock(conn)

    async def close(self) -> None:
        """Release everything and close the connection."""
        if self._release is not None:
            self._release.cancel()
        if self._releasing is not None:
            await self._releasing
        await self._held.close()

    def _unlock_soon(self) -> None:
        self._releasing = asyncio.get_running_loop().create_task(self._try_to_unlock())

    async def _try_to_unlock(self) -> None:
        # Unavailable: the connection is gone, and the locks with it.
        with contextlib.suppress(Unavailable):
            await self.unlock()

    def _is_contended(self) -> bool:
        return asyncio.get_running_loop().time() < self._contended_until

    async def _write_whole(
        self, requests: Sequence[WriteRequest]
    ) -> list[list[Skip] | BaseException]:
        """Write them together, or if that fails one by one."""
        try:
            return [*await self._write(requests)]
        except Unavailable:
            raise
        except Exception as error:
            if len(requests) == 1:
                raise
            return [await self._write_alone(request, error) for request in requests]

    async def _write_alone(
        self, request: WriteRequest, error: Exception
    ) -> list[Skip] | BaseException:
        try:
            (result,) = await self._write([request])
        except Exception as alone:  # noqa: BLE001 - this request's own answer
            alone.__context__ = error
            return alone
        return result

    async def _write(self, requests: Sequence[WriteRequest]) -> list[WriteResult]:
        counts = Counts()
        app_ids = set().union(*[request.app_ids for request in requests])
        async with self._held.use() as conn:
            await self._lock(conn, app_ids)
            results = await write_batch(conn, requests, clock.now, counts)
        if counts.merges:
            metrics.MERGES.inc(counts.merges)
        for reason, count in counts.refusals.items():
            metrics.MERGE_REFUSALS.labels(reason).inc(count)
        return results

    async def _lock(self, conn: asyncpg.Connection, app_ids: AbstractSet[str]) -> bool:
        """Make sure that this connection holds the locks of the apps; whether others had them.

        Locks that are due to others are released first, in the same statement: who waits for them
        gets them, and this waits behind. Nobody waits while holding locks.
        """
        if conn is not self._locked_on:
            self._locked, self._locked_on = set(), conn
        if self._locked and not self._is_release_due and await self._has_also(conn, app_ids):
            return False
        released = self._locked
        self._locked, self._is_release_due = set(), False
        has_waited = await storage.switch_locks(conn, released, app_ids)
        now = asyncio.get_running_loop().time()
        self._locked, self._locked_at = set(app_ids), now
        if has_waited:
            self._contended_until = self._locked_at + _CONTENDED_SECONDS
        return has_waited

    async def _has_also(self, conn: asyncpg.Connection, app_ids: AbstractSet[str]) -> bool:
        """Whether the locks of the apps are held, or could be taken besides without waiting."""
        missing = app_ids - self._locked
        if missing and len(self._locked) + len(missing) <= _MOST_LOCKS:
            self._locked |= await storage.try_locks(conn, missing)
        return app_ids <= self._locked

    async def _unlock(self, conn: asyncpg.Connection) -> None:
        """Release what this connection holds; an earlier connection's locks went with it."""
        locked, self._locked = self._locked, set()
        self._is_release_due = False
        if conn is self._locked_on and locked:
            await storage.switch_locks(conn, locked, ())
