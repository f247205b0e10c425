"""Requests that arrived together are worked on a few at a time; the loop looks around between."""

import asyncio

from audience.server.turns import AT_A_TIME, Turns


async def test_the_loop_comes_round_between_a_few_requests() -> None:
    turns = Turns()
    order: list[str] = []

    async def request(number: int) -> None:
        await turns.wait()
        order.append(f"{number}")

    async def look_around() -> None:
        for _ in range(6):
            order.append("|")
            await asyncio.sleep(0)

    await asyncio.gather(*(request(number) for number in range(10)), look_around())
    rounds = "".join(order).split("|")
    assert "".join(rounds) == "0123456789"
    assert max(map(len, rounds)) == AT_A_TIME
    assert not turns


async def test_one_after_the_other_waits_for_nobody() -> None:
    turns = Turns()
    for _ in range(20):
        waiting = turns.wait()
        try:
            waiting.send(None)
        except StopIteration:
            pass
        else:
            raise AssertionError
        await asyncio.sleep(0)


async def test_who_went_away_takes_no_turn() -> None:
    turns = Turns()
    requests = [asyncio.ensure_future(turns.wait()) for _ in range(3 * AT_A_TIME)]
    await asyncio.sleep(0)
    assert len(turns) == 2 * AT_A_TIME
    for gone in requests[AT_A_TIME : 2 * AT_A_TIME]:
        gone.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert all(request.done() for request in requests)
    are_gone = [request.cancelled() for request in requests]
    assert are_gone == [False] * AT_A_TIME + [True] * AT_A_TIME + [False] * AT_A_TIME


async def test_of_many_who_wait_nobody_waits_for_many_turns() -> None:
    turns = Turns()
    requests = [asyncio.ensure_future(turns.wait()) for _ in range(5000)]
    rounds = 0
    while not all(request.done() for request in requests):
        rounds += 1
        await asyncio.sleep(0)
    assert rounds < 150
    assert not turns
