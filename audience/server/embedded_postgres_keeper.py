"""The keeper: a small process that holds PostgreSQL as its child for as long as anybody uses it.

Started by `embedded_postgres.join`, in a session of its own: Ctrl-C in the terminal and a kill of
the service's process group do not reach it. It wants `users.lock` for itself, of which each user
of the server holds a share. The kernel takes the shares of killed processes back, so once the
keeper has the lock everybody is gone, however they went: it stops the server and exits. If the
keeper itself is killed, the kernel tells PostgreSQL to shut down (PR_SET_PDEATHSIG). If PostgreSQL
dies while it has users, the keeper starts it again. SIGTERM does not stop it: a service that is
told to end together with it needs its database until it has ended.

Files in DATA_DIR/postgres; all but `data` belong to the user that runs the service:
    data           the cluster; belongs to the account PostgreSQL runs as
    pg_hba.conf    every connection needs a password; written at each start
    password       the password of the service's role
    server.log     what PostgreSQL and the keeper say; server.log.1 is the part before
    start.lock     held by a process that starts, joins or leaves the server
    users.lock     shared by the users; exclusive: the keeper, when it stops the server
    keeper.lock    held by the keeper and nobody else
    server.lock    held by the keeper and, inherited, by every process of the server: whoever gets
                   it knows that no process of an earlier server is left
    binaries-*     see embedded_postgres_account

Standard library only, and little of it: it runs with `-I -S` to be up in about 30 ms.
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
from contextlib import suppress
from pathlib import Path

from audience.server.embedded_postgres_account import AccountError, Place, find_place, spawn
from audience.server.embedded_postgres_cluster import (
    ClusterError,
    prepare_cluster,
    ready_pid,
    remove_stale_locks,
    server_arguments,
)
from audience.server.embedded_postgres_locks import LockTimeout, take_lock

_MAX_LOG_BYTES = 10 * 1024 * 1024
_LOG_CHECK_SECONDS = 600.0
_READY_POLL_SECONDS = 0.005
_EARLIER_SERVER_SECONDS = 75.0
#: How the server is asked to stop, and for how long each: cleanly, without checkpoint, by force.
_STOP_SIGNALS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
_SHORTEST_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS = 0.05, 5.0
#: A server that ran this long has not died of its start.
_CALM_SECONDS = 60.0
_NO_USERS = signal.SIGUSR1
_BLOCKED_SIGNALS = {_NO_USERS, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 15, 36

#: Tells the process that asked for the server: None when it is ready, else what is wrong.
Answer = Callable[[str | None], None]


class KeeperError(Exception):
    """One line for the process that asked for the server."""


class Server:
    """PostgreSQL on one data directory, as a child of this process."""

    def __init__(self, directory: Path, place: Place, settings: Mapping[str, str]) -> None:
        """directory: DATA_DIR/postgres; settings: as of `server_arguments`."""
        self._data = directory / "data"
        self._place = place
        self._settings = settings
        self._pid: int | None = None

    def start(self) -> None:
        """Start the server; no process of an earlier one may be left."""
        remove_stale_locks(self._data)
        arguments = server_arguments(self._place, self._settings)
        # SIGINT when the keeper dies: clients are disconnected, the data is left clean.
        self._pid = spawn(
            arguments, self._place.account, death_signal=signal.SIGINT, stdin=0, stdout=2
        )

    def is_ready(self) -> bool:
        """Whether the server accepts connections."""
        return self._pid is not None and self._pid == ready_pid(self._data)

    def has_ended(self) -> bool:
        """Whether the server is gone; collects every child that ended."""
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
        """End what a killed server left; this process, a subreaper, has become their parent."""
        for listing in Path("/proc/self/task").glob("*/children"):
            for pid in listing.read_text().split():
                # The shared memory they work on is given up, so there is nothing to tidy.
                os.kill(int(pid), signal.SIGKILL)
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)


def main() -> None:
    """Keep the server. argv: DATA_DIR/postgres; stdin: {"pginstall", "settings"} as JSON.

    stdout gets {"error": null or a line} once the server is ready or failed; stderr is the log.
    """
    request = json.load(sys.stdin)
    if os.fork():
        # The asking process collects this one, so the keeper never stays with it as a zombie.
        os._exit(0)
    # No handlers: the signals that matter are waited for, the others stay pending. With its
    # default action, SIGINT ends a child that is told to stop before it is PostgreSQL.
    signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED_SIGNALS)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.umask(0o077)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NAME, b"postgres-keeper")
    libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))
    answer = _answer_on_stdout()
    try:
        _keep(Path(sys.argv[-1]), Path(request["pginstall"]), request["settings"], answer)
    except (KeeperError, AccountError, ClusterError, LockTimeout, OSError) as error:
        _note(f"{error}")
        answer(f"{error}")


def _answer_on_stdout() -> Answer:
    """Answers once, through what was stdout; standard input and output are nowhere from now on."""
    pipes = [os.dup(1)]
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)

    def answer(error: str | None) -> None:
        while pipes:
            pipe = pipes.pop()
            try:
                os.write(pipe, json.dumps({"error": error}).encode())
            except BrokenPipeError:
                _note("the process that asked for the server is gone")
            os.close(pipe)

    return answer


def _keep(directory: Path, pginstall: Path, settings: Mapping[str, str], answer: Answer) -> None:
    # After a killed keeper the server takes its time to stop, and holds server.lock until then.
    deadline = time.monotonic() + _EARLIER_SERVER_SECONDS
    keeper_lock = take_lock(directory / "keeper.lock", fcntl.LOCK_EX, deadline)
    os.ftruncate(keeper_lock, 0)
    os.write(keeper_lock, f"{os.getpid()}\n".encode())
    server_lock = take_lock(directory / "server.lock", fcntl.LOCK_EX, deadline)
    os.set_inheritable(server_lock, True)  # noqa: FBT003 - positional only
    threading.Thread(target=_stop_without_users, args=(directory,), daemon=True).start()
    _bound_log(directory / "server.log")
    place = find_place(directory, pginstall)
    prepare_cluster(directory, place, settings)
    server = Server(directory, place, settings)
    try:
        server.start()
        _supervise(server, directory, answer)
    finally:
        server.stop()


def _stop_without_users(directory: Path) -> None:
    """Wait, in a thread, until nobody uses the server any more; then stop the keeper."""
    users = os.open(directory / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(users, fcntl.LOCK_EX)
    os.kill(os.getpid(), _NO_USERS)


def _supervise(server: Server, directory: Path, answer: Answer) -> None:
    """Answer when the server is ready, start it again when it dies; returns when it is to stop."""
    while not server.is_ready():
        if server.has_ended():
            raise KeeperError("PostgreSQL ended while it was starting")
        if _without_users({_NO_USERS, signal.SIGCHLD}, _READY_POLL_SECONDS):
            return
    answer(None)
    backoff, started_at = _SHORTEST_BACKOFF_SECONDS, time.monotonic()
    while not _without_users({_NO_USERS, signal.SIGCHLD}, _LOG_CHECK_SECONDS):
        _bound_log(directory / "server.log")
        while server.has_ended():
            server.end_orphans()
            if time.monotonic() - started_at > _CALM_SECONDS:
                backoff = _SHORTEST_BACKOFF_SECONDS
            _note(f"PostgreSQL has died; it is started again in {backoff} seconds")
            if _without_users({_NO_USERS}, backoff):
                return
            backoff, started_at = min(backoff * 2, _LONGEST_BACKOFF_SECONDS), time.monotonic()
            # No memory for a process, say: the next turn tries again.
            with suppress(OSError):
                server.start()


def _without_users(awaited: set[signal.Signals], seconds: float) -> bool:
    """Wait for one of the signals; whether it was the one that says nobody is left."""
    fetched = signal.sigtimedwait(awaited, seconds)
    return fetched is not None and fetched.si_signo == _NO_USERS


def _bound_log(log: Path) -> None:
    """Start the log anew when it is large. Its writers append, so they may keep it open.

    Never fails: a full disk must not stop the server.
    """
    with suppress(OSError):
        if log.stat().st_size > _MAX_LOG_BYTES:
            with suppress(OSError):
                shutil.copyfile(log, log.with_name("server.log.1"))
            os.truncate(log, 0)


def _note(message: str) -> None:
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    with suppress(OSError):
        os.write(2, f"{now} [keeper {os.getpid()}] {message}\n".encode())
