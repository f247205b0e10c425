"""Coalesces concurrent requests into batches: while one batch is in the database, the next gathers.

No timer is involved, so a lone request is not delayed. Measured on two cores: one statement per
request tops out at about 4,500 requests a second, batches at more than twice that with a third of
the slowest percentile (ARCHITECTURE.md, decision 1).
"""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from audience.errors import Unavailable
from audience.server.turns import Turns

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Nobody waits longer than this for an answer, and until somebody looks at the clock (contract
#: D1.16: Android gives up after 5 s).
ANSWER_WITHIN_SECONDS = 4.5
MAX_WAITING = 10_000
_LOOK_AFTER_SECONDS = 0.25
#: Fewer items are never spread over two batches: a batch has costs of its own.
_SPREAD_FROM = 16
#: So long it takes to answer a caller and to read its next request, about.
_SECONDS_PER_CALLER = 50e-6
#: A flush is long when it takes so many times as long as serving the callers of all items.
_LONG_FLUSH = 3
#: Where processes share the processors, the callers of all items are waited for so many times as
#: long as serving them takes.
_PATIENCE = 4
#: Callers that did not come back at once are not waited for in so many batches.
_NO_GATHERING = 16


class _Waiting(Generic[Item, Result]):
    """One item in the queue with the future its caller waits for."""

    __slots__ = ("answer", "deadline", "item", "weight")

    def __init__(
        self, item: Item, weight: int, answer: "asyncio.Future[Result]", deadline: float
    ) -> None:
        self.item = item
        self.weight = weight
        self.answer = answer
        self.deadline = deadline


class Batcher(Generic[Item, Result]):
    """A queue whose items are flushed together.

    Under load a batch takes half of the items on their way. So two halves alternate: while one is
    in the database, the callers of the other are answered and send again. All in one batch, the
    process would wait for the database and the database for the process.
    When a flush takes long beside serving the callers (a slow disk), it is the other way round: all
    go together, and those that were answered just now are waited for, at most a third of a flush.
    They would wait for two flushes otherwise. Where several processes share the processors
    (`gathers`) all go together always.

    flush: takes items in arrival order, returns one result or exception per item, in that order; an
    exception it raises itself is every item's. It is never called twice at a time.
    max_weight: a batch takes items until their weights reach it, at least one.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result | BaseException]]],
        *,
        max_weight: int,
        max_waiting: int = MAX_WAITING,
        on_batch: Callable[[int], None] = lambda _: None,
        settle: Callable[[], Awaitable[None]] | None = None,
        takes_arrived: bool = False,
        gathers: bool = False,
    ) -> None:
        """on_batch: told the number of items of every batch, for metrics.

        settle: called after the answers of a batch are given and before the next flush.
        takes_arrived: before a flush, read the requests that have arrived already, where there were
        others lately. Good for short flushes: with few in a batch its own costs prevail.
        gathers: before short flushes too, wait a moment for the callers that were answered just
        now. For several processes that share processors: there is always one with work to do, so
        fewer batches count for more than a process that never waits.
        """
        self._flush = flush
        self._max_weight = max_weight
        self._max_waiting = max_waiting
        self._on_batch = on_batch
        self._settle = settle
        self._takes_arrived = takes_arrived
        self._gathers = gathers
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._batch: list[_Waiting[Item, Result]] = []
        self._worker: asyncio.Task[None] | None = None
        self._turns = Turns()
        self._is_closed = False
        # One timer now and then for everybody, none for each batch.
        self._is_watched = False
        self._is_late = False
        self._flush_deadline = math.inf
        # How long a flush takes; how many items are on their way, until when they may come back.
        self._flush_seconds = 0.0
        self._expected = 0
        self._back_at = 0.0
        self._gathering: asyncio.Future[None] | None = None
        #: In so many batches nobody is waited for.
        self.not_gathering = 0

    async def turn(self) -> None:
        """To be awaited before the work on a request: a flush goes first. Errors: Unavailable."""
        if self._worker is not None or self._turns:
            if len(self._queue) + len(self._turns) >= self._max_waiting:
                raise _too_many()
            await self._turns.wait()

    def submit(self, item: Item, weight: int = 1) -> "asyncio.Future[Result]":
        """The item's result, to be awaited, once the batch it went with is done.

        Errors: Unavailable when too many wait already, when the answer would come too late, or
        after `close`.
        """
        if self._is_closed or len(self._queue) >= self._max_waiting:
            raise _too_many()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._queue.append(_Waiting(item, weight, answer, loop.time() + ANSWER_WITHIN_SECONDS))
        if self._worker is None:
            self._worker = loop.create_task(self._work())
        elif self._gathering is not None and len(self._queue) >= self._expected:
            self._end_gathering()
        if not self._is_watched:
            self._is_watched = True
            loop.call_later(_LOOK_AFTER_SECONDS, self._look)
        return answer

    def has_waiting(self) -> bool:
        """Whether items wait for the next flush.

        Not who waits for a turn: it may go away, or be refused, and no flush come of it.
        """
        return bool(self._queue)

    def take_also(self, fits: Callable[[Item], bool]) -> list[Item]:
        """Items that arrived since the flush began and join its batch; for a flush that waited.

        The flush returns their results after those of the items it was called with. Items that
        don't fit keep their place in the queue.
        """
        weight = sum(entry.weight for entry in self._batch)
        joined: list[_Waiting[Item, Result]] = []
        kept: deque[_Waiting[Item, Result]] = deque()
        while self._queue and weight + self._queue[0].weight <= self._max_weight:
            entry = self._queue.popleft()
            if entry.answer.done():
                continue
            if fits(entry.item):
                joined.append(entry)
                weight += entry.weight
            else:
                kept.append(entry)
        self._queue.extendleft(reversed(kept))
        self._batch += joined
        return [entry.item for entry in joined]

    async def close(self) -> None:
        """Flush what waits, accept nothing more."""
        self._is_closed = True
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        """Flush batch after batch until nothing waits."""
        try:
            while self._queue:
                if self._takes_arrived and self._expected > 1:
                    await asyncio.sleep(0)
                await self._gather()
                self._batch = self._take()
                if self._batch:
                    await self._flush_batch(self._batch)
                    if not self._queue:
                        # Nothing is hurried by going on at once: the callers first.
                        await asyncio.sleep(0)
                    self._on_batch(len(self._batch))
                # Also when all that waited was refused meanwhile.
                if self._settle is not None:
                    # What fails here fails again in the next flush, which has callers to tell.
                    with contextlib.suppress(Exception):
                        await self._settle()
        finally:
            self._worker = None

    async def _flush_batch(self, batch: list[_Waiting[Item, Result]]) -> None:
        results: Sequence[Result | BaseException]
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._flush_deadline = batch[0].deadline
        try:
            results = await self._flush([entry.item for entry in batch])
        except asyncio.CancelledError:
            if not self._is_late or self._worker is None:
                raise
            self._worker.uncancel()
            results = [_too_late()] * len(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller must hear of it
            results = [error] * len(batch)
        finally:
            self._flush_deadline, self._is_late = math.inf, False
        now = loop.time()
        self._flush_seconds = (self._flush_seconds + now - started) / 2
        self._expected = len(self._queue) + len(batch)
        self._back_at = now + self._flush_seconds / _LONG_FLUSH
        if self._gathers:
            self._back_at = max(
                self._back_at, now + _PATIENCE * _SECONDS_PER_CALLER * self._expected
            )
        for entry, result in zip(batch, results, strict=True):
            if entry.answer.cancelled():
                continue
            if isinstance(result, BaseException):
                entry.answer.set_exception(result)
            else:
                entry.answer.set_result(result)

    def _is_long(self) -> bool:
        """Whether a flush takes long beside serving the callers of all items on their way."""
        return (
            self._gathers
            or self._flush_seconds > _LONG_FLUSH * _SECONDS_PER_CALLER * self._expected
        )

    async def _gather(self) -> None:
        """Before a long flush, wait a moment for the callers that were answered just now."""
        loop = asyncio.get_running_loop()
        waiting, seconds = len(self._queue), self._back_at - loop.time()
        if waiting >= self._expected or seconds <= 0 or not self._is_long():
            return
        if self.not_gathering > 0:
            self.not_gathering -= 1
            return
        self._gathering = loop.create_future()
        timer = loop.call_later(seconds, self._end_gathering)
        try:
            await self._gathering
        finally:
            self._gathering = None
            timer.cancel()
        if len(self._queue) - waiting < (self._expected - waiting) / 2:
            self.not_gathering = _NO_GATHERING

    def _end_gathering(self) -> None:
        if self._gathering is not None and not self._gathering.done():
            self._gathering.set_result(None)

    def _take(self) -> list[_Waiting[Item, Result]]:
        batch: list[_Waiting[Item, Result]] = []
        weight = 0
        on_their_way = max(len(self._queue), self._expected)
        most = len(self._queue) if self._is_long() else max(_SPREAD_FROM, (on_their_way + 1) // 2)
        while self._queue and len(batch) < most:
            if batch and weight + self._queue[0].weight > self._max_weight:
                break
            entry = self._queue.popleft()
            if not entry.answer.done():
                batch.append(entry)
                weight += entry.weight
        return batch

    def _look(self) -> None:
        """Refuse what has waited too long behind a slow batch, end a flush that takes too long.

        The queue is in deadline order.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._queue and self._queue[0].deadline <= now:
            entry = self._queue.popleft()
            if not entry.answer.done():
                entry.answer.set_exception(_too_late())
        if self._worker is None:
            self._is_watched = False
            return
        if self._flush_deadline <= now:
            self._is_late = True
            self._worker.cancel()
        loop.call_later(_LOOK_AFTER_SECONDS, self._look)


def _too_many() -> Unavailable:
    message = "Service Unavailable: too many requests are waiting, try again"
    return Unavailable(message, code="overload")


def _too_late() -> Unavailable:
    message = "Service Unavailable: the database is too slow, try again"
    return Unavailable(message, code="overload")
