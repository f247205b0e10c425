"""Several worker processes: what comes in is shared out among them."""

import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.service_process import ServiceProcess

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


def test_connections_that_come_together_are_shared_out(tmp_path: Path, database_url: str) -> None:
    with ServiceProcess(tmp_path, "--workers", "2", DATABASE_URL=database_url) as service:
        for _ in range(8):
            found = _answering(service.port)
            # By chance: one time in ten million it is fewer.
            assert min(found.values()) >= CONNECTIONS // 6, found
            assert len(found) == 2
        assert service.output().count("serves on") == 1
