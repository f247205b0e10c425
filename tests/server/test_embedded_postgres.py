"""The embedded PostgreSQL, really started; who joins, leaves, and is killed."""

import os
import signal
import stat
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from audience.server.embedded_postgres import EmbeddedDatabase, EmbeddedPostgresError, Lease, join
from audience.server.embedded_postgres_locks import is_free
from tests.server.lease_process import (
    QUICK,
    LeaseProcess,
    ask,
    keeper,
    postmaster,
    run,
    server_processes,
    until,
)

RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT count%series%'"


def ask_with_sqlalchemy(database: EmbeddedDatabase, statement: str) -> Any:
    async def connect_and_ask() -> Any:
        engine = create_async_engine(database.url.replace("://", "+asyncpg://", 1))
        async with engine.connect() as connection:
            answer = (await connection.execute(text(statement))).scalar()
        await engine.dispose()
        return answer

    return run(connect_and_ask())


def quick_join(data_dir: Path) -> Lease:
    return join(data_dir, server_settings=QUICK)


def write_a_row(database: EmbeddedDatabase) -> None:
    ask(database, "CREATE TABLE visits AS SELECT 42 AS visit_count")


def assert_row_is_there(database: EmbeddedDatabase) -> None:
    assert ask(database, "SELECT visit_count FROM visits") == 42


def count_endlessly(database: EmbeddedDatabase) -> None:
    with pytest.raises((asyncpg.PostgresError, OSError)):
        ask(database, "SELECT count(*) FROM generate_series(1, 10000000000)")


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
        assert "password" not in repr(lease.database)


def test_url_works_with_sqlalchemy(tmp_path: Path) -> None:
    with quick_join(tmp_path) as lease:
        assert ask_with_sqlalchemy(lease.database, "SELECT 42") == 42


def test_only_the_password_opens_the_database(tmp_path: Path) -> None:
    with quick_join(tmp_path) as lease:
        for user in ("audience_consent", "audience_consent_owner", "postgres"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                ask(replace(lease.database, user=user, password="wrong"), "SELECT 42")
        assert stat.S_IMODE((tmp_path / "postgres/password").stat().st_mode) == 0o600
        commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in server_processes(tmp_path)]
        assert commands
        assert not any(lease.database.password in command for command in commands)
        assert lease.database.password not in (tmp_path / "postgres/server.log").read_text()


def test_nothing_listens_on_tcp(tmp_path: Path) -> None:
    with quick_join(tmp_path):
        sockets = set()
        for pid in server_processes(tmp_path):
            targets = (str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir())
            sockets |= {target[8:-1] for target in targets if target.startswith("socket:[")}
        tables = [Path(f"/proc/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6")]
        rows = "".join(table.read_text() for table in tables if table.exists()).splitlines()
        assert sockets
        # The tenth column of a row is the number of its socket.
        assert sockets.isdisjoint(row.split()[9] for row in rows)


def test_data_survives_a_restart(tmp_path: Path) -> None:
    with quick_join(tmp_path) as lease:
        write_a_row(lease.database)
    with quick_join(tmp_path) as lease:
        assert_row_is_there(lease.database)


def test_server_outlives_its_starter_and_ends_with_the_last_lease(tmp_path: Path) -> None:
    with LeaseProcess(tmp_path) as starter:
        assert starter.database.user == "audience_consent"
        lease = quick_join(tmp_path)
        started = postmaster(tmp_path)
        starter.end()
    assert ask(lease.database, "SELECT 42") == 42
    assert postmaster(tmp_path) == started
    lease.release()
    assert server_processes(tmp_path) == set()
    lease.release()


def test_starters_at_once_share_one_server(tmp_path: Path) -> None:
    processes = [LeaseProcess(tmp_path) for _ in range(4)]
    databases = [process.database for process in processes]
    assert len(set(databases)) == 1
    children = Path(f"/proc/{keeper(tmp_path)}/task/{keeper(tmp_path)}/children").read_text()
    assert children.split() == [str(postmaster(tmp_path))]
    for process in processes:
        process.end()
    assert server_processes(tmp_path) == set()


def test_servers_of_two_directories_do_not_meet(tmp_path: Path) -> None:
    with quick_join(tmp_path / "one") as one, quick_join(tmp_path / "other") as other:
        write_a_row(one.database)
        with pytest.raises(asyncpg.UndefinedTableError):
            assert_row_is_there(other.database)


def test_killed_user_leaves_no_server(tmp_path: Path) -> None:
    with LeaseProcess(tmp_path) as process:
        write_a_row(process.database)
        process.kill()
    until(lambda: not server_processes(tmp_path), "the server is gone")
    with quick_join(tmp_path) as lease:
        assert_row_is_there(lease.database)


