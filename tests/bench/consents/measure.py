"""Collecting against the naive service; history and statistics with many decisions."""

import asyncio
import json
import statistics
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg

from audience import public
from audience.server import clock
from audience.server.database import Database
from consent.decisions.history.operations import list_history
from tests.bench.consents.population import (
    COLLECT_APP,
    DAYS,
    DECISIONS_OF_ONE,
    KNOWN_VISITOR,
    MANY_APP,
    fill,
    make_apps,
)
from tests.bench.plan import NAIVE, OURS, Figure, Verdict, figure_of
from tests.bench.population import Population
from tests.bench.servers import Server
from tests.bench.wrk import BenchError, Load, Run, run_wrk

COLLECT_32 = Load("collect", 32)
_HISTORY_TRIES, _STATISTICS_TRIES = 200, 15
_MOST_HISTORY_MS, _MOST_STATISTICS_MS = 5, 300
_API = "/api/consents/v1"
#: Three times what the database keeps of its log, in messages of 8 MiB.
_LOG_MESSAGES = 384


@dataclass(frozen=True)
class ConsentFigures:
    """collects: {contender: figure}; the rest are medians in milliseconds.

    history_ms: finding and reading the rows; history_http_ms, statistics_ms: a whole authorized
    request, with its token checked and its audit entry committed.
    """

    collects: Mapping[str, Figure]
    decisions: int
    history_ms: float
    history_http_ms: float
    statistics_ms: float


def measure_consents(
    servers: Mapping[str, Server],
    url: str,
    decisions: int,
    rounds: int,
    seconds: int,
    say: Callable[[str], None],
) -> ConsentFigures:
    """servers: {NAIVE, OURS}; ours must not limit the rate of one address."""
    asyncio.run(_prepare(url, say))
    runs: dict[str, list[Run]] = {NAIVE: [], OURS: []}
    sent = dict.fromkeys(runs, 0)
    population = Population(1_000_000, old_app=COLLECT_APP, young_app=COLLECT_APP)
    for number in range(rounds + 1):
        for name in (NAIVE, OURS) if number % 2 else (OURS, NAIVE):
            # Both tables are new: the first round also brings the planner to know them.
            length = seconds if number else 3
            run = run_wrk(servers[name].base, COLLECT_32, population, length, number)
            sent[name] += run.requests
            if number:
                runs[name].append(run)
            say(f"round {number}/{rounds}: collect@32 {name}: {run.per_second:,.0f}/s")
    asyncio.run(_require_arrival(url, sent))
    asyncio.run(fill(url, decisions, say))
    token = asyncio.run(_token(url, servers[OURS]))
    say("asking for history and statistics")
    today = datetime.now(UTC).date()
    first = today - timedelta(days=DAYS - 1)
    history = f"visitors/{KNOWN_VISITOR}/history/?website_id={MANY_APP}&limit=100"
    counted = (
        f"statistics/?website_id={MANY_APP}&date_from={first}&date_to={today}"
        "&dimensions=consent_scope,hostname"
    )
    return ConsentFigures(
        {name: figure_of(found) for name, found in runs.items()},
        decisions,
        asyncio.run(_history_ms(url)),
        _median_ms(servers[OURS], token, history, _HISTORY_TRIES, DECISIONS_OF_ONE),
        _median_ms(servers[OURS], token, counted, _STATISTICS_TRIES, DAYS),
    )


def judge(figures: ConsentFigures) -> list[Verdict]:
    """The targets of issue 5, section Speed."""
    ours, naive = figures.collects[OURS], figures.collects[NAIVE]
    ratio = ours.per_second / naive.per_second
    rate = f"{ours.per_second:,.0f}/s against {naive.per_second:,.0f}/s = {ratio:.2f}"
    many = f"{figures.decisions:,} decisions"
    return [
        Verdict("collect@32: c at least 1.0 x b", rate, ratio >= 1),
        Verdict(
            "collect@32: p99 of c below p99 of b",
            f"{ours.p99:.2f} ms against {naive.p99:.2f} ms",
            ours.p99 < naive.p99,
        ),
        Verdict(
            f"history of one visitor among {many} below {_MOST_HISTORY_MS} ms",
            f"{figures.history_ms:.1f} ms ({figures.history_http_ms:.1f} ms over HTTP)",
            figures.history_ms < _MOST_HISTORY_MS,
        ),
        Verdict(
            f"statistics of {DAYS} days over {many} below {_MOST_STATISTICS_MS} ms",
            f"{figures.statistics_ms:.0f} ms",
            figures.statistics_ms < _MOST_STATISTICS_MS,
        ),
    ]


