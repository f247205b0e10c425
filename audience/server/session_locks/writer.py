"""Writes batches of requests on one connection, under advisory locks of its session."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import asyncpg

from audience.errors import Unavailable
from audience.server.database import HeldConnection
from audience.server.session_locks.locks import SessionLocks

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Part of a writer's batches that must be alone, from which on it does not share any more. A batch
#: that finds out while sharing is decided twice.
_MOST_ALONE = 0.5
#: How much the newest batch counts in that part.
_NEWEST = 0.1
#: So often a batch is begun again because somebody was faster, before it asks to be alone. Then
#: only what asks for no lock can interfere, such as VACUUM FULL.
_MOST_CONFLICTS = 2


class NeedsToBeAlone(Exception):
    """The batch does what nobody may do beside others; nothing was written but `Turn.done`."""


class Conflicts(NeedsToBeAlone):
    """What the batch has read was changed beside it; nothing was written but `Turn.done`."""


@dataclass(slots=True)
class Turn:
    """One batch under its locks.

    is_shared: others may be writing to the same apps, see `NeedsToBeAlone`. done: {place: result}
    of the requests that `apply` has written for good before it is through with all: it leaves them
    out when it is called again, and they stay written when it fails. needs_to_be_alone: set by
    `apply` when the batch did what it could not have done beside others.
    """

    is_shared: bool
    done: dict[int, Any] = field(default_factory=dict)
    needs_to_be_alone: bool = False


class LockedWriter(Generic[Item, Result]):
    """One writer of the process: one batch at a time. `write` is a flush for a `Batcher`."""

    def __init__(
        self,
        held: HeldConnection,
        lock_keys: Callable[[Sequence[Item]], Sequence[int]],
        apply: Callable[[asyncpg.Connection, Sequence[Item], Turn], Awaitable[Sequence[Result]]],
        *,
        can_share: bool = False,
    ) -> None:
        """held: a connection of the writer's own.

        lock_keys: the locks that requests need, in the order in which everybody takes them.
        apply: writes requests under their locks, all at once but for those in `Turn.done`; a result
        for each, in order.
        can_share: `apply` can do some batches beside other writers, and raises NeedsToBeAlone for
        the rest.
        """
        self._held = held
        self._lock_keys = lock_keys
        self._apply = apply
        self._can_share = can_share
        self._alone_part = 0.0
        self.locks = SessionLocks(held)
        #: Asked for requests that arrived while the locks were waited for (`Batcher.take_also`).
        self.take_also: Callable[[Callable[[Item], bool]], list[Item]] = lambda _fits: []

    async def write(self, items: Sequence[Item]) -> Sequence[Result | BaseException]:
        """Write the requests together; if that fails, each on its own.

        So one poisonous request never fails its neighbours. While the database is away, all fail
        that are not done yet.
        The locks are held on return, see `SessionLocks.settle`.
        """
        self.locks.keep()
        try:
            async with self.locks.mutex:
                async with self._held.use() as conn:
                    has_waited = await self._take(conn, items)
                everything = [*items]
                if has_waited:
                    everything += self.take_also(self._is_covered)
                return await self._write_whole(everything, conn)
        finally:
            # Also after a failure: others may be waiting.
            self.locks.end_batch()

    async def close(self) -> None:
        """Release everything and close the connection."""
        await self.locks.close()

    def _is_covered(self, item: Item) -> bool:
        return self.locks.covers(self._lock_keys([item]))

    async def _write_whole(
        self, items: Sequence[Item], holder: asyncpg.Connection
    ) -> Sequence[Result | BaseException]:
        """Write them together, or if that fails one by one.  holder: has their locks."""
        done: dict[int, Result] = {}
        try:
            return await self._write(items, holder, done)
        except Unavailable as error:
            if not done:
                raise
            return [done.get(place, error) for place in range(len(items))]
        except Exception as error:
            if len(items) == 1:
                raise
            return [
                done[place] if place in done else await self._write_alone(item, error)
                for place, item in enumerate(items)
            ]

    async def _write_alone(self, item: Item, error: Exception) -> Result | BaseException:
        try:
            (result,) = await self._write([item], None, {})
        except Exception as alone:  # noqa: BLE001 - this request's own answer
            alone.__context__ = error
            return alone
        return result

    async def _write(
        self,
        items: Sequence[Item],
        holder: asyncpg.Connection | None,
        done: dict[int, Result],
    ) -> Sequence[Result]:
        async with self._held.use() as conn:
            if conn is not holder:
                # Whoever lost its connection lost its locks.
                await self._take(conn, items)
            turn = Turn(self.locks.is_shared, done)
            conflicts = 0
            while True:
                try:
                    results = await self._apply(conn, items, turn)
                except NeedsToBeAlone as reason:
                    conflicts += 1
                    if isinstance(reason, Conflicts) and conflicts <= _MOST_CONFLICTS:
                        continue
                    turn = Turn(is_shared=False, done=done, needs_to_be_alone=True)
                    await self.locks.take(conn, self._lock_keys(items))
                    continue
                self._alone_part += _NEWEST * (turn.needs_to_be_alone - self._alone_part)
                return results

    async def _take(self, conn: asyncpg.Connection, items: Sequence[Item]) -> bool:
        may_share = self._can_share and self._alone_part < _MOST_ALONE
        return await self.locks.take(conn, self._lock_keys(items), may_share=may_share)
