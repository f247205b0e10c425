"""The process: first start, stopping, kill -9, a database that goes away, the command line."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from audience.server.embedded_postgres import join
from tests.service_process import ServiceProcess

VISITOR = "0123456789abcdef"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def _command(
    data_dir: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    inherited = {"PATH", "HOME", "LANG", "PYTHONPATH"}
    kept = {name: value for name, value in os.environ.items() if name in inherited}
    return subprocess.run(
        [sys.executable, "-m", "consent.cli", *arguments],
        env={**kept, "DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _shell(command: str) -> str:
    return subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=True
    ).stdout


async def _write(url: str, app_id: str, **item: Any) -> int:
    body = json.dumps([{"website_id": app_id, "attributes": [], **item}])
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/data/tracker/attributes/", data=body) as answer,
    ):
        await answer.read()
        return answer.status


def _profiles(data_dir: Path, app_id: str, name: str, value: str) -> list[dict[str, Any]]:
    found = _command(
        data_dir, "profiles", "get", "--app", app_id, "--identifier", name, "--value", value
    )
    assert found.returncode == 0, found.stderr
    documents: list[dict[str, Any]] = json.loads(found.stdout)
    return documents


def _create_app(data_dir: Path) -> str:
    made = _command(data_dir, "apps", "create", "--name", "shop")
    assert made.returncode == 0, made.stderr
    app_id: str = json.loads(made.stdout)["id"]
    return app_id


async def test_first_start_shows_a_demo_app_whose_commands_work(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path, "--demo", DATA_DIR=str(tmp_path / "data"))
    with service:
        printed = service.output()
        app_id = re.search(rf"Demo app: ({UUID})", printed)
        assert app_id is not None
        commands = re.findall(r"^  (curl .*)$", printed, re.MULTILINE)
        assert len(commands) == 3
        answers = [await asyncio.to_thread(_shell, command) for command in commands]
        assert answers[0].startswith("HTTP/1.1 204")
        assert answers[1].endswith(
            '[{"name": "color", "value": "green", "field_type": "attributes"}]'
        )
        assert answers[2].endswith('{"result": true}')
    assert service.stop() == 0
    with ServiceProcess(tmp_path, "--demo", DATA_DIR=str(tmp_path / "data")) as again:
        assert app_id[1] in again.output()
        assert _profiles(tmp_path / "data", app_id[1], "analytics_visitor_id", VISITOR) != []


async def test_every_command_works_with_and_without_the_service(tmp_path: Path) -> None:
    async def with_service() -> None:
        data_dir = tmp_path / "with"
        app_id = await asyncio.to_thread(_create_app, data_dir)
        service = ServiceProcess(tmp_path, DATA_DIR=str(data_dir))
        try:
            await asyncio.to_thread(service.start)
            assert await _write(service.url, app_id, user_id="m") == 204
            await asyncio.to_thread(_check_commands, data_dir, app_id, ["m"])
        finally:
            await asyncio.to_thread(service.stop)

    async def without_service() -> None:
        data_dir = tmp_path / "without"
        app_id = await asyncio.to_thread(_create_app, data_dir)
        await asyncio.to_thread(_check_commands, data_dir, app_id, [])

    # At once, on two databases: starting so many processes takes its time.
    outcomes = await asyncio.gather(with_service(), without_service(), return_exceptions=True)
    assert outcomes == [None, None]


def _check_commands(data_dir: Path, app_id: str, user_ids: list[str]) -> None:
    """Every command does its work.  user_ids: of those who have the user ID `m`."""
    assert _command(data_dir, "migrate").returncode == 0
    listed = _command(data_dir, "apps", "list").stdout.splitlines()
    assert json.loads(listed[0]) == {"id": app_id, "name": "shop", "organization": "default"}
    for action in ("allow", "deny"):
        changed = _command(data_dir, "attributes", action, "--app", app_id, "--name", "color")
        assert changed.returncode == 0, changed.stderr
    _check_credentials(data_dir)
    found = _profiles(data_dir, app_id, "user_id", "m")
    assert [document["user_id"] for document in found] == user_ids


def _check_credentials(data_dir: Path) -> None:
    create = ["credentials", "create", "--name", "Reports"]
    other = _command(data_dir, *create, "--organization", "agency")
    assert other.returncode == 0, other.stderr
    newest = json.loads(_command(data_dir, "credentials", "list").stdout.splitlines()[-1])
    assert newest["client_id"] == json.loads(other.stdout)["client_id"]
    assert (newest["organization"], newest["scopes"]) == ("agency", ["read"])
    made = _command(data_dir, *create, "--scope", "read", "--scope", "privacy")
    assert made.returncode == 0, made.stderr
    document = json.loads(made.stdout)
    assert document.keys() == {"client_id", "client_secret"}
    newest = json.loads(_command(data_dir, "credentials", "list").stdout.splitlines()[-1])
    assert newest["client_id"] == document["client_id"]
    assert (newest["scopes"], newest["revoked_at"]) == (["privacy", "read"], None)
    assert newest["organization"] == "default"
    assert document["client_secret"] not in json.dumps(newest)
    assert _command(data_dir, "keys", "rotate").returncode == 0
    assert _command(data_dir, "credentials", "revoke", document["client_id"]).returncode == 0
    again = _command(data_dir, "credentials", "revoke", document["client_id"])
    assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)


class Storm:
    """Clients that write until the service is gone; each notes what was answered.

    Client n sets three attributes of twenty users of its own to a growing number.
    """

    def __init__(self, url: str, app_id: str) -> None:
        self._url = f"{url}/data/tracker/attributes/"
        self._app_id = app_id
        self.answered: list[tuple[str, int]] = []
        self.refused = 0
        self._enough = 0
        self._reached = asyncio.Event()

    def _item(self, number: int, count: int) -> dict[str, Any]:
        return {
            "website_id": self._app_id,
            "user_id": f"u{number}-{count % 20}",
            "analytics_visitor_id": f"{number * 100 + count % 20 + 1:016x}",
            "attributes": [{"name": name, "value": count} for name in ("one", "two", "three")],
        }

    async def _write(self, session: aiohttp.ClientSession, number: int) -> None:
        for count in range(10_000):
            item = self._item(number, count)
            try:
                async with session.post(self._url, data=json.dumps([item])) as answer:
                    assert answer.status == 204
                    self.answered.append((item["user_id"], count))
            except aiohttp.ClientError:
                self.refused += 1
                return
            if len(self.answered) >= self._enough:
                self._reached.set()

    async def run(self, clients: int, enough: int, then: Callable[[], None]) -> None:
        """Write with this many clients, do `then` after enough answers, wait for the end."""
        self._enough = enough
        async with aiohttp.ClientSession() as session:
            running = [asyncio.create_task(self._write(session, n)) for n in range(clients)]
            await self._reached.wait()
            await asyncio.to_thread(then)
            await asyncio.gather(*running)

    async def assert_stored(self, data_dir: Path) -> None:
        """Everything answered is there, and no profile is half written."""
        with join(data_dir) as lease:
            connection = await asyncpg.connect(lease.database.url)
            rows = await connection.fetch(
                "SELECT user_id, attributes::text, analytics_visitor_ids, (SELECT count(*) "
                "FROM profile_identifiers i WHERE i.profile_id = p.profile_id) FROM profiles p "
                "WHERE app_id = $1",
                self._app_id,
            )
            await connection.close()
        stored = {row[0]: json.loads(row[1]) for row in rows}
        for user_id, count in self.answered:
            assert stored[user_id]["one"] >= count
        for row in rows:
            assert stored[row[0]].keys() == {"one", "two", "three"}
            assert len(set(stored[row[0]].values())) == 1
            assert (len(row[2]), row[3]) == (1, 2)


async def test_sigterm_finishes_what_is_in_flight_and_exits_0(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    app_id = _create_app(data_dir)
    service = ServiceProcess(tmp_path, "--workers", "2", DATA_DIR=str(data_dir)).start()
    storm = Storm(service.url, app_id)
    await storm.run(16, 500, lambda: service.send(signal.SIGTERM))
    started = time.monotonic()
    assert await asyncio.to_thread(service.wait) == 0
    assert time.monotonic() - started < 10
    assert storm.refused == 16
    await storm.assert_stored(data_dir)


async def test_kill_9_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    app_id = _create_app(data_dir)
    service = ServiceProcess(tmp_path, "--workers", "2", DATA_DIR=str(data_dir)).start()
    storm = Storm(service.url, app_id)
    await storm.run(24, 800, service.kill)
    with ServiceProcess(tmp_path, DATA_DIR=str(data_dir)) as again:
        await storm.assert_stored(data_dir)
        assert await _write(again.url, app_id, user_id="after") == 204


async def test_database_goes_away_and_comes_back(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    lease = join(data_dir)
    url = lease.database.url
    service = ServiceProcess(tmp_path, "--workers", "2", DATABASE_URL=url)
    with service:
        made = _command(data_dir, "apps", "create", "--name", "shop", DATABASE_URL=url)
        app_id = json.loads(made.stdout)["id"]
        assert await _write(service.url, app_id, user_id="m") == 204
        lease.release()
        async with aiohttp.ClientSession() as session:
            for _ in range(4):
                async with session.post(
                    f"{service.url}/data/tracker/attributes/",
                    data=json.dumps([{"website_id": app_id, "user_id": "m", "attributes": []}]),
                ) as answer:
                    assert answer.status == 503
                    assert answer.content_type == "text/plain"
                    assert answer.headers["Retry-After"] == "1"
                    assert (await answer.text()).startswith("Service Unavailable")
            path = f"/data/public/api/profiles/{VISITOR}/audiences/?website_id={app_id}"
            async with session.get(service.url + path) as answer:
                assert (answer.status, answer.content_type) == (503, "text/plain")
            async with session.get(f"{service.url}/readyz") as answer:
                assert answer.status == 503
            async with session.get(f"{service.url}/healthz") as answer:
                assert answer.status == 200
        with join(data_dir):
            service.wait_for("/readyz", 200)
            assert await _write(service.url, app_id, user_id="m") == 204
            service.stop()


async def test_service_starts_before_its_database(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    lease = join(data_dir)
    lease.release()
    service = ServiceProcess(tmp_path, DATABASE_URL=lease.database.url).start(until_ready=False)
    try:
        service.wait_for("/healthz", 200)
        service.wait_for("/readyz", 503)
        with join(data_dir):
            migrated = _command(data_dir, "migrate", DATABASE_URL=lease.database.url)
            assert migrated.returncode == 0, migrated.stderr
            service.wait_for("/readyz", 200)
            service.stop()
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "problem"),
    [
        (("apps", "create"), {}, 2, "Missing option '--name'"),
        (("apps", "create", "--name", "x", "--id", "5"), {}, 2, "'5' is not a UUID like"),
        (("nothing",), {}, 2, "No such command"),
        (("profiles", "get", "--app", "5"), {}, 2, "is not a UUID"),
        (("apps", "create", "--name", " "), {}, 1, "Error: name must have 1 to 100 characters"),
        (("serve",), {"PORT": "http"}, 1, "PORT='http' is not valid: expected a whole number"),
        (("apps", "list"), {"LOG_LEVEL": "loud"}, 1, "LOG_LEVEL='loud' is not valid: expected one"),
        (
            ("apps", "list"),
            {"DATABASE_URL": "postgresql://nobody:geheim@127.0.0.1:1/none"},
            1,
            "Error: the database does not answer",
        ),
    ],
)
def test_errors_are_one_clear_line(
    tmp_path: Path,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    status: int,
    problem: str,
) -> None:
    failed = _command(tmp_path / "data", *arguments, **environment)
    assert failed.returncode == status
    assert problem in failed.stderr
    assert "geheim" not in failed.stderr
    assert "Traceback" not in failed.stderr
    assert failed.stdout == ""
    if status == 1:
        assert len(failed.stderr.strip().splitlines()) == 1


def test_domain_errors_are_one_clear_line(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    # The database keeps running: each command would start and stop it.
    with join(data_dir):
        _expect_domain_errors(data_dir)


def _expect_domain_errors(data_dir: Path) -> None:
    app_id = _create_app(data_dir)
    twice = _command(data_dir, "apps", "create", "--name", "again", "--id", app_id)
    assert (twice.returncode, twice.stdout) == (1, "")
    assert twice.stderr == f"Error: an app with the id {app_id} exists already\n"
    found = ("profiles", "get", "--app", app_id, "--identifier")
    for name, value, problem in (
        ("email", "", "must not be empty"),
        ("analytics_visitor_id", "zz", "must be 16 hex digits"),
    ):
        wrong = _command(data_dir, *found, name, "--value", value)
        assert (wrong.returncode, wrong.stdout) == (1, "")
        assert wrong.stderr == f"Error: value {problem} for the identifier {name}\n"
    unknown = "01234567-89ab-cdef-0123-456789abcdef"
    for arguments in (
        ("attributes", "allow", "--app", unknown, "--name", "x"),
        ("attributes", "deny", "--app", unknown, "--name", "x"),
        ("profiles", "get", "--app", unknown, "--identifier", "email", "--value", "a@b.co"),
    ):
        failed = _command(data_dir, *arguments)
        assert failed.returncode == 1
        assert failed.stderr.startswith(f"Error: there is no app with the id {unknown}")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_port_in_use_is_one_clear_line(tmp_path: Path, workers: str) -> None:
    options = ("--workers", workers)
    with ServiceProcess(tmp_path, *options, DATA_DIR=str(tmp_path / "data")) as service:
        failed = _command(tmp_path / "data", "serve", "--port", str(service.port), *options)
        assert failed.returncode == 1
        advice = "stop what listens there or choose another with --port"
        assert failed.stderr.strip().splitlines() == [
            f"Error: port {service.port} on 127.0.0.1 is in use: {advice}"
        ]
