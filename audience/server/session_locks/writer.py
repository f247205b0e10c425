"""Writes batches of requests on one connection, under advisory locks of its session."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import asyncpg

from audience.errors import Unavailable
from audience.server.database import HeldConnection
from audience.server.session_locks.locks import SessionLocks

Item = TypeVar("Item")
Result = TypeVar("Result")


class LockedWriter(Generic[Item, Result]):
    """One writer of the process: one batch at a time. `write` is a flush for a `Batcher`."""

    def __init__(
        self,
        held: HeldConnection,
        lock_keys: Callable[[Sequence[Item]], Sequence[int]],
        apply: Callable[[asyncpg.Connection, Sequence[Item]], Awaitable[Sequence[Result]]],
    ) -> None:
        """held: a connection of the writer's own.

        lock_keys: the locks that requests need, in the order in which everybody takes them.
        apply: writes requests in one transaction under their locks; a result for each, in order.
        """
        self._held = held
        self._lock_keys = lock_keys
        self._apply = apply
        self.locks = SessionLocks(held)
        #: Asked for requests that arrived while the locks were waited for (`Batcher.take_also`).
        self.take_also: Callable[[Callable[[Item], bool]], list[Item]] = lambda _fits: []

    async def write(self, items: Sequence[Item]) -> Sequence[Result | BaseException]:
        """Write the requests in one transaction; if that fails, each in its own.

        So one poisonous request never fails its neighbours. While the database is away, all fail.
        The locks are held on return, see `SessionLocks.settle`.
        """
        self.locks.keep()
        try:
            async with self.locks.mutex:
                async with self._held.use() as conn:
                    has_waited = await self.locks.take(conn, self._lock_keys(items))
                everything = [*items]
                if has_waited:
                    everything += self.take_also(self._is_covered)
                return await self._write_whole(everything)
        finally:
            # Also after a failure: others may be waiting.
            self.locks.end_batch()

    async def close(self) -> None:
        """Release everything and close the connection."""
        await self.locks.close()

    def _is_covered(self, item: Item) -> bool:
        return self.locks.covers(self._lock_keys([item]))

    async def _write_whole(self, items: Sequence[Item]) -> Sequence[Result | BaseException]:
        """Write them together, or if that fails one by one."""
        try:
            return await self._write(items)
        except Unavailable:
            raise
        except Exception as error:
            if len(items) == 1:
                raise
            return [await self._write_alone(item, error) for item in items]

    async def _write_alone(self, item: Item, error: Exception) -> Result | BaseException:
        try:
            (result,) = await self._write([item])
        except Exception as alone:  # noqa: BLE001 - this request's own answer
            alone.__context__ = error
            return alone
        return result

    async def _write(self, items: Sequence[Item]) -> Sequence[Result]:
        async with self._held.use() as conn:
            # Whoever lost its connection lost its locks.
            await self.locks.take(conn, self._lock_keys(items))
            return await self._apply(conn, items)
