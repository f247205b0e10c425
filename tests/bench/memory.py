"""The memory of the service's workers after a million written items."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.population import Population
from tests.bench.servers import Server
from tests.bench.wrk import Load, run_wrk

ITEMS_IN_REQUEST = 20
_SLICE_SECONDS = 10


@dataclass(frozen=True)
class Memory:
    """Megabytes of one process. PSS counts a page shared by n processes as 1/n."""

    name: str
    rss: float
    pss: float


@dataclass(frozen=True)
class Writes:
    """What the service was sent before its memory was read."""

    plain_requests: int
    batched_requests: int

    @property
    def items(self) -> int:
        return self.plain_requests + self.batched_requests * ITEMS_IN_REQUEST


def write_items(
    server: Server, population: Population, plain: int, wanted: int, say: Callable[[str], None]
) -> Writes:
    """Send requests of 20 items until, with the plain ones sent before, `wanted` are written."""
    writes = Writes(plain, 0)
    load = Load("write", 32, items=ITEMS_IN_REQUEST)
    seed = 1000
    while writes.items < wanted:
        run = run_wrk(server.base, load, population, _SLICE_SECONDS, seed)
        writes = Writes(plain, writes.batched_requests + run.requests)
        seed += 1
        say(f"memory: {writes.items:,} of {wanted:,} items written")
    return writes


def memory_of(name: str, pids: list[int]) -> list[Memory]:
    return [Memory(f"{name}, worker {number}", *_megabytes(pid)) for number, pid in enumerate(pids)]


def _megabytes(pid: int) -> tuple[float, float]:
    sizes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size = line.split()[:2]
        sizes[name] = int(size)
    return sizes["Rss:"] / 1024, sizes["Pss:"] / 1024
