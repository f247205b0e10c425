"""What audiences cost, and the targets (issue 3, section Speed)."""

import asyncio
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg

from audience.audiences.definition import parse_definition
from audience.audiences.insight.operations import preview_definition
from audience.audiences.patterns import compile_pattern
from tests.bench.audiences import data, evaluators, rules
from tests.bench.audiences.data import CROWD_APP, PLAIN_APP, TARGETED_APP, Crowd
from tests.bench.plan import Verdict
from tests.bench.population import Population
from tests.bench.servers import Server
from tests.bench.wrk import BenchError, Load, run_wrk

AUDIENCES = 100
CONNECTIONS = 32
_FILL_PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Sizes:
    """How much is measured. pair: visitors in each of the two small apps."""

    pair: int
    crowd: int
    rounds: int
    seconds: int


@dataclass
class AudienceFigures:
    """(what, figure) for the table, and the targets."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)


def measure_audiences(
    server: Server, url: str, sizes: Sizes, say: Callable[[str], None]
) -> AudienceFigures:
    """Everything about audiences, on apps of their own of the service that runs."""
    found = AudienceFigures()
    _measure_evaluators(found, sizes)
    pair = Population(sizes.pair * 2, old_app=PLAIN_APP, young_app=TARGETED_APP)
    asyncio.run(data.fill_pair(url, pair, say))
    _measure_writes(found, server, url, pair, sizes, say)
    _measure_reads(found, server, url, pair, sizes, say)
    crowd = Crowd(sizes.crowd, sizes.pair)
    asyncio.run(data.fill_crowd(url, crowd, say))
    say("previews")
    asyncio.run(_measure_preview(found, url, sizes))
    _measure_fill(found, server, url, crowd, say)
    return found


def _measure_evaluators(found: AudienceFigures, sizes: Sizes) -> None:
    times = evaluators.measure_evaluators(2_000, max(sizes.rounds, 5))
    for name, micros in times.items():
        found.rows.append((f"one nested rule of 5 conditions, {name}", f"{micros:.2f} us"))
    for name in (evaluators.GROWTHBOOK, evaluators.POSTHOG):
        ratio = times[name] / times[evaluators.OURS]
        target = f"nested 5-leaf rule: ours at least 3 times faster than {name}"
        outcome = f"{times[evaluators.OURS]:.2f} us against {times[name]:.2f} us = {ratio:.1f}"
        found.verdicts.append(Verdict(target, outcome, ratio >= 3))


def _take_turns(
    server: Server, pair: Population, load: Load, sizes: Sizes
) -> tuple[list[float], list[float]]:
    """Requests a second on the plain and on the targeted app, every other round backwards."""
    rates: dict[str, list[float]] = {"old": [], "young": []}
    for number in range(sizes.rounds + 1):
        for visitors in ("old", "young") if number % 2 else ("young", "old"):
            its_load = Load(load.script, load.connections, visitors, load.items)
            run = run_wrk(server.base, its_load, pair, sizes.seconds if number else 1, number)
            if number:
                rates[visitors].append(run.per_second)
    return rates["old"], rates["young"]


def _measure_writes(
    found: AudienceFigures,
    server: Server,
    url: str,
    pair: Population,
    sizes: Sizes,
    say: Callable[[str], None],
) -> None:
    say(f"making {AUDIENCES} audiences")
    asyncio.run(data.add_audiences(url, TARGETED_APP, rules.audience_definitions(AUDIENCES)))
    _wait_until_filled(url)
    plain, targeted = _take_turns(server, pair, Load("write", CONNECTIONS), sizes)
    rates = statistics.median(plain), statistics.median(targeted)
    for name, rate in zip(("none", f"{AUDIENCES} of 5 conditions"), rates, strict=True):
        found.rows.append((f"write@{CONNECTIONS}, audiences: {name}", f"{rate:,.0f}/s"))
    cost = rates[0] / rates[1]
    target = f"write@{CONNECTIONS} with {AUDIENCES} audiences costs at most 1.6 x one with none"
    outcome = f"{rates[0]:,.0f}/s against {rates[1]:,.0f}/s = {cost:.2f}"
    found.verdicts.append(Verdict(target, outcome, cost <= 1.6))


def _measure_reads(
    found: AudienceFigures,
    server: Server,
    url: str,
    pair: Population,
    sizes: Sizes,
    say: Callable[[str], None],
) -> None:
    say(f"filling members of {data.MANY_AUDIENCES} audiences")
    asyncio.run(data.fill_members(url, PLAIN_APP, 1, 1))
    asyncio.run(data.fill_members(url, TARGETED_APP, data.MANY_AUDIENCES, data.MEMBER_OF))
    load = Load("check", CONNECTIONS, items=data.MANY_AUDIENCES)
    few, many = _take_turns(server, pair, load, sizes)
    rates = statistics.median(few), statistics.median(many)
    for count, rate in zip((1, data.MANY_AUDIENCES), rates, strict=True):
        found.rows.append((f"check@{CONNECTIONS}, audiences: {count}", f"{rate:,.0f}/s"))
    target = f"check@{CONNECTIONS} costs the same with 1 and {data.MANY_AUDIENCES} audiences (10 %)"
    outcome = f"{rates[0]:,.0f}/s against {rates[1]:,.0f}/s = {rates[0] / rates[1]:.2f}"
    found.verdicts.append(Verdict(target, outcome, rates[1] >= 0.9 * rates[0]))


async def _measure_preview(found: AudienceFigures, url: str, sizes: Sizes) -> None:
    conn = await asyncpg.connect(url)
    definition = parse_definition(rules.NESTED, compile_pattern)
    ours, theirs = [], []
    try:
        for _ in range(max(sizes.rounds, 3)):
            started = time.perf_counter()
            expected = await conn.fetchval(rules.NESTED_SQL, CROWD_APP)
            theirs.append(time.perf_counter() - started)
            started = time.perf_counter()
            preview = await preview_definition(
                conn, CROWD_APP, definition, "UTC", datetime.now(UTC)
            )
            ours.append(time.perf_counter() - started)
            if preview.count != expected or preview.total != sizes.crowd:
                raise BenchError(f"the preview counts {preview.count}, plain SQL {expected}")
    finally:
        await conn.close()
    seconds = statistics.median(ours), statistics.median(theirs)
    found.rows.append((f"preview over {sizes.crowd:,} profiles", f"{seconds[0]:.2f} s"))
    found.rows.append(("the same count in hand-written SQL", f"{seconds[1]:.2f} s"))
    target = f"preview over {sizes.crowd:,} profiles at most 2 x hand-written SQL"
    ratio = seconds[0] / seconds[1]
    outcome = f"{seconds[0]:.2f} s against {seconds[1]:.2f} s = {ratio:.2f}"
    found.verdicts.append(Verdict(target, outcome, ratio <= 2))


def _measure_fill(
    found: AudienceFigures, server: Server, url: str, crowd: Crowd, say: Callable[[str], None]
) -> None:
    """Writes to the app go on while one of its audiences is filled."""
    load = Load("write", CONNECTIONS, "old")
    population = crowd.population
    before = [run_wrk(server.base, load, population, 5, seed).per_second for seed in (1, 2)][1]
    say(f"filling an audience over {crowd.size:,} profiles")
    started = time.monotonic()
    with ThreadPoolExecutor(1) as executor:
        asyncio.run(data.add_audiences(url, CROWD_APP, [rules.NESTED]))
        filled = executor.submit(_wait_until_filled, url)
        rates = []
        while not filled.done():
            run = run_wrk(server.base, load, population, 2, 100 + len(rates))
            rates.append(run.per_second)
        seconds = filled.result() - started
    asyncio.run(_require_right_members(url))
    # The last run goes past the end of the fill.
    during = statistics.mean(rates[:-1] or rates)
    found.rows.append((f"filling one audience over {crowd.size:,} profiles", f"{seconds:.1f} s"))
    found.rows.append((f"write@{CONNECTIONS} meanwhile", f"{during:,.0f}/s"))
    found.rows.append((f"write@{CONNECTIONS} of that app before", f"{before:,.0f}/s"))
    found.verdicts += [
        Verdict(
            f"filling {crowd.size:,} profiles while writes go on below 60 s",
            f"{seconds:.1f} s",
            seconds < 60,
        ),
        Verdict(
            "writes keep at least half their rate while an audience is filled",
            f"{during:,.0f}/s against {before:,.0f}/s = {during / before:.2f}",
            during >= before / 2,
        ),
    ]


def _wait_until_filled(url: str) -> float:
    """The moment, on the monotonic clock, at which nothing is being filled any more."""
    deadline = time.monotonic() + _FILL_PATIENCE_SECONDS
    while asyncio.run(data.is_filling(url)):
        if time.monotonic() > deadline:
            raise BenchError(f"an audience is not filled after {_FILL_PATIENCE_SECONDS} s")
        time.sleep(0.2)
    return time.monotonic()


async def _require_right_members(url: str) -> None:
    # One statement: writes that were under way when wrk ended may still come.
    conn = await asyncpg.connect(url)
    try:
        expected, stored = await conn.fetchrow(
            f"SELECT ({rules.NESTED_SQL}),"
            " (SELECT count(*) FROM audience_members WHERE app_id = $1)",
            CROWD_APP,
        )
        if stored != expected:
            raise BenchError(f"the fill found {stored} members, plain SQL {expected}")
    finally:
        await conn.close()
