"""Writes batches of collected requests on one connection, under the locks of their apps."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import asyncpg

from audience.errors import Unavailable
from audience.server import clock
from audience.server.database import HeldConnection
from consent.decisions import storage
from consent.decisions.app_batch import Collect
from consent.decisions.known import Known
from consent.decisions.metrics import DECISIONS, REPETITIONS
from consent.decisions.operations import CollectResult, Counts, collect_batch, lock_keys

#: Locks are kept this long after a batch, in case the next one needs them again ...
_LINGER_SECONDS = 0.002
#: ... but not longer than this without a break ...
_LONGEST_HOLD_SECONDS = 0.01
#: ... and not at all for a while after somebody else had them: a wait longer than this tells.
_CONTENDED_WAIT_SECONDS = 0.002
_CONTENDED_SECONDS = 1.0


class CollectWriter:
    """One writer of the process: one batch at a time.

    As in the audience manager's writer, one that nobody competes with keeps its locks for a moment,
    which saves a round trip of each batch.
    """

    def __init__(self, held: HeldConnection) -> None:
        """held: a connection of the writer's own."""
        self._held = held
        self._known = Known()
        self._mutex = asyncio.Lock()
        self._locked: list[int] = []
        self._locked_on: asyncpg.Connection | None = None
        self._locked_at = 0.0
        self._contended_until = 0.0
        self._release: asyncio.TimerHandle | None = None
        self._releasing: asyncio.Task[None] | None = None
        #: Asked for requests that arrived while the batch was read (`Batcher.take_also`).
        self.take_also: Callable[[Callable[[Collect], bool]], list[Collect]] = lambda _fits: []

    async def write(self, items: Sequence[Collect]) -> list[CollectResult | BaseException]:
        """Write the requests in one transaction; if that fails, each in its own.

        So one poisonous request never fails its neighbours. While the database is away, all fail.
        The locks are held on return, see `settle`.
        """
        if self._release is not None:
            self._release.cancel()
        everything = list(items)
        async with self._mutex:
            try:
                return [*await self._write(everything, self._take_also)]
            except Unavailable:
                raise
            except Exception as error:
                if len(everything) == 1:
                    raise
                return [await self._write_alone(item, error) for item in everything]

    def _take_also(self) -> list[Collect]:
        """Requests that arrived since and need no lock that is not held."""
        locked = set(self._locked)
        return self.take_also(lambda item: set(lock_keys([item])) <= locked)

    async def settle(self) -> None:
        """Release the locks now or in a moment; after the answers of a batch are on their way."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now < self._contended_until or now - self._locked_at > _LONGEST_HOLD_SECONDS:
            await self.unlock()
        else:
            self._release = loop.call_later(_LINGER_SECONDS, self._unlock_soon)

    async def unlock(self) -> None:
        """Let others write to the apps of the last batch."""
        async with self._mutex, self._held.use() as conn:
            locked, self._locked = self._locked, []
            if conn is self._locked_on and locked:
                await storage.switch_locks(conn, locked, ())

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

    async def _write_alone(self, item: Collect, error: Exception) -> CollectResult | BaseException:
        try:
            (result,) = await self._write([item], list)
        except Exception as alone:  # noqa: BLE001 - this request's own answer
            alone.__context__ = error
            return alone
        return result

    async def _write(
        self, items: list[Collect], take_also: Callable[[], list[Collect]]
    ) -> list[CollectResult]:
        """Write the requests; those that join on the way are added to `items`."""
        counts = Counts()

        def join() -> list[Collect]:
            late = take_also()
            joined.extend(late)
            return late

        joined: list[Collect] = []
        async with self._held.use() as conn:
            await self._lock(conn, lock_keys(items))
            try:
                results = await collect_batch(
                    conn, tuple(items), self._known, clock.now, counts, join
                )
            finally:
                items += joined
        DECISIONS.inc(counts.decisions)
        REPETITIONS.inc(counts.repetitions)
        return results

    async def _lock(self, conn: asyncpg.Connection, keys: list[int]) -> None:
        """Make sure that this connection holds the locks."""
        if conn is self._locked_on and set(keys) <= set(self._locked):
            return
        released = self._locked if conn is self._locked_on else ()
        self._locked = []
        loop = asyncio.get_running_loop()
        started = loop.time()
        await storage.switch_locks(conn, released, keys)
        self._locked, self._locked_on, self._locked_at = keys, conn, loop.time()
        if self._locked_at - started > _CONTENDED_WAIT_SECONDS:
            self._contended_until = self._locked_at + _CONTENDED_SECONDS
