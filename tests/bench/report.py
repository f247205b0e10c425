"""The bench's report, as Markdown: printed, and written to BENCHMARKS.md."""

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.bench import exports
from tests.bench import persons as person_bench
from tests.bench.audiences.measure import AudienceFigures
from tests.bench.consents import measure as consent_bench
from tests.bench.exports import Exports
from tests.bench.memory import ITEMS_IN_REQUEST, Memory, Writes
from tests.bench.persons import Persons
from tests.bench.plan import CELLS, Cell, Figures, Verdict

_SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
)


_HOW_TO_REPEAT = (
    "`make bench` wrote this file and repeats it (needs `wrk`; Debian: `apt-get install wrk`). "
    "`.venv/bin/python -m tests.bench.run --help` lists the options."
)


@dataclass(frozen=True)
class Result:
    """Everything one run of the bench found out. settings: those of PostgreSQL."""

    date: str
    profiles: int
    rounds: int
    seconds: int
    settings: dict[str, str]
    figures: Figures
    writes: Writes
    memories: list[Memory]
    verdicts: list[Verdict]
    audiences: AudienceFigures | None = None
    exports: Exports | None = None
    consents: consent_bench.ConsentFigures | None = None
    persons: Persons | None = None


async def postgres_settings(url: str) -> dict[str, str]:
    conn = await asyncpg.connect(url)
    try:
        return {name: await conn.fetchval(f"SHOW {name}") for name in _SETTINGS}
    finally:
        await conn.close()


def render(result: Result) -> str:
    missed = sum(not verdict.is_met for verdict in result.verdicts)
    state = "All targets are met." if not missed else f"**{missed} targets are missed.**"
    sections = [
        "# Benchmarks",
        _HOW_TO_REPEAT,
        f"## Targets\n\n{state}\n\n{_verdict_table(result.verdicts)}",
        f"## Figures\n\n{_figure_table(result)}",
        *([f"## Audiences\n\n{_audience_table(result.audiences)}"] if result.audiences else []),
        f"## Memory\n\n{_memory_table(result)}",
        *([f"## Consents\n\n{consent_bench.render(result.consents)}"] if result.consents else []),
        *([f"## Exports\n\n{exports.section(result.exports)}"] if result.exports else []),
        *([f"## Persons\n\n{person_bench.section(result.persons)}"] if result.persons else []),
        f"## Machine\n\n{_machine(result)}",
        f"## What was measured\n\n{_method(result)}",
    ]
    return "\n\n".join(sections) + "\n"


def _verdict_table(verdicts: list[Verdict]) -> str:
    rows = ["| target | measured | |", "|---|---|---|"]
    for verdict in verdicts:
        mark = "met" if verdict.is_met else "**missed**"
        rows.append(f"| {verdict.target} | {verdict.outcome} | {mark} |")
    return "\n".join(rows)


def _figure_table(result: Result) -> str:
    rows = [
        "| load | contender | requests/s | slowest to fastest round | p50 ms | p99 ms |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for cell in CELLS:
        figure = result.figures[cell]
        rows.append(
            f"| {_load_name(cell)} | {cell.contender} | {figure.per_second:,.0f} "
            f"| {figure.least:,.0f} to {figure.most:,.0f} | {figure.p50:.2f} | {figure.p99:.2f} |"
        )
    note = f"Medians of {result.rounds} rounds of {result.seconds} s each."
    return "\n".join(rows) + "\n\n" + note


def _audience_table(audiences: AudienceFigures) -> str:
    rows = ["| what | measured |", "|---|--:|"]
    rows += [f"| {what} | {figure} |" for what, figure in audiences.rows]
    return "\n".join(rows)


def _load_name(cell: Cell) -> str:
    load = cell.load
    app = "" if load.visitors == "all" else f", {load.visitors} app"
    return f"{load.script}@{load.connections}{app}"


def _memory_table(result: Result) -> str:
    rows = ["| process | RSS MB | PSS MB |", "|---|--:|--:|"]
    rows += [f"| {row.name} | {row.rss:.0f} | {row.pss:.0f} |" for row in result.memories]
    writes = result.writes
    sent = (
        f"Read after {writes.items:,} written items (5 attributes and 2 identifiers each): "
        f"{writes.plain_requests:,} requests of one item, then {writes.batched_requests:,} "
        f"requests of {ITEMS_IN_REQUEST} items at 32 connections, all to the service with one "
        "worker, which had answered all its checks before too. The workers of the service with "
        "two took its share of the rounds only."
    )
    return "\n".join(rows) + "\n\n" + sent


def _machine(result: Result) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in result.settings.items())
    lines = [
        f"date: {result.date}",
        f"processor: {_cpu_model()}, {os.cpu_count()} cores for client, service and database",
        f"memory: {_memory_gigabytes():.0f} GB",
        f"kernel: {platform.system()} {platform.release()}",
        f"Python: {platform.python_version()}",
        f"PostgreSQL: {settings}",
        f"wrk: {_wrk_version()}",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gigabytes() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _wrk_version() -> str:
    printed = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    return (printed.stdout + printed.stderr).partition("Copyright")[0].strip()


def _method(result: Result) -> str:
    return f"""- {result.profiles:,} profiles with 8 attributes, a user ID, an e-mail, a device ID
  and 1 or 2 analytics visitor IDs, each in 3 of 10 audiences. Half are in the old app; after
  them ANALYZE ran; then the young app got the other half. Autovacuum is off for the measured tables
  (`autovacuum_enabled = false`), so that nothing analyzes the young app during the run.
  PostgreSQL is the service's own with its usual settings: every commit is durable.
- **a bare**: an aiohttp handler on uvloop that answers a constant. **b naive**: aiohttp,
  uvloop, an asyncpg pool of 10; one indexed SELECT for a check, one single-statement UPDATE for
  a write, on tables of its own with the same rows (analyzed completely). **c ours**:
  `audience-consent serve` with default settings, its log in a file.
- check: GET .../audiences/check/ of a random visitor of both apps and a random audience. write:
  POST /audiences/tracker/attributes/ with one item: 2 identifiers of one random existing
  profile of both apps and 5 attributes. `@32`: 32 connections in a closed loop, wrk with one
  thread, all on this machine.
- Audiences: two apps of the same size take turns, one with none (for checks: one) and one with 100
  audiences of 5 conditions (for checks: 500, each visitor in 25); a write changes about one
  membership. The preview and its hand-written twin count the same profiles and take turns. The fill
  runs in the background of the service while wrk writes to the same app; afterwards its members are
  compared with the hand-written count. `growthbook` and `posthog` evaluate the same rule in this
  process; first the three have to agree.
- The contenders take turns in every round, every other round backwards, and idle otherwise. A
  run with one answer that is no 2xx ends the bench. Before, 200 random checks are compared with
  what was filled in; after, a write to each service is looked up in the database."""