def test_join_waits_for_a_server_that_stops(tmp_path: Path) -> None:
    with LeaseProcess(tmp_path) as process:
        write_a_row(process.database)
        process.kill()
    with quick_join(tmp_path) as lease:
        assert_row_is_there(lease.database)


def test_killed_keeper_leaves_no_server(tmp_path: Path) -> None:
    with quick_join(tmp_path) as lease:
        write_a_row(lease.database)
        os.kill(keeper(tmp_path), signal.SIGKILL)
        until(lambda: not server_processes(tmp_path), "the server is gone")
        with quick_join(tmp_path) as again:
            assert_row_is_there(again.database)
            assert_row_is_there(lease.database)
    assert server_processes(tmp_path) == set()


def test_join_waits_for_the_server_of_a_killed_keeper(tmp_path: Path) -> None:
    with quick_join(tmp_path):
        os.kill(keeper(tmp_path), signal.SIGKILL)
        until(lambda: is_free(tmp_path / "postgres/keeper.lock"), "the keeper is gone")
        with quick_join(tmp_path) as again:
            assert ask(again.database, "SELECT 42") == 42


def test_killed_server_comes_back_though_a_query_goes_on(tmp_path: Path) -> None:
    with quick_join(tmp_path) as lease:
        write_a_row(lease.database)
        endless = threading.Thread(target=count_endlessly, args=(lease.database,))
        endless.start()
        until(lambda: ask(lease.database, RUNNING), "the query runs")
        before = server_processes(tmp_path)
        os.kill(postmaster(tmp_path), signal.SIGKILL)
        endless.join()
        until(lambda: before.isdisjoint(server_processes(tmp_path)), "all earlier processes ended")
        with quick_join(tmp_path) as again:
            assert_row_is_there(again.database)


def test_process_number_of_a_killed_server_may_belong_to_another(tmp_path: Path) -> None:
    quick_join(tmp_path).release()
    data = tmp_path / "postgres/data"
    owner = data.stat().st_uid
    with subprocess.Popen(["/bin/sleep", "60"], user=owner, cwd="/") as other:
        stale = f"{other.pid}\n{data}\n1700000000\n5432\n.\n\n  5432001    12345\nready   \n"
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock", ".s.PGSQL.5432"):
            (data / name).write_text(stale)
            os.chown(data / name, owner, -1)
        with quick_join(tmp_path) as lease:
            assert ask(lease.database, "SELECT 42") == 42
        assert other.poll() is None
        other.kill()


def test_server_that_somebody_else_runs_on_the_data_is_left_alone(tmp_path: Path) -> None:
    quick_join(tmp_path).release()
    data = tmp_path / "postgres/data"
    with subprocess.Popen(["/bin/sleep", "60"], cwd=data) as other:
        (data / "postmaster.pid").write_text(f"{other.pid}\n")
        with pytest.raises(EmbeddedPostgresError, match=f"another PostgreSQL .process {other.pid}"):
            quick_join(tmp_path)
        assert (data / "postmaster.pid").exists()
        other.kill()


def test_first_start_killed_halfway_is_done_again(tmp_path: Path) -> None:
    with LeaseProcess(tmp_path) as process:
        until((tmp_path / "postgres/data.new/base").exists, "initdb is at work")
        os.kill(keeper(tmp_path), signal.SIGKILL)
        process.kill()
    assert not (tmp_path / "postgres/data").exists()
    with quick_join(tmp_path) as lease:
        assert ask(lease.database, "SELECT 42") == 42
    assert not (tmp_path / "postgres/data.new").exists()


@pytest.mark.parametrize("name", ["long" * 40, "Größe 100% & Co., a:b"])
def test_any_directory_will_do(tmp_path: Path, name: str) -> None:
    with quick_join(tmp_path / name) as lease:
        write_a_row(lease.database)
        assert ask_with_sqlalchemy(lease.database, "SELECT 42") == 42
        child = os.fork()
        if not child:
            lease.forget_in_child()
            os._exit(0 if Path(lease.database.host, ".s.PGSQL.5432").is_socket() else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_forked_children_do_not_give_up_the_hold_of_their_parent(tmp_path: Path) -> None:
    with quick_join(tmp_path) as lease:
        for leave in (lease.release, lease.forget_in_child):
            child = os.fork()
            if not child:
                leave()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert ask(lease.database, "SELECT 42") == 42
        lease.forget_in_child()
        assert ask(lease.database, "SELECT 42") == 42
    assert server_processes(tmp_path) == set()


def test_lost_password_is_made_anew(tmp_path: Path) -> None:
    with quick_join(tmp_path) as lease:
        before = lease.database.password
    (tmp_path / "postgres/password").unlink()
    with quick_join(tmp_path) as lease:
        assert lease.database.password != before
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
