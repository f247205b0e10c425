"""Several worker processes: what comes in is shared out among them."""

import contextlib
import os
import signal
import socket
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from audience.server.settings import Settings
from consent.serve import ServeError, reserve_address
from tests.service_process import ServiceProcess, free_port

CONNECTIONS = 64
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def _answering(port: int) -> Counter[str]:
    """{start of a worker's request ids: connections it has}, of so many opened in one go."""
    found: Counter[str] = Counter()
    with ExitStack() as stack:
        opened = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            for _ in range(CONNECTIONS)
        ]
        for one in opened:
            one.sendall(REQUEST)
        for one in opened:
            head = one.recv(4096).decode()
            found[head.partition("X-Request-Id: ")[2][:8]] += 1
    return found


def _until_both_answer(port: int) -> None:
    """The service is ready when one worker is; the other one begins to listen a little later."""
    deadline = time.monotonic() + 30
    while len(_answering(port)) < 2:
        assert time.monotonic() < deadline


def test_connections_that_come_together_are_shared_out(tmp_path: Path, database_url: str) -> None:
    with ServiceProcess(tmp_path, "--workers", "2", DATABASE_URL=database_url) as service:
        _until_both_answer(service.port)
        for _ in range(8):
            found = _answering(service.port)
            # By chance: one time in ten million it is fewer.
            assert min(found.values()) >= CONNECTIONS // 6, found
            assert len(found) == 2
        assert service.output().count("serves on") == 1


def test_an_address_is_reserved_before_the_workers_listen() -> None:
    settings = Settings(port=free_port(), workers=2)
    with reserve_address(settings):
        for workers in (1, 2):
            with pytest.raises(ServeError, match="is in use"):
                reserve_address(Settings(port=settings.port, workers=workers))
    reserve_address(settings).close()


def test_a_worker_that_dies_is_replaced_and_others_serve_meanwhile(
    tmp_path: Path, database_url: str
) -> None:
    with ServiceProcess(tmp_path, "--workers", "2", DATABASE_URL=database_url) as service:
        _until_both_answer(service.port)
        before = set(_answering(service.port))
        os.kill(_children(service.pid)[0], signal.SIGKILL)
        found: Counter[str] = Counter()
        for _ in range(600):
            time.sleep(0.1)
            # What waited for the killed one is reset.
            with contextlib.suppress(OSError):
                found = _answering(service.port)
            if len(found) == 2 and set(found) != before:
                break
        assert len(set(found) & before) == 1, (before, found)
        assert min(found.values()) >= CONNECTIONS // 6, found
        assert service.output().count("serves on") == 1


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return sorted(int(child) for child in listed.split())
