"""The contenders as processes of their own on free ports of the loopback interface."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.wrk import BenchError

_FOLDER = Path(__file__).parent
_ROOT = _FOLDER.parents[1]
_START_SECONDS = 30
_STOP_SECONDS = 15


@dataclass(frozen=True)
class Server:
    """One running contender. log: the file with everything it printed."""

    name: str
    base: str
    pid: int
    log: Path

    def worker_pids(self) -> list[int]:
        """The processes below the first one."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]


@contextmanager
def bare(folder: Path) -> Iterator[Server]:
    """(a) aiohttp and uvloop alone."""
    port = _free_port()
    command = [sys.executable, str(_FOLDER / "bare_service.py"), str(port)]
    with _running("bare", command, port, folder) as server:
        yield server


@contextmanager
def naive(folder: Path, url: str) -> Iterator[Server]:
    """(b) one statement per request."""
    port = _free_port()
    command = [sys.executable, str(_FOLDER / "naive_service.py"), str(port), url]
    with _running("naive", command, port, folder) as server:
        yield server


@contextmanager
def ours(folder: Path, url: str, workers: int, **more: str) -> Iterator[Server]:
    """(c) `audience-consent serve` with its default settings, and `more` of them."""
    port = _free_port()
    command = [sys.executable, "-m", "consent.cli", "serve", f"--port={port}"]
    settings = {"DATABASE_URL": url, "WORKERS": str(workers), **more}
    with _running(f"ours-{workers}", command, port, folder, settings) as server:
        yield server


@contextmanager
def _running(
    name: str, command: list[str], port: int, folder: Path, settings: dict[str, str] | None = None
) -> Iterator[Server]:
    own = ("DATABASE_URL", "DATA_DIR", "HOST", "PORT", "WORKERS", "ROOT_PATH", "LOG_LEVEL")
    inherited = {key: value for key, value in os.environ.items() if key not in own}
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=_ROOT,
            env={**inherited, "PYTHONPATH": str(_ROOT), **(settings or {})},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            # Ctrl-C reaches the bench alone, which then stops its servers one by one.
            start_new_session=True,
        )
    server = Server(name, f"http://127.0.0.1:{port}", process.pid, log)
    try:
        _wait_until_it_answers(server, process)
        yield server
    finally:
        _stop(server, process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(server: Server, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            url = server.base + "/healthz"
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - our own server
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    tail = server.log.read_text(errors="replace")[-2000:]
    raise BenchError(f"{server.name} does not answer on {server.base}; its log ends:\n{tail}")


def _stop(server: Server, process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM; if that takes too long SIGKILL to the process and its workers, each by its pid."""
    if process.poll() is not None:
        return
    workers = server.worker_pids()
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        for pid in workers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
