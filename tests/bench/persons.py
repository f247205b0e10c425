"""Finding, exporting and erasing a person with ten thousand rows in an app with very many others.

While persons are erased, wrk writes to the other profiles of the same app: an erasure works under
the lock that these writes take.
"""

import asyncio
import gc
import hashlib
import http.client
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg

from audience import public
from audience.server import clock
from audience.server.database import Database
from consent import tables as _tables  # noqa: F401 - puts them on the one MetaData
from consent.data_subject_requests.execution import by_operator, operations
from consent.data_subject_requests.execution.composers import hash_of_link
from consent.data_subject_requests.execution.exports.storage import save_link_hash
from consent.data_subject_requests.execution.person import analytics_visitor_ids
from consent.data_subject_requests.execution.storage import find_execution
from consent.data_subject_requests.handling.operations import note_request
from consent.data_subject_requests.operations import get_request
from consent.data_subject_requests.verification.operations import verify_request
from consent.decisions.app_batch import visitor_hash
from consent.decisions.persons.operations import find_consent_visitors
from tests.bench import persons_sql as sql
from tests.bench.plan import Verdict
from tests.bench.population import Population, postpone_counts
from tests.bench.servers import Server
from tests.bench.wrk import BenchError, Load, Run, run_wrk

APP = "c1d2e3f4-0000-4000-8000-000000000011"
_CHUNK = 50_000
_DECISIONS_OF_A_VISITOR = 5
_BROWSERS_OF_A_PERSON = 100
_VISITORS_OF_A_PERSON = 3000
_DECISIONS_OF_A_PERSON = 6000
_FINDS = 30
#: More than are erased while wrk runs.
_PERSONS_A_SECOND = 2
#: So that the next one is waiting when one is done: the job never pauses.
_ORDERED_AT_ONCE = 2
_MOST_FIND_MILLISECONDS = 50
_MOST_ERASE_SECONDS = 10
_LEAST_WRITES = 0.8
_MOST_MEGABYTES = 100
_DONE_WITHIN_SECONDS = 60


@dataclass(frozen=True)
class Persons:
    """find: milliseconds (median, worst) until profiles and consent visitors are known; counts: the
    median with every row counted. erase: seconds from the order to the receipt (worst).

    person_rows: rows that erasing a person removes or changes; kept_rows: decisions, which stay.
    writes: requests a second to the same app without and with erasures. export_megabytes: how much
    more memory the worker ever had for making and sending an export (RSS), and how large that was.
    """

    rows: int
    person_rows: int
    kept_rows: int
    find_median: float
    find_worst: float
    counts_median: float
    erase_seconds: float
    erased: int
    writes_alone: float
    writes_beside: float
    export_megabytes: float
    export_seconds: float
    export_bytes: int


def needed(rounds: int, seconds: int) -> int:
    """How many persons so many rounds take: one is exported, the others may be erased."""
    return 1 + rounds * seconds * _PERSONS_A_SECOND


async def fill(url: str, rows: int, persons: int, say: Callable[[str], None]) -> tuple[int, int]:
    """Store so many profiles, five times as many decisions, and the persons.

    (rows that erasing one of the persons removes or changes, decisions of one, which stay)
    """
    database = Database(url)
    async with database.transaction() as conn:
        app = public.App(APP, "persons", "persons bench")
        await public.create_app(conn, app, str(uuid4()), clock.now())
    await database.close()
    conn = await asyncpg.connect(url)
    try:
        for start in range(0, rows, _CHUNK):
            stop = min(start + _CHUNK, rows)
            say(f"persons: filling profiles and decisions {start:,} to {stop:,}")
            await conn.execute(sql.INSERT_PROFILES, APP, start, stop)
            await conn.execute(sql.INSERT_IDENTIFIERS, APP, start, stop)
            await conn.execute(sql.INSERT_VISITORS, APP, start, stop)
            await conn.execute(sql.INSERT_DECISIONS, APP, start, stop, _DECISIONS_OF_A_VISITOR)
        await postpone_counts(conn, APP)
        say(f"persons: filling {persons} persons")
        counts = [await _insert_person(conn, number) for number in range(persons)]
        await conn.execute("VACUUM ANALYZE")
    finally:
        await conn.close()
    return counts[0], _DECISIONS_OF_A_PERSON


async def measure(
    url: str,
    server: Server,
    rows: int,
    person_rows: tuple[int, int],
    rounds: int,
    seconds: int,
    say: Callable[[str], None],
) -> Persons:
    """Everything in turn.  person_rows: as `fill` says; seconds: of one run of wrk."""
    database = Database(url)
    try:
        finds, counts = await _find(database)
        say(f"persons: found in {statistics.median(finds):.1f} ms, counted in {counts:.1f} ms")
        megabytes, export_seconds, size = await _export(database, server)
        say(f"persons: exported {size:,} bytes with {megabytes:.0f} MB")
        alone, beside, erasures = [], [], []
        for number in range(rounds):
            alone.append((await _write(server, rows, seconds, number))[0])
            order = range(needed(number, seconds), needed(number + 1, seconds))
            rate, took = await _write(server, rows, seconds, 100 + number, database, order)
            beside.append(rate)
            erasures += took
            say(f"persons: round {number + 1}: {alone[-1]:,.0f} and {rate:,.0f} writes/s, {took}")
    finally:
        await database.close()
    return Persons(
        rows,
        *person_rows,
        statistics.median(finds),
        max(finds),
        counts,
        max(erasures),
        len(erasures),
        statistics.median(alone),
        statistics.median(beside),
        megabytes,
        export_seconds,
        size,
    )


