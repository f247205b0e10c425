"""What is measured, in which order, and the targets (issue 2, section Speed)."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench.population import Population
from tests.bench.servers import Server
from tests.bench.wrk import Load, Run, run_wrk

CHECK_1, CHECK_32 = Load("check", 1), Load("check", 32)
CHECK_OLD, CHECK_YOUNG = Load("check", 32, "old"), Load("check", 32, "young")
WRITE_1, WRITE_32, WRITE_128 = Load("write", 1), Load("write", 32), Load("write", 128)
BARE, NAIVE, OURS, OURS_2 = "a bare", "b naive", "c ours", "c ours, 2 workers"


@dataclass(frozen=True)
class Cell:
    """One contender under one load."""

    contender: str
    load: Load


#: Contenders that are compared stand next to each other, so that they meet the same machine.
CELLS = [
    Cell(BARE, CHECK_1),
    Cell(NAIVE, CHECK_1),
    Cell(OURS, CHECK_1),
    Cell(BARE, CHECK_32),
    Cell(NAIVE, CHECK_32),
    Cell(OURS, CHECK_32),
    Cell(OURS_2, CHECK_32),
    Cell(OURS, CHECK_OLD),
    Cell(OURS, CHECK_YOUNG),
    Cell(NAIVE, WRITE_1),
    Cell(OURS, WRITE_1),
    Cell(NAIVE, WRITE_32),
    Cell(OURS, WRITE_32),
    Cell(OURS_2, WRITE_32),
    Cell(NAIVE, WRITE_128),
    Cell(OURS, WRITE_128),
]


@dataclass(frozen=True)
class Figure:
    """Medians over the rounds of one cell; slowest and fastest round in requests a second."""

    per_second: float
    p50: float
    p99: float
    least: float
    most: float


Figures = dict[Cell, Figure]


def figure_of(runs: list[Run]) -> Figure:
    rates = [run.per_second for run in runs]
    return Figure(
        statistics.median(rates),
        statistics.median(run.p50 for run in runs),
        statistics.median(run.p99 for run in runs),
        min(rates),
        max(rates),
    )


def measure(
    servers: Mapping[str, Server],
    population: Population,
    rounds: int,
    seconds: int,
    say: Callable[[str], None],
) -> tuple[Figures, int]:
    """(figures, items written by "c ours"): every cell once a round, every other round backwards.

    A warm-up of one second a cell goes first and does not count.
    """
    runs: dict[Cell, list[Run]] = {cell: [] for cell in CELLS}
    written = 0
    for number in range(rounds + 1):
        is_warm_up = number == 0
        for cell in CELLS if number % 2 else reversed(CELLS):
            base = servers[cell.contender].base
            # The same seed for all contenders: each gets the same visitors in the same order.
            run = run_wrk(base, cell.load, population, 1 if is_warm_up else seconds, number)
            if cell.contender == OURS and cell.load.script == "write":
                written += run.requests
            if not is_warm_up:
                runs[cell].append(run)
            where = "warm-up" if is_warm_up else f"round {number}/{rounds}"
            load = f"{cell.load.script}@{cell.load.connections} {cell.load.visitors}"
            say(f"{where}: {load} {cell.contender}: {run.per_second:,.0f}/s")
    return {cell: figure_of(found) for cell, found in runs.items()}, written


@dataclass(frozen=True)
class Verdict:
    """One target: what was asked, what came out, whether it holds."""

    target: str
    outcome: str
    is_met: bool


def judge(figures: Figures, worker_megabytes: float, items: int) -> list[Verdict]:
    """Every target of the issue, met or missed."""
    verdicts = [
        _at_least(figures, OURS, NAIVE, CHECK_32, 2.5),
        _no_slower_p99(figures),
        _at_least(figures, OURS, NAIVE, WRITE_32, 1.5),
        _at_least(figures, OURS, NAIVE, WRITE_128, 2.0),
        _lone(figures, CHECK_1),
        _lone(figures, WRITE_1),
        _at_least(figures, OURS_2, OURS, CHECK_32, 1.0),
        _at_least(figures, OURS_2, OURS, WRITE_32, 1.0),
    ]
    young, old = (figures[Cell(OURS, load)].per_second for load in (CHECK_YOUNG, CHECK_OLD))
    outcome = f"{young:,.0f}/s against {old:,.0f}/s = {young / old:.2f}"
    verdicts.append(
        Verdict("check@32: young app at least 0.90 x old app", outcome, young >= 0.9 * old)
    )
    outcome = f"{worker_megabytes:.0f} MB"
    target = f"memory of a worker after {items:,} written items below 150 MB (RSS)"
    verdicts.append(Verdict(target, outcome, worker_megabytes < 150))
    return verdicts


def _at_least(figures: Figures, one: str, other: str, load: Load, least: float) -> Verdict:
    rates = [figures[Cell(name, load)].per_second for name in (one, other)]
    ratio = rates[0] / rates[1]
    target = f"{load.script}@{load.connections}: {one} at least {least} x {other}"
    outcome = f"{rates[0]:,.0f}/s against {rates[1]:,.0f}/s = {ratio:.2f}"
    return Verdict(target, outcome, ratio >= least)


def _no_slower_p99(figures: Figures) -> Verdict:
    ours, naive = (figures[Cell(name, CHECK_32)].p99 for name in (OURS, NAIVE))
    outcome = f"{ours:.2f} ms against {naive:.2f} ms"
    return Verdict("check@32: p99 of c below p99 of b", outcome, ours < naive)


def _lone(figures: Figures, load: Load) -> Verdict:
    ours, naive = (figures[Cell(name, load)].p50 for name in (OURS, NAIVE))
    target = f"{load.script}@1: p50 of c at most 1.5 x p50 of b"
    outcome = f"{ours:.2f} ms against {naive:.2f} ms = {ours / naive:.2f}"
    return Verdict(target, outcome, ours <= 1.5 * naive)
