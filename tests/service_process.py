"""The real service in processes of its own, as `audience-consent serve` runs it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

READY_WITHIN_SECONDS = 100
STOPS_WITHIN_SECONDS = 10


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServiceProcess:
    """Starts the service on a free port, waits until it is ready, stops it at the end."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        python: str = sys.executable,
        program: tuple[str, ...] = ("-m", "consent.cli"),
        **environment: str,
    ) -> None:
        """folder: where it runs and its log goes; program: what Python runs."""
        self._folder = folder
        self.port = free_port()
        self.log_path = folder / f"service-{self.port}.log"
        self.output_path = folder / f"service-{self.port}.out"
        self._command = [python, *program, "serve", "--port", str(self.port), *arguments]
        inherited = {"PATH", "HOME", "LANG", "PYTHONPATH"}
        self._environment = {
            **{name: value for name, value in os.environ.items() if name in inherited},
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The master process."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """Everything it has logged."""
        return self.log_path.read_text("utf-8")

    def output(self) -> str:
        """Everything it has printed."""
        return self.output_path.read_text("utf-8")

    def start(self, *, until_ready: bool = True) -> Self:
        """Start it in a process group of its own."""
        with self.log_path.open("ab") as log, self.output_path.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                start_new_session=True,
            )
        if until_ready:
            self.wait_for("/readyz", 200)
        return self

    def wait_for(self, path: str, status: int, seconds: float = READY_WITHIN_SECONDS) -> None:
        """Poll until a GET is answered with the status."""
        deadline = time.monotonic() + seconds
        seen: object = None
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            seen = self._status(path)
            if seen == status:
                return
            time.sleep(0.02)
        message = f"{path} never answered {status} but {seen}: {self.log()[-2000:]}"
        raise AssertionError(message)

    def _status(self, path: str) -> int | None:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the master."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = STOPS_WITHIN_SECONDS) -> int:
        """The exit status, once it has ended."""
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """Kill -9 of the master and its workers at once; what runs the database is not theirs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self.send(signal.SIGTERM)
        return self.wait(STOPS_WITHIN_SECONDS + 5)

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it, whatever happened."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
