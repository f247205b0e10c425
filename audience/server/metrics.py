"""Prometheus metrics: requests, batches, skipped entries, merges.

With several worker processes the figures of all of them are added up: `serve` sets
PROMETHEUS_MULTIPROC_DIR before this module is imported.
"""

import asyncio
import atexit
import os
from bisect import bisect_left
from collections.abc import Callable, Sequence

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client import REGISTRY as PROCESS_REGISTRY

_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class ManyHistogram(Histogram):
    """A histogram that takes many observations at once; one by one they cost five times as much.

    (With several processes each one writes to a shared file, after asking which process it is in.)
    """

    def observe_many(self, amounts: Sequence[float]) -> None:
        """As `observe` for each."""
        counts = [0] * len(self._upper_bounds)
        for amount in amounts:
            counts[bisect_left(self._upper_bounds, amount)] += 1
        self._sum.inc(sum(amounts))
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


# Its `_count` series counts the requests: one metric is written per request, not two.
REQUESTS = ManyHistogram(
    "audience_request_seconds",
    "Requests answered and their time",
    ["route", "status"],
    buckets=_LATENCY_BUCKETS,
)
BATCH_SIZE = ManyHistogram(
    "audience_batch_size", "Requests in one batch", ["batch"], buckets=_BATCH_BUCKETS
)
WRITE_TURNS = Counter(
    "audience_write_turns",
    "Batches of writes: alone, shared with other workers, or repeated because that could not be",
    ["turn"],
)
SKIPPED_ENTRIES = Counter("audience_skipped_entries", "Entries not applied", ["reason"])
MERGES = Counter("audience_merges", "Profiles absorbed into another one")
MERGE_REFUSALS = Counter("audience_merge_refusals", "Merges not made", ["reason"])
DROPPED_ANALYTICS = Counter("audience_dropped_analytics", "Analytics requests dropped")

#: What is not counted yet: it is with others in a moment, so that no answer waits for it.
_seconds: dict[tuple[str, int], list[float]] = {}
_batch_sizes: dict[str, list[float]] = {}
_turns: dict[str, int] = {}
_GATHER_SECONDS = 0.02
_is_due = False
_answered: dict[tuple[str, int], ManyHistogram] = {}


def count_request(route: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    key = (route, status)
    if key in _seconds:
        _seconds[key].append(seconds)
    else:
        _seconds[key] = [seconds]
    _count_soon()


def batch_counter(batch: str) -> Callable[[int], None]:
    """What counts a batch of that name when it is called with the number of its requests."""
    sizes = _batch_sizes.setdefault(batch, [])
    # So that it is shown, with 0, before the first one.
    BATCH_SIZE.labels(batch)

    def count(size: int) -> None:
        sizes.append(size)
        _count_soon()

    return count


def count_turn(turn: str) -> None:
    """Count one batch of writes: alone, shared or repeated."""
    _turns[turn] = _turns.get(turn, 0) + 1
    _count_soon()


def _count_soon() -> None:
    global _is_due  # noqa: PLW0603 - one process, one loop
    if not _is_due:
        _is_due = True
        asyncio.get_running_loop().call_later(_GATHER_SECONDS, _count)


def _count() -> None:
    global _is_due  # noqa: PLW0603
    _is_due = False
    for key, amounts in _seconds.items():
        requests = _answered.get(key)
        if requests is None:
            route, status = key
            requests = _answered[key] = REQUESTS.labels(route, str(status))
        requests.observe_many(amounts)
    _seconds.clear()
    for batch, sizes in _batch_sizes.items():
        if sizes:
            BATCH_SIZE.labels(batch).observe_many(sizes)
            sizes.clear()
    for turn, count in _turns.items():
        WRITE_TURNS.labels(turn).inc(count)
    _turns.clear()


atexit.register(_count)


async def show_metrics(_request: web.Request) -> web.Response:
    """GET /metrics -> 200, Prometheus text format, of all worker processes.

    What other workers did in the last 20 ms may be missing.
    """
    _count()
    registry = PROCESS_REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return web.Response(
        body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )
