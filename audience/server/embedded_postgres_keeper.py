"""The keeper: a small process that holds PostgreSQL as its child for as long as anybody uses it.

Started by `embedded_postgres.join`, in a session of its own: Ctrl-C in the terminal and a kill of
the service's process group do not reach it. It wants `users.lock` for itself, of which each user
of the server holds a share. The kernel takes the shares of killed processes back, so once the
keeper has the lock everybody is gone, however they went: it stops the server and exits. If the
keeper itself is killed, the kernel tells PostgreSQL to shut down (PR_SET_PDEATHSIG). If PostgreSQL
dies while it has users, the keeper starts it again.

Files in DATA_DIR/postgres; all but `data` belong to the user that runs the service:
    data           the cluster; belongs to the account PostgreSQL runs as
    password       the password of the service's role
    server.log     what PostgreSQL and the keeper say; server.log.1 is the part before
    start.lock     held by a process that starts, joins or leaves the server
    users.lock     shared by the users; exclusive: the keeper, when it stops the server
    keeper.lock    held by the keeper, and by nobody else
    server.lock    held by the keeper and, inherited, by every process of the server: whoever gets
                   it knows that no process of an earlier server is left

Standard library only, and little of it: this runs with `-I -S` to be up in about 30 ms.
"""

import ctypes
import fcntl
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from audience.server.embedded_postgres_account import AccountError, Place, find_place, spawn

PORT = 5432
ROLE = DATABASE = "audience_consent"
#: Has no password: it exists in single-user mode only.
_OWNER = "audience_consent_owner"
_MAX_LOG_BYTES = 10 * 1024 * 1024
_LOG_CHECK_SECONDS = 600.0
_READY_POLL_SECONDS = 0.005
_EARLIER_SERVER_SECONDS = 75.0
#: How the server is asked to stop, and for how long each: cleanly, without a checkpoint, by force.
_STOP_SIGNALS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
_LONGEST_BACKOFF_SECONDS = 5.0
_PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 15, 36

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    # Relative to the data directory, so that its path may be longer than a socket's.
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "100",
    "shared_buffers": "128MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "log_lock_waits": "on",
    "log_min_messages": "warning",
    # Personal data stays out of the log: no statements, no parameters, no DETAIL with key values.
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}
_PG_HBA = "# Written by audience-consent.\nlocal all all scram-sha-256\n"
_INITIAL_SQL = (
    f"CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;",
    # Messages of errors quote values (`invalid input syntax for type uuid: "..."`). The service
    # gets its errors and logs them itself; those of PostgreSQL's own processes are still logged.
    f"ALTER ROLE {ROLE} SET log_min_messages = 'log';",
    f"CREATE DATABASE {DATABASE} OWNER {ROLE};",
    f"REVOKE ALL ON DATABASE {DATABASE}, postgres, template1 FROM PUBLIC;",
)


class KeeperError(Exception):
    """One line for the process that wants the server."""


class Server:
    """PostgreSQL on one data directory, as a child of this process."""

    def __init__(self, directory: Path, place: Place, settings: Mapping[str, str]) -> None:
        """directory: DATA_DIR/postgres; settings: on top of those of the module."""
        self._data = directory / "data"
        self._place = place
        self._settings = {**_SETTINGS, **settings}
        self._pid: int | None = None

    def start(self) -> None:
        """Start the server; nobody may be running on the data."""
        _remove_stale_locks(self._data)
        arguments = [str(self._place.pginstall / "bin/postgres"), "-D"]
        arguments.append(str(self._place.directory / "data"))
        for name, value in self._settings.items():
            arguments += ["-c", f"{name}={value}"]
        # Killed keeper: the server shuts down cleanly, its clients are disconnected.
        self._pid = spawn(
            arguments, self._place.account, death_signal=signal.SIGINT, stdin=0, stdout=2
        )

    def is_ready(self) -> bool:
        """Whether the server accepts connections."""
        return self._pid is not None and self._pid == ready_pid(self._data)

    def has_ended(self) -> bool:
        """Whether the server is gone; collects ended children, orphans of the server among them."""
        while True:
            try:
                pid = os.waitpid(-1, os.WNOHANG)[0]
            except ChildProcessError:
                pid = 0
            if pid == 0:
                return self._pid is None
            if pid == self._pid:
                self._pid = None

    def stop(self) -> None:
        """Stop the server; returns when no process of it is left."""
        for number, seconds in _STOP_SIGNALS:
            deadline = time.monotonic() + seconds
            if self._pid is not None and not self.has_ended():
                os.kill(self._pid, number)
            while not self.has_ended() and (left := deadline - time.monotonic()) > 0:
                signal.sigtimedwait({signal.SIGCHLD}, left)
        self.end_orphans()

    def end_orphans(self) -> None:
        """End what a killed server left behind; as a subreaper this process is their parent now."""
        for listing in Path("/proc/self/task").glob("*/children"):
            for pid in listing.read_text().split():
                # The shared memory they work on is given up, so there is nothing to tidy.
                os.kill(int(pid), signal.SIGKILL)
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            pass


class _Request(NamedTuple):
    directory: Path
    pginstall: Path
    settings: Mapping[str, str]
    #: Tells the process that asked; None: the server is ready.
    answer: Callable[[str | None], None]


def main() -> None:
    """Keep the server. argv: DATA_DIR/postgres; stdin: {"pginstall", "settings"} as JSON.

    stdout gets {"error": null | message} once the server is ready or failed; stderr is the log.
    """
    given = json.load(sys.stdin)
    if os.fork():
        # The asking process collects this one, so the keeper is never left to it as a zombie.
        os._exit(0)
    # Signals are fetched by sigtimedwait, never delivered. With SIGINT's default action a child
    # that was signalled before exec dies.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NAME, b"postgres-keeper")
    libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))
    request = _Request(
        Path(sys.argv[-1]), Path(given["pginstall"]), given["settings"], _answer_on_stdout()
    )
    try:
        _keep(request)
    except (KeeperError, AccountError) as error:
        _note(str(error))
        request.answer(str(error))


def _answer_on_stdout() -> Callable[[str | None], None]:
    pipe = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)

    def answer(error: str | None) -> None:
        try:
            os.write(pipe, json.dumps({"error": error}).encode())
        except BrokenPipeError:
            _note("the process that asked for the server is gone")
        os.close(pipe)

    return answer


def _keep(request: _Request) -> None:
    directory = request.directory
    locks = [_lock(directory / "keeper.lock"), _lock(directory / "server.lock")]
    os.set_inheritable(locks[1], True)  # noqa: FBT003 - the only way to say it
    os.ftruncate(locks[0], 0)
    os.write(locks[0], f"{os.getpid()}\n".encode())
    threading.Thread(target=_stop_without_users, args=(directory,), daemon=True).start()
    bound_log(directory / "server.log")
    place = find_place(directory, request.pginstall)
    _prepare(directory, place, request.settings)
    server = Server(directory, place, request.settings)
    server.start()
    try:
        _supervise(server, directory, request.answer)
    finally:
        server.stop()


def _lock(path: Path) -> int:
    """The descriptor of the file, locked. A keeper that was killed leaves a server that stops."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _EARLIER_SERVER_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise KeeperError(f"an earlier server still runs, it holds {path}") from None
            time.sleep(0.01)
        else:
            return descriptor


def _stop_without_users(directory: Path) -> None:
    """Wait in a thread until nobody uses the server any more, then stop the keeper."""
    users = os.open(directory / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(users, fcntl.LOCK_EX)
    os.kill(os.getpid(), signal.SIGTERM)
