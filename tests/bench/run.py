"""`make bench`: the service against a bare handler and a naive service, on its own PostgreSQL."""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
if str(_ROOT) not in sys.path:
    sys.path.insert(0, str(_ROOT))

from audience.server import migrations  # noqa: E402 - the path is set above
from audience.server.embedded_postgres import EmbeddedPostgresError, join  # noqa: E402
from tests.bench import checks, exports, memory, persons, plan, report, servers  # noqa: E402
from tests.bench.audiences.measure import (  # noqa: E402
    AudienceFigures,
    Sizes,
    measure_audiences,
)
from tests.bench.consents import measure as consents  # noqa: E402
from tests.bench.population import Population, fill  # noqa: E402
from tests.bench.wrk import BenchError, require_wrk  # noqa: E402

_DESCRIPTION = """\
Measures the service (c) against a bare aiohttp handler (a) and a naive service with one statement
per request (b), all in one run, taking turns. Starts its own PostgreSQL in a temporary directory,
fills it, measures with wrk, stops and removes everything.

  python -m tests.bench.run             the whole bench (~20 minutes), writes BENCHMARKS.md
  python -m tests.bench.run --quick     does it all work? (~2 minutes), prints only

Ends with status 1 when a target is missed, 2 when the bench itself failed."""


_LEAST = {"profiles": 100, "rows": 20_000}


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        require_wrk()
        result = _bench(options)
    except (BenchError, EmbeddedPostgresError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 130
    text = report.render(result)
    print(text)
    if options.output is not None:
        options.output.write_text(text)
        _say(f"written to {options.output}")
    return 0 if all(verdict.is_met for verdict in result.verdicts) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.run",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="few profiles, one round of 1 s; writes no file")
    add("--profiles", type=int, metavar="N", help="visitors in both apps together [200000]")
    add("--seconds", type=int, metavar="N", help="length of one run of wrk [5]")
    add("--rounds", type=int, metavar="N", help="runs of each contender under each load [5]")
    add("--rows", type=int, metavar="N", help="profiles previewed, filled, exported [1000000]")
    add("--items", type=int, metavar="N", help="items written before memory is read [1000000]")
    add("--date", default=f"{datetime.now(UTC):%Y-%m-%d}", help="date in the report [today]")
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="where the report goes [BENCHMARKS.md; with --quick: nowhere]",
    )
    options = parser.parse_args()
    # (default, with --quick)
    defaults = {
        "profiles": (200_000, 20_000),
        "seconds": (5, 1),
        "rounds": (5, 1),
        "rows": (1_000_000, 20_000),
        "items": (1_000_000, 20_000),
        "output": (_ROOT / "BENCHMARKS.md", None),
    }
    for name, (default, quick) in defaults.items():
        given = getattr(options, name)
        if given is None:
            setattr(options, name, quick if options.quick else default)
        elif name != "output" and given < _LEAST.get(name, 1):
            parser.error(f"--{name} {given} is too small")
    return options


def _bench(options: argparse.Namespace) -> report.Result:
    population = Population(options.profiles)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        # PostgreSQL may run as another user, who must be able to pass through.
        folder.chmod(0o711)
        _say("starting PostgreSQL")
        url = stack.enter_context(join(folder / "data")).database.url
        migrations.migrate(url)
        asyncio.run(fill(url, population, _say))
        running = {
            plan.BARE: stack.enter_context(servers.bare(folder)),
            plan.NAIVE: stack.enter_context(servers.naive(folder, url)),
            plan.OURS: stack.enter_context(servers.ours(folder, url, 1)),
            plan.OURS_2: stack.enter_context(servers.ours(folder, url, 2)),
        }
        result = _measure(options, population, running, url)
        targeted = _measure_audiences(options, folder, url)
        exported = _measure_exports(options, folder, url)
        person = _measure_persons(options, folder, url)
    decided = _measure_consents(options)
    verdicts = [*result.verdicts, *targeted.verdicts, *exports.judge(exported)]
    verdicts += [*consents.judge(decided), *persons.judge(person)]
    return replace(
        result,
        audiences=targeted,
        exports=exported,
        consents=decided,
        persons=person,
        verdicts=verdicts,
    )


def _measure_audiences(options: argparse.Namespace, folder: Path, url: str) -> AudienceFigures:
    """With a service of its own, on apps of their own."""
    sizes = Sizes(options.rows // 50, options.rows, options.rounds, options.seconds)
    with servers.ours(folder, url, 1) as server:
        return measure_audiences(server, url, sizes, _say)


def _measure_exports(options: argparse.Namespace, folder: Path, url: str) -> exports.Exports:
    """Last, with a service of its own: its memory is that of exports alone."""
    credentials = asyncio.run(exports.fill(url, options.rows, _say))
    rounds = min(options.rounds, 3)
    with servers.ours(folder, url, 1) as server:
        return asyncio.run(exports.measure(url, server, credentials, options.rows, rounds, _say))


def _measure_persons(options: argparse.Namespace, folder: Path, url: str) -> persons.Persons:
    """With a service of its own, in an app of its own."""
    rounds = min(options.rounds, 3)
    seconds = max(options.seconds, 10)
    person_rows = asyncio.run(
        persons.fill(url, options.rows, persons.needed(rounds, seconds), _say)
    )
    with servers.ours(folder, url, 1) as server:
        return asyncio.run(
            persons.measure(url, server, options.rows, person_rows, rounds, seconds, _say)
        )


def _measure_consents(options: argparse.Namespace) -> consents.ConsentFigures:
    """With a database of its own: five decisions for each profile of the others."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        folder.chmod(0o711)
        url = stack.enter_context(join(folder / "data")).database.url
        migrations.migrate(url)
        running = {
            plan.NAIVE: stack.enter_context(servers.naive(folder, url)),
            plan.OURS: stack.enter_context(servers.ours(folder, url, 1, COLLECT_PER_MINUTE="0")),
        }
        sizes = (options.rows * 5, options.rounds, options.seconds)
        return consents.measure_consents(running, url, *sizes, _say)


def _measure(
    options: argparse.Namespace,
    population: Population,
    running: dict[str, servers.Server],
    url: str,
) -> report.Result:
    ours, ours_2 = running[plan.OURS], running[plan.OURS_2]
    for name in (plan.NAIVE, plan.OURS, plan.OURS_2):
        checks.require_right_answers(running[name], population)
    figures, plain = plan.measure(running, population, options.rounds, options.seconds, _say)
    writes = memory.write_items(ours, population, plain, options.items, _say)
    memories = [
        *memory.memory_of("c ours", ours.worker_pids()),
        *memory.memory_of("c ours, 2 workers", ours_2.worker_pids()),
    ]
    for name in (plan.NAIVE, plan.OURS, plan.OURS_2):
        prefix = "naive_" if name == plan.NAIVE else ""
        asyncio.run(checks.require_arrival(running[name], population, url, prefix))
    return report.Result(
        date=options.date,
        profiles=options.profiles,
        rounds=options.rounds,
        seconds=options.seconds,
        settings=asyncio.run(report.postgres_settings(url)),
        figures=figures,
        writes=writes,
        memories=memories,
        verdicts=plan.judge(figures, max(row.rss for row in memories), writes.items),
    )


_STARTED = time.monotonic()


def _say(text: str) -> None:
    """Progress, on standard error: the report alone is on standard output."""
    with contextlib.suppress(OSError):
        print(f"{time.monotonic() - _STARTED:6.0f} s  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
