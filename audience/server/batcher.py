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

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Nobody waits longer than this for an answer, and until somebody looks at the clock (contract
#: D1.16: Android gives up after 5 s).
ANSWER_WITHIN_SECONDS = 4.5
MAX_WAITING = 10_000
_LOOK_AFTER_SECONDS = 0.25
#: Fewer items are never spread over two batches: a batch has costs of its own.
_SPREAD_FROM = 16


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
    ) -> None:
        """on_batch: told the number of items of every batch, for metrics.

        settle: called after the answers of a batch are given and before the next flush.
        """
        self._flush = flush
        self._max_weight = max_weight
        self._max_waiting = max_waiting
        self._on_batch = on_batch
        self._settle = settle
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._batch: list[_Waiting[Item, Result]] = []
        self._worker: asyncio.Task[None] | None = None
        self._is_closed = False
        # One timer now and then for everybody, none for each batch.
        self._is_watched = False
        self._is_late = False
        self._flush_deadline = math.inf

    def submit(self, item: Item, weight: int = 1) -> "asyncio.Future[Result]":
        """The item's result, to be awaited, once the batch it went with is done.

        Errors: Unavailable when too many wait already, when the answer would come too late, or
        after `close`.
        """
        if self._is_closed or len(self._queue) >= self._max_waiting:
            message = "Service Unavailable: too many requests are waiting, try again"
            raise Unavailable(message, code="overload")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._queue.append(_Waiting(item, weight, answer, loop.time() + ANSWER_WITHIN_SECONDS))
        if self._worker is None:
            self._worker = loop.create_task(self._work())
        if not self._is_watched:
            self._is_watched = True
            loop.call_later(_LOOK_AFTER_SECONDS, self._look)
        return answer

    def has_waiting(self) -> bool:
        """Whether items wait for the next flush."""
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
        answered = 0
        try:
            while self._queue:
                self._batch = self._take(answered)
                answered = len(self._batch)
                if answered == 0:
                    continue
                await self._flush_batch(self._batch)
                size = len(self._batch)
                if not self._queue:
                    # Nothing is hurried by going on at once: the callers first.
                    await asyncio.sleep(0)
                    answered = 0
                self._on_batch(size)
                if self._settle is not None:
                    # What fails here fails again in the next flush, which has callers to tell.
                    with contextlib.suppress(Exception):
                        await self._settle()
        finally:
            self._worker = None

    async def _flush_batch(self, batch: list[_Waiting[Item, Result]]) -> None:
        results: Sequence[Result | BaseException]
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
        for entry, result in zip(batch, results, strict=True):
            if entry.answer.cancelled():
                continue
            if isinstance(result, BaseException):
                entry.answer.set_exception(result)
            else:
                entry.answer.set_result(result)

    def _take(self, answered: int) -> list[_Waiting[Item, Result]]:
        """The next batch; answered: how many items were answered just now, whose callers return."""
        batch: list[_Waiting[Item, Result]] = []
        weight = 0
        most = max(_SPREAD_FROM, (len(self._queue) + answered + 1) // 2)
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


def _too_late() -> Unavailable:
    message = "Service Unavailable: the database is too slow, try again"
    return Unavailable(message, code="overload")
