"""The embedded PostgreSQL: what its data directory holds, lets in, and tells."""

import os
import shutil
import signal
import stat
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from audience.server.embedded_postgres import EmbeddedPostgresError, join
from audience.server.embedded_postgres_memory import shared_buffers
from tests.server.lease_process import (
    QUICK,
    LeaseProcess,
    ask,
    keeper,
    open_sockets,
    postmaster,
    quick_join,
    until,
)


def test_first_start_gives_an_ordinary_role_its_own_database(tmp_path: Path) -> None:
    with join(tmp_path / "not" / "there" / "yet") as lease:
        rights = "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication"
        assert ask(lease.database, f"{rights} FROM pg_roles WHERE rolname = user") is False
        owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        assert ask(lease.database, owner) == lease.database.user == "audience_consent"
        for name, value in {
            "server_encoding": "UTF8",
            "data_checksums": "on",
            "fsync": "on",
            "synchronous_commit": "on",
            "TimeZone": "UTC",
            "listen_addresses": "",
        }.items():
            assert ask(lease.database, f"SHOW {name}") == value
        pages = int(
            ask(lease.database, "SELECT setting FROM pg_settings WHERE name = 'shared_buffers'")
        )
        assert f"{pages * 8 // 1024}MB" == shared_buffers()
        assert "password" not in repr(lease.database)


def test_only_the_password_opens_the_database(tmp_path: Path) -> None:
    with quick_join(tmp_path) as lease:
        for user in ("audience_consent", "audience_consent_owner", "postgres"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                ask(replace(lease.database, user=user, password="wrong"), "SELECT 42")
        assert stat.S_IMODE((tmp_path / "postgres/password").stat().st_mode) == 0o600
        for pid in (postmaster(tmp_path), keeper(tmp_path)):
            assert lease.database.password not in Path(f"/proc/{pid}/cmdline").read_text()
        assert lease.database.password not in (tmp_path / "postgres/server.log").read_text()


def test_nothing_listens_on_tcp(tmp_path: Path) -> None:
    with quick_join(tmp_path):
        sockets = open_sockets(postmaster(tmp_path))
        tables = [Path(f"/proc/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6")]
        rows = "".join(table.read_text() for table in tables if table.exists()).splitlines()
        assert sockets
        # The tenth column of a row is the number of its socket.
        assert sockets.isdisjoint(row.split()[9] for row in rows)


def test_first_start_killed_halfway_is_done_again(tmp_path: Path) -> None:
    with LeaseProcess(tmp_path) as process:
        until((tmp_path / "postgres/data.new/base").exists, "initdb is at work")
        os.kill(keeper(tmp_path), signal.SIGKILL)
        process.kill()
    assert not (tmp_path / "postgres/data").exists()
    with quick_join(tmp_path) as lease:
        assert ask(lease.database, "SELECT 42") == 42
    assert not (tmp_path / "postgres/data.new").exists()


def test_lost_password_is_made_anew(tmp_path: Path) -> None:
    with quick_join(tmp_path) as lease:
        before = lease.database.password
    (tmp_path / "postgres/password").unlink()
    with quick_join(tmp_path) as lease:
        assert lease.database.password != before
        assert ask(lease.database, "SELECT 42") == 42


def test_removed_data_is_made_anew(tmp_path: Path) -> None:
    quick_join(tmp_path).release()
    shutil.rmtree(tmp_path / "postgres/data")
    with quick_join(tmp_path) as lease:
        assert ask(lease.database, "SELECT 42") == 42


def test_log_holds_no_personal_data(tmp_path: Path) -> None:
    with quick_join(tmp_path) as lease:
        ask(lease.database, "CREATE TABLE people (email text PRIMARY KEY)")
        for _ in range(2):
            try:
                ask(lease.database, "INSERT INTO people VALUES ('ada@example.com')")
            except asyncpg.UniqueViolationError:
                continue
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            ask(lease.database, "SELECT 'ada@example.com'::uuid")
    log = (tmp_path / "postgres/server.log").read_text()
    assert "ready to accept connections" in log
    assert "ada@example.com" not in log


def test_large_log_is_put_aside(tmp_path: Path) -> None:
    quick_join(tmp_path).release()
    log = tmp_path / "postgres/server.log"
    os.truncate(log, 11 * 1024 * 1024)
    quick_join(tmp_path).release()
    assert 0 < log.stat().st_size < 100_000
    assert log.with_name("server.log.1").stat().st_size >= 11 * 1024 * 1024


def test_failing_start_tells_the_end_of_the_log_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError) as caught:
        join(tmp_path, server_settings={**QUICK, "max_connections": "many"})
    message = str(caught.value)
    assert message.startswith("PostgreSQL ended while it was starting")
    assert 'invalid value for parameter "max_connections": "many"' in message
    assert "\n" not in message
    quick_join(tmp_path).release()


def test_data_of_another_major_version_is_refused(tmp_path: Path) -> None:
    quick_join(tmp_path).release()
    (tmp_path / "postgres/data/PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 17, installed is .* 18"):
        quick_join(tmp_path)


def test_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_join(tmp_path).release()
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    with pytest.raises(EmbeddedPostgresError, match=f"belongs to the user with id {us}"):
        quick_join(tmp_path)