def judge(persons: Persons) -> list[Verdict]:
    """The targets, met or missed."""
    share = persons.writes_beside / persons.writes_alone
    among = f"{persons.rows:,} profiles and {persons.rows * _DECISIONS_OF_A_VISITOR:,} decisions"
    return [
        Verdict(
            f"find a person among {among}: under {_MOST_FIND_MILLISECONDS} ms",
            f"{persons.find_median:.1f} ms, the worst of {_FINDS} {persons.find_worst:.1f} ms",
            persons.find_worst < _MOST_FIND_MILLISECONDS,
        ),
        Verdict(
            f"erase a person with {persons.person_rows:,} rows: under {_MOST_ERASE_SECONDS} s",
            f"{persons.erase_seconds:.1f} s, the worst of {persons.erased}",
            persons.erase_seconds < _MOST_ERASE_SECONDS,
        ),
        Verdict(
            f"public writes to the same app meanwhile: at least {_LEAST_WRITES:.0%} of their rate",
            f"{persons.writes_beside:,.0f} of {persons.writes_alone:,.0f}/s = {share:.0%}",
            share >= _LEAST_WRITES,
        ),
        Verdict(
            f"access export of such a person: memory under {_MOST_MEGABYTES} MB",
            f"{persons.export_megabytes:.0f} MB more than before",
            persons.export_megabytes < _MOST_MEGABYTES,
        ),
    ]


def section(persons: Persons) -> str:
    """The report's paragraph."""
    return (
        f"An app has {persons.rows:,} profiles and some persons with {persons.person_rows:,} rows "
        "each that an erasure removes or changes (memberships, merges, their documents in merges "
        f"of others, keys and states of consent visitors ...), and {persons.kept_rows:,} decisions "
        "that stay as history of nobody. One was "
        f"found in {persons.find_median:.1f} ms, with all rows counted in "
        f"{persons.counts_median:.1f} ms. {persons.erased} were erased one after the other "
        "without a pause, each in at most "
        f"{persons.erase_seconds:.1f} s from order to receipt (some of it is waiting for the one "
        "before, up to 2 s for the job), while wrk wrote with 32 connections to other profiles "
        f"of the same app: {persons.writes_beside:,.0f} writes/s against "
        f"{persons.writes_alone:,.0f} without. The "
        f"access export took {persons.export_seconds:.1f} s until it could be downloaded, and "
        f"{persons.export_megabytes:.0f} MB of the worker; the ZIP has {persons.export_bytes:,} "
        "bytes."
    )


def _email(number: int) -> str:
    return f"person-{number}@example.org"


async def _insert_person(conn: asyncpg.Connection, number: int) -> int:
    """How many rows erasing the person removes or changes."""
    profile_id, former_id = UUID(int=(0x019A << 112) + number), UUID(int=(0x019B << 112) + number)
    browsers = [f"{number + 1:04x}{k:012x}" for k in range(_BROWSERS_OF_A_PERSON)]
    ids = [UUID(int=(0xABCD << 112) + number * 10_000 + k) for k in range(_VISITORS_OF_A_PERSON)]
    keys = [hashlib.sha256(one.bytes).digest() for one in ids]
    hashes = [visitor_hash(key, str(one)) for key, one in zip(keys, ids, strict=True)]
    each = _DECISIONS_OF_A_PERSON // _VISITORS_OF_A_PERSON
    removed = (
        (sql.INSERT_PERSON, APP, profile_id, _email(number), browsers),
        (sql.INSERT_PERSON_IDENTIFIERS, APP, profile_id, _email(number), browsers),
        (sql.INSERT_PERSON_MEMBERSHIPS, APP, profile_id, 500),
        (sql.INSERT_PERSON_MERGES, APP, profile_id, 3000),
        (sql.INSERT_PERSON_REFUSALS, APP, profile_id, 200),
        (sql.INSERT_PERSON_KEYS, APP, ids, keys),
        (sql.INSERT_PERSON_VISITORS, APP, ids, browsers),
        (sql.INSERT_FORMER_MERGES, APP, former_id, browsers[0], 300),
        (sql.INSERT_MOVED, APP, former_id, browsers[0]),
    )
    count = 0
    for statement, *parameters in removed:
        done: str = await conn.execute(statement, *parameters)
        count += int(done.rsplit(maxsplit=1)[-1])
    first = 10**9 + number * 10_000
    await conn.execute(sql.INSERT_PERSON_DECISIONS, APP, hashes, each, first)
    return count


