"""Prometheus metrics: requests, batches, skipped entries, merges.

With several worker processes the figures of all of them are added up: `serve` sets
PROMETHEUS_MULTIPROC_DIR before this module is imported.
"""

import os

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

# Its `_count` series counts the requests: one metric is written per request, not two.
REQUESTS = Histogram(
    "audience_request_seconds",
    "Requests answered and their time",
    ["route", "status"],
    buckets=_LATENCY_BUCKETS,
)
BATCH_SIZE = Histogram(
    "audience_batch_size", "Requests in one batch", ["batch"], buckets=_BATCH_BUCKETS
)
SKIPPED_ENTRIES = Counter("audience_skipped_entries", "Entries not applied", ["reason"])
MERGES = Counter("audience_merges", "Profiles absorbed into another one")
MERGE_REFUSALS = Counter("audience_merge_refusals", "Merges not made", ["reason"])
DROPPED_ANALYTICS = Counter("audience_dropped_analytics", "Analytics requests dropped")

_answered: dict[tuple[str, int], Histogram] = {}


def count_request(route: str, status: int, seconds: float) -> None:
    """Count one answered request; the label children are looked up once."""
    key = (route, status)
    requests = _answered.get(key)
    if requests is None:
        requests = _answered[key] = REQUESTS.labels(route, str(status))
    requests.observe(seconds)


async def show_metrics(_request: web.Request) -> web.Response:
    """GET /metrics -> 200, Prometheus text format, of all worker processes."""
    registry = PROCESS_REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return web.Response(
        body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )
