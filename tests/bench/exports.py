"""The export of a million profiles against a plain COPY, and the memory it takes."""

import http.client
import json
import statistics
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from audience import public
from audience.server import clock
from audience.server.database import Database
from tests.bench.plan import Verdict
from tests.bench.population import postpone_counts
from tests.bench.servers import Server
from tests.bench.wrk import BenchError

_APP = "c1d2e3f4-0000-4000-8000-000000000001"
_AUDIENCE = "c1d2e3f4-0000-4000-8000-000000000002"
_CHUNK = 50_000
_LEAST_SHARE = 0.4
_MOST_MEGABYTES = 200
_READ_BYTES = 1 << 20

_COLUMNS = [
    {"field_type": "profile", "name": "user_id"},
    {"field_type": "profile", "name": "email"},
    {"field_type": "profile", "name": "analytics_visitor_id"},
    {"field_type": "attributes", "name": "city"},
    {"field_type": "attributes", "name": "age"},
    {"field_type": "attributes", "name": "interests"},
]

# The same columns of the same rows, in no order and without a look at the audience.
_PLAIN = """
SELECT user_id, email, analytics_visitor_id, attributes ->> 'city', attributes ->> 'age',
    attributes ->> 'interests'
FROM profiles WHERE app_id = $1
"""

_INSERT_PROFILES = """
INSERT INTO profiles (app_id, profile_id, created_at, updated_at, user_id, email, email_as_given,
    analytics_visitor_ids, analytics_visitor_id, attributes)
SELECT $1, ('01990000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, now(), now(),
    'user-' || n, 'visitor.' || n || '@example.org', 'Visitor.' || n || '@example.org',
    ARRAY[substr(md5('v' || n), 1, 16)], substr(md5('v' || n), 1, 16),
    jsonb_build_object('age', 18 + n % 60, 'city', 'Ulm', 'color', 'green',
        'interests', jsonb_build_array('bikes', 'topic-' || n % 100), 'last_product', 'sku-' || n,
        'newsletter', 'yes', 'plan', 'gold', 'score', n % 1000)
FROM generate_series($2::bigint, $3::bigint - 1) AS n
"""

_INSERT_AUDIENCE = """
INSERT INTO audiences (app_id, audience_id, name, description, definition, version, author,
    created_at, updated_at)
VALUES ($1, $2, 'export', '', '{}', 1, 'bench', now(), now())
"""

_INSERT_MEMBERS = """
INSERT INTO audience_members (app_id, audience_id, profile_id, member_since)
SELECT app_id, $2, profile_id, now() FROM profiles WHERE app_id = $1
"""


@dataclass(frozen=True)
class Timing:
    """Medians of one way to get the rows."""

    name: str
    seconds: float
    bytes_sent: int


@dataclass(frozen=True)
class Exports:
    """Everything about exports. timings: the plain COPY first, then CSV, CSV as gzip, JSON.

    peak_megabytes: the most that the exporting worker ever had in memory (RSS).
    """

    rows: int
    rounds: int
    timings: list[Timing]
    peak_megabytes: float


async def fill(url: str, rows: int, say: Callable[[str], None]) -> str:
    """Store an app with one audience of so many profiles; a bearer's credentials as form data."""
    database = Database(url)
    async with database.transaction() as conn:
        app = public.App(_APP, "export", "export bench")
        await public.create_app(conn, app, str(uuid4()), clock.now())
        made = await public.create_credential(
            conn,
            name="bench",
            organization=app.organization,
            scopes=("read",),
            ids=(str(uuid4()), str(uuid4())),
            now=clock.now(),
        )
    await database.close()
    conn = await asyncpg.connect(url)
    try:
        await postpone_counts(conn, _APP)
        for start in range(0, rows, _CHUNK):
            stop = min(start + _CHUNK, rows)
            say(f"export: filling profiles {start:,} to {stop:,}")
            await conn.execute(_INSERT_PROFILES, _APP, start, stop)
        await conn.execute(_INSERT_AUDIENCE, _APP, _AUDIENCE)
        await conn.execute(_INSERT_MEMBERS, _APP, _AUDIENCE)
        await conn.execute("VACUUM ANALYZE profiles, audience_members")
    finally:
        await conn.close()
    return json.dumps(
        {
            "grant_type": "client_credentials",
            "client_id": made.client_id,
            "client_secret": made.client_secret,
        }
    )


async def measure(
    url: str, server: Server, credentials: str, rows: int, rounds: int, say: Callable[[str], None]
) -> Exports:
    """Every way in turn, `rounds` times.  server: one that has done nothing else, one worker."""
    token = _token(server, credentials)
    ways = {
        "plain COPY": lambda: _copy(url),
        "CSV": lambda: _export(server, token, rows, {}, "identity"),
        "CSV, gzip": lambda: _export(server, token, rows, {}, "gzip"),
        "JSON": lambda: _export(server, token, rows, {"format": "json"}, "identity"),
    }
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            size = await way()
            seconds = time.perf_counter() - started
            found[name].append((seconds, size))
            say(f"export: round {number + 1}/{rounds}: {name}: {seconds:.2f} s, {size:,} bytes")
    timings = [
        Timing(name, statistics.median(seconds for seconds, _ in runs), runs[0][1])
        for name, runs in found.items()
    ]
    peak = max(_peak_megabytes(pid) for pid in server.worker_pids())
    return Exports(rows, rounds, timings, peak)


def judge(exports: Exports) -> list[Verdict]:
    """The targets of the export, met or missed."""
    plain, ours = exports.timings[:2]
    share = plain.seconds / ours.seconds
    rows = f"{exports.rows:,} rows, {len(_COLUMNS)} columns"
    return [
        Verdict(
            f"export of {rows}: at least {_LEAST_SHARE} x a plain COPY ... TO STDOUT",
            f"{ours.seconds:.2f} s against {plain.seconds:.2f} s = {share:.2f}",
            share >= _LEAST_SHARE,
        ),
        Verdict(
            f"memory of the exporting worker below {_MOST_MEGABYTES} MB (RSS, its peak)",
            f"{exports.peak_megabytes:.0f} MB",
            exports.peak_megabytes < _MOST_MEGABYTES,
        ),
    ]


def section(exports: Exports) -> str:
    """The report's table of exports."""
    rows = ["| way | seconds | rows/s | MB sent |", "|---|--:|--:|--:|"]
    rows += [
        f"| {timing.name} | {timing.seconds:.2f} | {exports.rows / timing.seconds:,.0f} "
        f"| {timing.bytes_sent / 1e6:.1f} |"
        for timing in exports.timings
    ]
    note = (
        f"{exports.rows:,} profiles, {len(_COLUMNS)} columns, medians of {exports.rounds} rounds. "
        "The plain COPY reads the same columns of the same profiles in any order, without the "
        "audience, the header, the quotes and the guard against formulas; the exports go over HTTP "
        f"to one client. Peak memory of the worker: {exports.peak_megabytes:.0f} MB."
    )
    return "\n".join(rows) + "\n\n" + note


async def _copy(url: str) -> int:
    size = 0

    async def count(data: bytes) -> None:
        nonlocal size
        size += len(data)

    conn = await asyncpg.connect(url)
    try:
        await conn.copy_from_query(_PLAIN, _APP, output=count)
    finally:
        await conn.close()
    return size


async def _export(
    server: Server, token: str, rows: int, members: dict[str, str], encoding: str
) -> int:
    body = {"website_id": _APP, "audience_id": _AUDIENCE, "columns": _COLUMNS, **members}
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Accept-Encoding": encoding,
    }
    connection = http.client.HTTPConnection(urlsplit(server.base).netloc, timeout=300)
    connection.request("POST", "/api/audiences/v1/profiles/", json.dumps(body), headers)
    answer = connection.getresponse()
    size = lines = 0
    while data := answer.read(_READ_BYTES):
        size += len(data)
        lines += data.count(b"\n")
    connection.close()
    expected = rows + 1 if not members else rows
    if answer.status != 200 or (encoding == "identity" and lines != expected):
        raise BenchError(f"the export answered {answer.status} with {lines:,} lines")
    return size


def _token(server: Server, credentials: str) -> str:
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{server.base}/auth/token",
        credentials.encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        token: str = json.load(answer)["access_token"]
        return token


def _peak_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise BenchError(f"process {pid} does not tell its memory")
