"""Processes that hold a lease of an embedded PostgreSQL, and what can be seen of its processes."""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import asyncpg

from audience.server.embedded_postgres import EmbeddedDatabase, Lease, join

REPOSITORY = Path(__file__).parents[2]
#: Tests need no durability but where they cut the power, which is nowhere.
QUICK = {"fsync": "off"}
_WITHIN_SECONDS = 20.0
_PR_CAPBSET_DROP = 24

#: Joins, tells how it went in one line of JSON, holds the lease until its input ends.
_PROGRAM = """
import dataclasses, json, sys
given = json.loads(sys.argv[1])
sys.path[:0] = given["path"]
from pathlib import Path
from audience.server.embedded_postgres import EmbeddedPostgresError, join
try:
    lease = join(Path(given["data_dir"]), server_settings=given["settings"])
except EmbeddedPostgresError as error:
    print(json.dumps({"error": str(error)}), flush=True)
else:
    print(json.dumps(dataclasses.asdict(lease.database)), flush=True)
    sys.stdin.read()
    lease.release()
"""


def ask(database: EmbeddedDatabase, statement: str) -> Any:
    """The answer to a statement, on a connection of its own."""

    async def connect_and_ask() -> Any:
        connection = await asyncpg.connect(database.url, timeout=5)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return run(connect_and_ask())


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """What the coroutine returns; in a loop of its own, the tests here wait for processes, too."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def quick_join(data_dir: Path) -> Lease:
    """A lease of a server that starts quickly."""
    return join(data_dir, server_settings=QUICK)


def until(fact: Callable[[], Any], what: str) -> Any:
    """The first true value of the fact; fails when it does not come true."""
    deadline = time.monotonic() + _WITHIN_SECONDS
    while not (value := fact()):
        assert time.monotonic() < deadline, f"not within {_WITHIN_SECONDS} s: {what}"
        time.sleep(0.01)
    return value


def server_processes(data_dir: Path) -> set[int]:
    """Every process of the server; each works in the data directory."""
    data = data_dir / "postgres" / "data"
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").samefile(data):
                found.add(int(process.name))
    return found


def open_sockets(pid: int) -> set[str]:
    """The numbers of the sockets a process has open, as in /proc/net."""
    targets = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        # A connection may be closed meanwhile.
        with contextlib.suppress(FileNotFoundError):
            targets.add(str(file.readlink()))
    return {target[8:-1] for target in targets if target.startswith("socket:[")}


def postmaster(data_dir: Path) -> int:
    """The process id of the server."""
    return int((data_dir / "postgres/data/postmaster.pid").read_text().split()[0])


def keeper(data_dir: Path) -> int:
    """The process id of the keeper."""
    return int((data_dir / "postgres/keeper.lock").read_text())


def drop_from_bounding_set(*capabilities: int) -> Callable[[], None]:
    """For preexec_fn: what root may no longer do, as in a container."""

    def drop() -> None:
        for capability in capabilities:
            ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability))

    return drop


class LeaseProcess:
    """A process that holds a lease; a context manager that ends it."""

    def __init__(
        self,
        data_dir: Path,
        *,
        path: Sequence[Path] = (REPOSITORY,),
        settings: Mapping[str, str] = QUICK,
        python: str = sys.executable,
        **options: Any,
    ) -> None:
        """path: where its modules come from before anything else; options: of Popen."""
        given = {
            "data_dir": str(data_dir),
            "path": [str(folder) for folder in path],
            "settings": dict(settings),
        }
        self._process = subprocess.Popen(
            [python, "-c", _PROGRAM, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **{"cwd": "/", **options},
        )
        self._answer: dict[str, Any] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def answer(self) -> dict[str, Any]:
        """What it told; waits for that."""
        if self._answer is None:
            assert self._process.stdout is not None
            self._answer = json.loads(self._process.stdout.readline())
        return self._answer

    @property
    def database(self) -> EmbeddedDatabase:
        """Its database, as this process reaches it."""
        host = self.answer["host"].replace("/proc/self/", f"/proc/{self._process.pid}/")
        return EmbeddedDatabase(**{**self.answer, "host": host})

    def kill(self) -> None:
        """Kill -9."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """Let it release its lease and end."""
        self._process.communicate(timeout=_WITHIN_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def python_for(uid: int) -> str:
    """An interpreter that this user can run; ours may lie below /root."""
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        command = [candidate, "-c", "import sys, ctypes; sys.exit(sys.version_info < (3, 11))"]
        with contextlib.suppress(OSError):
            if subprocess.run(command, user=uid, cwd="/", check=False).returncode == 0:
                return candidate
    raise AssertionError(f"no Python 3.11 that the user with id {uid} can run; os is {os.uname()}")
