"""The batcher: what waits together is flushed together, nobody waits for a timer or forever."""

import asyncio
from collections.abc import Sequence

import pytest

from audience.errors import Unavailable
from audience.server import batcher
from audience.server.batcher import Batcher
from audience.server.turns import AT_A_TIME


class Store:
    """A flush that can be held and that notes its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.has_started = asyncio.Event()

    async def flush(self, items: Sequence[int]) -> list[int | BaseException]:
        self.batches.append(list(items))
        self.has_started.set()
        await self.may_go.wait()
        if -1 in items:
            message = "poison"
            raise ValueError(message)
        return [KeyError(item) if item == 13 else item * 2 for item in items]


async def test_items_that_arrive_during_a_flush_go_together() -> None:
    store = Store()
    batches: list[int] = []
    subject = Batcher[int, int](store.flush, max_weight=100, on_batch=batches.append)
    store.may_go.clear()
    first = subject.submit(1)
    await store.has_started.wait()
    rest = [subject.submit(number) for number in (2, 3, 4)]
    store.may_go.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert store.batches == [[1], [2, 3, 4]]
    assert batches == [1, 3]


async def test_batches_are_bounded_by_weight_but_never_empty() -> None:
    store = Store()
    subject = Batcher[int, int](store.flush, max_weight=10)
    weights = (6, 4, 5, 50, 1)
    answers = [subject.submit(number, weight) for number, weight in enumerate(weights)]
    await asyncio.gather(*answers)
    assert store.batches == [[0, 1], [2], [3], [4]]


async def test_each_caller_gets_its_own_result_or_error() -> None:
    subject = Batcher[int, int](Store().flush, max_weight=10)
    results = await asyncio.gather(*(subject.submit(n) for n in (1, 13, 2)), return_exceptions=True)
    assert results[0] == 2
    assert isinstance(results[1], KeyError)
    assert results[2] == 4


async def test_error_of_a_flush_is_every_callers_and_the_next_batch_goes_on() -> None:
    subject = Batcher[int, int](Store().flush, max_weight=10)
    failed = await asyncio.gather(subject.submit(-1), subject.submit(1), return_exceptions=True)
    assert [type(error) for error in failed] == [ValueError, ValueError]
    assert await subject.submit(2) == 4


async def test_caller_that_went_away_is_left_out() -> None:
    store = Store()
    subject = Batcher[int, int](store.flush, max_weight=10)
    store.may_go.clear()
    first = subject.submit(1)
    await store.has_started.wait()
    gone, kept = subject.submit(2), subject.submit(3)
    gone.cancel()
    store.may_go.set()
    assert await asyncio.gather(first, kept) == [2, 6]
    assert store.batches == [[1], [3]]


async def test_too_many_waiting_are_shed() -> None:
    store = Store()
    subject = Batcher[int, int](store.flush, max_weight=10, max_waiting=2)
    store.may_go.clear()
    first = subject.submit(0)
    await store.has_started.wait()
    waiting = [subject.submit(1), subject.submit(2)]
    with pytest.raises(Unavailable, match="too many"):
        subject.submit(3)
    store.may_go.set()
    assert await asyncio.gather(first, *waiting) == [0, 2, 4]


async def test_nobody_waits_longer_than_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher, "ANSWER_WITHIN_SECONDS", 0.05)
    monkeypatch.setattr(batcher, "_LOOK_AFTER_SECONDS", 0.01)
    store = Store()
    subject = Batcher[int, int](store.flush, max_weight=1)
    store.may_go.clear()
    results = await asyncio.gather(subject.submit(1), subject.submit(2), return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable, Unavailable]
    store.may_go.set()
    assert await subject.submit(3) == 6


@pytest.mark.parametrize("gathers", [False, True])
async def test_processes_that_share_processors_wait_for_callers_before_short_flushes_too(
    gathers: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    store = Store()
    subject = Batcher[int, int](store.flush, max_weight=10_000, gathers=gathers)
    # So many that the moment is long beside what follows.
    many = [*range(100, 2100)]
    await asyncio.gather(*[subject.submit(number) for number in many])
    store.batches.clear()
    early = subject.submit(many[0])
    for _ in range(5):
        await asyncio.sleep(0)
    assert early.done() is not gathers
    await asyncio.gather(early, *[subject.submit(number) for number in many[1:]])
    assert store.batches[0] == (many if gathers else many[:1])


async def test_close_flushes_what_waits_and_accepts_no_more() -> None:
    store = Store()
    subject = Batcher[int, int](store.flush, max_weight=1)
    answers = [subject.submit(number) for number in (1, 2, 3)]
    await subject.close()
    assert [answer.result() for answer in answers] == [2, 4, 6]
    with pytest.raises(Unavailable):
        subject.submit(4)


async def test_a_flush_may_take_what_arrived_while_it_waited() -> None:
    store = Store()
    subject: Batcher[int, int]

    async def flush(items: Sequence[int]) -> list[int | BaseException]:
        store.has_started.set()
        await store.may_go.wait()
        return await store.flush([*items, *subject.take_also(lambda item: item < 10)])

    subject = Batcher[int, int](flush, max_weight=4)
    store.may_go.clear()
    first = subject.submit(1)
    await store.has_started.wait()
    rest = [subject.submit(number) for number in (2, 20, 3, 4, 5)]
    gone = subject.submit(6)
    gone.cancel()
    store.may_go.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 40, 6, 8, 10]
    assert store.batches == [[1, 2, 3, 4], [20, 5]]


async def test_under_load_two_halves_alternate() -> None:
    store = Store()
    subject = Batcher[int, int](store.flush, max_weight=1000)

    async def client(number: int) -> None:
        for _ in range(20):
            await subject.submit(number)

    await asyncio.gather(*(client(number) for number in range(100, 140)))
    sizes = [len(batch) for batch in store.batches]
    assert sum(sizes) == 800
    assert set(sizes[:-2]) == {20}


async def test_few_items_go_together() -> None:
    store = Store()
    subject = Batcher[int, int](store.flush, max_weight=1000)
    await asyncio.gather(*(subject.submit(number) for number in range(20, 36)))
    assert [len(batch) for batch in store.batches] == [16]


class SlowStore(Store):
    """A flush that takes its time."""

    async def flush(self, items: Sequence[int]) -> list[int | BaseException]:
        await asyncio.sleep(0.1)
        return await super().flush(items)


async def test_callers_of_a_slow_flush_go_together() -> None:
    store = SlowStore()
    subject = Batcher[int, int](store.flush, max_weight=1000)

    async def client(number: int) -> None:
        # Half of them begin while the first batch is in the database.
        await asyncio.sleep(0.05 * (number % 2))
        for _ in range(10):
            await subject.submit(number)

    await asyncio.gather(*(client(number) for number in range(100, 140)))
    sizes = [len(batch) for batch in store.batches]
    assert sum(sizes) == 400
    assert set(sizes[1:-1]) == {40}


async def test_callers_that_do_not_return_are_not_waited_for() -> None:
    store = SlowStore()
    subject = Batcher[int, int](store.flush, max_weight=1000)
    answers = []
    for number in range(100, 130):
        answers.append(subject.submit(number))
        await asyncio.sleep(0.025)
    await asyncio.gather(*answers)
    assert subject.not_gathering > 0
    assert sum(len(batch) for batch in store.batches) == 30


async def test_who_keeps_something_is_told_also_when_all_callers_have_gone() -> None:
    store, settled = Store(), []

    async def settle() -> None:
        settled.append(len(store.batches))

    subject = Batcher[int, int](store.flush, max_weight=10, settle=settle)
    subject.submit(1).cancel()
    await subject.close()
    assert (store.batches, settled) == ([], [0])


async def test_a_flush_goes_before_requests_that_are_not_items_yet() -> None:
    store, worked_on = Store(), []
    subject = Batcher[int, int](store.flush, max_weight=100)

    async def request(number: int) -> int:
        await subject.turn()
        worked_on.append(number)
        return await subject.submit(number)

    # Nothing is under way: nobody waits.
    await asyncio.gather(*(subject.turn() for _ in range(20)))
    store.may_go.clear()
    first = asyncio.ensure_future(request(0))
    await store.has_started.wait()
    rest = [asyncio.ensure_future(request(number)) for number in range(1, 11)]
    await asyncio.sleep(0)
    assert worked_on == list(range(1 + AT_A_TIME))
    store.may_go.set()
    assert await asyncio.gather(first, *rest) == [number * 2 for number in range(11)]
    assert worked_on == list(range(11))


async def test_who_waits_for_a_turn_is_no_item_that_waits() -> None:
    # It may go away: who would keep a lock for it would keep it for nobody.
    store = Store()
    subject = Batcher[int, int](store.flush, max_weight=100)
    store.may_go.clear()
    first = subject.submit(1)
    await store.has_started.wait()
    turns = [asyncio.ensure_future(subject.turn()) for _ in range(8)]
    await asyncio.sleep(0)
    assert not all(turn.done() for turn in turns)
    assert not subject.has_waiting()
    for turn in turns:
        turn.cancel()
    store.may_go.set()
    assert await first == 2


async def test_too_many_who_wait_for_a_turn_are_shed() -> None:
    store = Store()
    subject = Batcher[int, int](store.flush, max_weight=100, max_waiting=5)
    store.may_go.clear()
    first = subject.submit(1)
    await store.has_started.wait()
    turns = [asyncio.ensure_future(subject.turn()) for _ in range(AT_A_TIME + 6)]
    results = await asyncio.gather(*turns, return_exceptions=True)
    assert [type(result) for result in results].count(Unavailable) == 1
    store.may_go.set()
    assert await first == 2
