"""The embedded PostgreSQL, really started; who joins, leaves, and is killed."""

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from audience.server.embedded_postgres import EmbeddedDatabase, EmbeddedPostgresError
from audience.server.embedded_postgres_locks import is_free
from tests.server.lease_process import (
    LeaseProcess,
    ask,
    keeper,
    postmaster,
    quick_join,
    run,
    server_processes,
    until,
)

#: Computes and never looks whether its server still lives.
ENDLESS = "SELECT count(*) FROM generate_series(1, 100000) AS a, generate_series(1, 100000) AS b"
RUNNING = f"SELECT count(*) FROM pg_stat_activity WHERE query = '{ENDLESS}'"


def ask_with_sqlalchemy(database: EmbeddedDatabase, statement: str) -> Any:
    async def connect_and_ask() -> Any:
        engine = create_async_engine(database.url.replace("://", "+asyncpg://", 1))
        async with engine.connect() as connection:
            answer = (await connection.execute(text(statement))).scalar()
        await engine.dispose()
        return answer

    return run(connect_and_ask())


def write_a_row(database: EmbeddedDatabase) -> None:
    ask(database, "CREATE TABLE visits AS SELECT 42 AS visit_count")


def assert_row_is_there(database: EmbeddedDatabase) -> None:
    assert ask(database, "SELECT visit_count FROM visits") == 42


def test_url_works_with_sqlalchemy(tmp_path: Path) -> None:
    with quick_join(tmp_path) as lease:
        assert ask_with_sqlalchemy(lease.database, "SELECT 42") == 42


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


def test_server_is_not_in_the_process_group_of_its_starter(tmp_path: Path) -> None:
    with LeaseProcess(tmp_path, start_new_session=True) as starter:
        assert starter.database.user == "audience_consent"
        with quick_join(tmp_path) as lease:
            os.killpg(starter.pid, signal.SIGKILL)
            assert ask(lease.database, "SELECT 42") == 42


def test_keeper_that_is_told_to_end_waits_for_its_users(tmp_path: Path) -> None:
    with quick_join(tmp_path) as lease:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(keeper(tmp_path), number)
        assert ask(lease.database, "SELECT 42") == 42
    assert server_processes(tmp_path) == set()


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
    with ThreadPoolExecutor() as executor, quick_join(tmp_path) as lease:
        write_a_row(lease.database)
        endless = executor.submit(ask, lease.database, ENDLESS)
        until(lambda: ask(lease.database, RUNNING), "the query runs")
        before = server_processes(tmp_path)
        os.kill(postmaster(tmp_path), signal.SIGKILL)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            endless.result()
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