async def _prepare(url: str, say: Callable[[str], None]) -> None:
    """Make the apps, and write as much log as a database has whose log files are used again.

    In a new one every 16 MiB everybody waits for a new file to be filled with zeros, some 40 ms.
    """
    await make_apps(url)
    say("writing 3 GiB of write-ahead log, so that its files are used again")
    conn = await asyncpg.connect(url)
    try:
        for _ in range(_LOG_MESSAGES):
            await conn.execute("SELECT pg_logical_emit_message(false, '', repeat('x', 8388608))")
    finally:
        await conn.close()


async def _require_arrival(url: str, sent: Mapping[str, int]) -> None:
    """Errors: BenchError when a service answered more decisions than it stored."""
    tables = {NAIVE: "naive_decisions", OURS: "consent_decisions"}
    conn = await asyncpg.connect(url)
    try:
        for name, count in sent.items():
            stored = await conn.fetchval(
                f"SELECT count(*) FROM {tables[name]} WHERE app_id = $1", COLLECT_APP
            )
            if stored < count:
                raise BenchError(f"{name} answered {count} decisions, {stored} are stored")
    finally:
        await conn.close()


async def _history_ms(url: str) -> float:
    """The median time to find a visitor's key and read the visitor's decisions."""
    database = Database(url)
    times = []
    try:
        for _ in range(_HISTORY_TRIES):
            started = time.perf_counter()
            async with database.transaction() as conn:
                links = await list_history(conn, MANY_APP, KNOWN_VISITOR, limit=100, offset=0)
            times.append((time.perf_counter() - started) * 1000)
            if len(links) != DECISIONS_OF_ONE:
                raise BenchError(f"the history of a visitor has {len(links)} decisions")
    finally:
        await database.close()
    return statistics.median(times)


async def _token(url: str, server: Server) -> str:
    database = Database(url)
    try:
        async with database.transaction() as conn:
            made = await public.create_credential(
                conn,
                name="consents",
                organization="bench",
                scopes=("read",),
                ids=(str(uuid4()), str(uuid4())),
                now=clock.now(),
            )
    finally:
        await database.close()
    body = json.dumps(
        {
            "grant_type": "client_credentials",
            "client_id": made.client_id,
            "client_secret": made.client_secret,
        }
    ).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.base + "/auth/token", body, headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own server
        token: str = json.loads(answer.read())["access_token"]
        return token


def _median_ms(server: Server, token: str, path: str, tries: int, least_rows: int) -> float:
    """The median time of an answer, over HTTP and with everything around it.

    Errors: BenchError when the answer has fewer rows than were filled in.
    """
    times = []
    for _ in range(tries):
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{server.base}{_API}/{path}"
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        started = time.perf_counter()
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            body = answer.read()
        times.append((time.perf_counter() - started) * 1000)
    rows = len(json.loads(body)["data"])
    if rows < least_rows:
        raise BenchError(f"{path} answered {rows} rows instead of {least_rows}")
    return statistics.median(times)


def render(figures: ConsentFigures) -> str:
    """The section of the report."""
    rows = [
        "| load | contender | requests/s | slowest to fastest round | p50 ms | p99 ms |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for name, figure in figures.collects.items():
        rows.append(
            f"| collect@32 | {name} | {figure.per_second:,.0f} "
            f"| {figure.least:,.0f} to {figure.most:,.0f} | {figure.p50:.2f} | {figure.p99:.2f} |"
        )
    rows += ["", _ABOUT, ""]
    rows += [f"| among {figures.decisions:,} decisions | ms, median |", "|---|--:|"]
    times = {
        f"the {DECISIONS_OF_ONE} decisions of one visitor, from the database": figures.history_ms,
        "the same as an authorized request": figures.history_http_ms,
        f"statistics of {DAYS} days by scope and host name, as a request": figures.statistics_ms,
    }
    rows += [f"| {what} | {milliseconds:.1f} |" for what, milliseconds in times.items()]
    return "\n".join(rows)


_ABOUT = """A decision as the container sends it: three types with the texts shown, cookies with an
analytics ID, mostly of visitors nobody has seen. b stores it with one INSERT. c also keeps the
visitor's state, chains the decision to the one before, counts it and looks for the visitor's
profile; the rate limit of one address is off. Before, 3 GiB of log are written, as in a database
that has run for a while: a new one fills a new file with zeros every 16 MiB, and all wait."""