async def _find(database: Database) -> tuple[list[float], float]:
    """(milliseconds of each find, the median of finding with all rows counted)."""
    found, counted = [], []
    # As a worker of the service does when it starts. The collector of this process, which has other
    # programs' modules to look through, stops it for 70 ms now and then.
    gc.collect()
    gc.freeze()
    # The first ones open the connection and prepare the statements.
    for _ in range(_FINDS + 3):
        async with database.transaction() as conn:
            started = time.perf_counter()
            (profile,) = await public.find_person_profiles(
                conn, APP, [public.Identifier("email", _email(0))]
            )
            own = analytics_visitor_ids(profile.identifiers)
            visitors = await find_consent_visitors(conn, APP, own, [])
            found.append((time.perf_counter() - started) * 1000)
        if len(visitors) != _VISITORS_OF_A_PERSON:
            raise BenchError("the person was not found whole")
        async with database.transaction() as conn:
            started = time.perf_counter()
            person = await by_operator.find_person(conn, APP, _email(0), clock.now())
            counted.append((time.perf_counter() - started) * 1000)
        if person["counts"]["consent_decisions"] != _DECISIONS_OF_A_PERSON:
            raise BenchError("the person was not counted whole")
    gc.unfreeze()
    return found[3:], statistics.median(counted[3:])


async def _export(database: Database, server: Server) -> tuple[float, float, int]:
    """(megabytes more than before, seconds until it was ready, bytes of the ZIP)."""
    (pid,) = server.worker_pids()
    before = _peak_megabytes(pid)
    started = time.perf_counter()
    now, secret = clock.now(), "s" * 43
    async with database.transaction() as conn:
        app = await public.get_app(conn, APP)
        given = {
            "request_type": "view_data",
            "channel": "other",
            "email": _email(0),
            "identities": [],
            "language": "en",
            "received_at": now,
            "asks_for_proof": False,
        }
        noted = await note_request(conn, app, given, actor="bench", now=now)
        request = await verify_request(
            conn, noted.request_id, by="hand", actor="bench", now=now, reason="bench"
        )
        caller = by_operator.operator_of(app)
        await operations.start_execution(conn, request, caller, now, {"is_silent": True})
    await _wait_until_done(database, request.request_id)
    seconds = time.perf_counter() - started
    async with database.transaction() as conn:
        await save_link_hash(conn, APP, request.request_id, hash_of_link(secret))
    size = await asyncio.to_thread(_download, server, secret)
    return _peak_megabytes(pid) - before, seconds, size


def _download(server: Server, secret: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(server.base).netloc, timeout=60)
    connection.request("GET", f"/privacy/exports/{secret}")
    answer = connection.getresponse()
    size = len(answer.read())
    connection.close()
    if answer.status != 200:
        raise BenchError(f"the export answered {answer.status}")
    return size


async def _write(
    server: Server,
    rows: int,
    seconds: int,
    seed: int,
    database: Database | None = None,
    persons: range = range(0),
) -> tuple[float, list[float]]:
    """(writes a second to the app, how long each erasure took meanwhile)."""
    loop = asyncio.get_running_loop()
    population = Population(rows, old_app=APP, young_app=APP)
    with ThreadPoolExecutor(1) as threads:
        running = loop.run_in_executor(
            threads, run_wrk, server.base, Load("write", 32), population, seconds, seed
        )
        took: list[float] = []
        if database is not None:
            left = iter(persons)
            erasers = [_erase(database, left, running, took) for _ in range(_ORDERED_AT_ONCE)]
            await asyncio.gather(*erasers)
        run = await running
    return run.per_second, took


async def _erase(
    database: Database, persons: Iterator[int], running: asyncio.Future[Run], took: list[float]
) -> None:
    """Erase one person after the other until wrk is done; adds the seconds of each to `took`."""
    while not running.done():
        number = next(persons, None)
        if number is None:
            raise BenchError("the persons ran out while wrk was writing")
        started = time.perf_counter()
        async with database.transaction() as conn:
            request_id = await by_operator.start_erasure(
                conn, APP, _email(number), clock.now(), is_told=False
            )
        await _wait_until_done(database, request_id)
        took.append(round(time.perf_counter() - started, 2))


async def _wait_until_done(database: Database, request_id: str) -> None:
    deadline = time.perf_counter() + _DONE_WITHIN_SECONDS
    while time.perf_counter() < deadline:
        async with database.transaction() as conn:
            execution = await find_execution(conn, APP, request_id)
            if execution is None:
                raise BenchError("an execution was given back")
            if execution.completed_at is not None:
                request = await get_request(conn, request_id)
                if not await operations.receipt(conn, request):
                    raise BenchError("an execution has no receipt")
                return
        # Seldom: looking takes from what is measured.
        await asyncio.sleep(0.25)
    raise BenchError(f"a request was not executed within {_DONE_WITHIN_SECONDS} s")


def _peak_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise BenchError(f"process {pid} does not tell its memory ({os.name})")
