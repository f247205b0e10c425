"""Running wrk: one thread, a closed loop, random visitors; refuses to report a run with errors."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.population import Population

_FOLDER = Path(__file__).parent


class BenchError(Exception):
    """The bench can't go on, or a result can't be trusted; one line for people."""


@dataclass(frozen=True)
class Run:
    """What one run of wrk saw; p50 and p99 in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True)
class Load:
    """What is asked: script (check or write), connections, visitors (all, old, young), items.

    items: of a write; of a check, among how many audiences it chooses, at least ten.
    """

    script: str
    connections: int
    visitors: str = "all"
    items: int = 1


def require_wrk() -> None:
    """Errors: BenchError when wrk is missing."""
    if shutil.which("wrk") is None:
        raise BenchError("wrk is missing; install wrk: apt-get install wrk")


def run_wrk(base: str, load: Load, population: Population, seconds: float, seed: int) -> Run:
    """One run against a server.  Errors: BenchError when any answer was not a 2xx."""
    first, end = {
        "all": (0, population.size),
        "old": (0, population.half),
        "young": (population.half, population.size),
    }[load.visitors]
    arguments = [seed, first, end, population.old_app, population.young_app]
    arguments += [population.half, load.items]
    command = ["wrk", "--latency", "-t1", f"-c{load.connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--timeout", "10s", "-s", str(_FOLDER / f"{load.script}.lua"), base, "--"]
    finished = subprocess.run(
        [*command, *map(str, arguments)],
        env={**os.environ, "BENCH_LUA": str(_FOLDER)},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    for line in finished.stdout.splitlines():
        if line.startswith("RESULT "):
            requests, micros, p50, p99, refused, broken = map(int, line.split()[1:])
            if refused or broken or not requests:
                raise BenchError(
                    f"{refused} answers of {base} were no 2xx and {broken} connections broke,"
                    f" out of {requests} requests ({load})"
                )
            return Run(requests, micros / 1e6, p50 / 1000, p99 / 1000)
    raise BenchError(f"wrk failed on {base}: {finished.stdout}{finished.stderr}")
