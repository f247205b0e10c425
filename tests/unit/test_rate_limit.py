"""Limits per address: a token bucket, forgotten when it is full again."""

import pytest

from audience.errors import TooManyRequests
from audience.server import rate_limit
from audience.server.rate_limit import RateLimit


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _allowed(limit: RateLimit, caller: str, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            limit.check(caller)
        except TooManyRequests:
            continue
        count += 1
    return count


def test_a_minutes_requests_at_once_and_then_evenly() -> None:
    clock = Clock()
    limit = RateLimit(6, clock)
    assert _allowed(limit, "a", 10) == 6
    assert _allowed(limit, "b", 10) == 6
    clock.now += 9.9
    assert _allowed(limit, "a", 10) == 0
    clock.now += 0.2
    assert _allowed(limit, "a", 10) == 1
    clock.now += 600
    assert _allowed(limit, "a", 10) == 6


def test_the_refusal_says_when_to_come_back() -> None:
    limit = RateLimit(6, Clock())
    _allowed(limit, "a", 6)
    with pytest.raises(TooManyRequests, match="at most 6 a minute") as refusal:
        limit.check("a")
    assert refusal.value.retry_after_seconds == 10


def test_zero_means_no_limit() -> None:
    assert _allowed(RateLimit(0, Clock()), "a", 10_000) == 10_000


def test_callers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    limit = RateLimit(6, clock)
    for number in range(100):
        limit.check(str(number))
    assert len(limit._buckets) == 100  # noqa: SLF001 - what is kept is the point
    clock.now += 60
    limit.check("last")
    assert list(limit._buckets) == ["last"]  # noqa: SLF001
    monkeypatch.setattr(rate_limit, "_MAX_CALLERS", 10)
    for number in range(100):
        limit.check(str(number))
    assert len(limit._buckets) == 10  # noqa: SLF001
