"""Prometheus metrics: requests, batches, skipped entries, merges.

With several worker processes the figures of all of them are added up: `serve` sets
PROMETHEUS_MULTIPROC_DIR before this module is imported.
"""

import asyncio
import atexit
import os
from bisect import bisect_left
from collections.abc import Sequence

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
BATCH_SIZE = Histogram(
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

_answered: dict[tuple[str, int], ManyHistogram] = {}
_not_counted: dict[tuple[str, int], list[float]] = {}
#: So long a request may wait to be counted with others.
_GATHER_SECONDS = 0.02


def count_request(route: str, status: int, seconds: float) -> None:
    """Count one answered request, with others in a moment: no answer waits for it."""
    if not _not_counted:
        asyncio.get_running_loop().call_later(_GATHER_SECONDS, _count_requests)
    key = (route, status)
    if key in _not_counted:
        _not_counted[key].append(seconds)
    else:
        _not_counted[key] = [seconds]


def _count_requests() -> None:
    for key, amounts in _not_counted.items():
        requests = _answered.get(key)
        if requests is None:
            route, status = key
            requests = _answered[key] = REQUESTS.labels(route, str(status))
        requests.observe_many(amounts)
    _not_counted.clear()


atexit.register(_count_requests)


async def show_metrics(_request: web.Request) -> web.Response:
    """GET /metrics -> 200, Prometheus text format, of all worker processes.

    Requests that other workers answered in the last 20 ms may be missing.
    """
    _count_requests()
    registry = PROCESS_REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return web.Response(
        body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )
