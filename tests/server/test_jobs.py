"""Jobs: one process at a time runs each; a failed step is tried again; all end with the service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from audience.server import jobs
from audience.server.database import Database
from audience.server.jobs import Job, Step, hold_jobs
from audience.server.keys import DATABASE


@asynccontextmanager
async def _serving(database_url: str, *run: Job) -> AsyncIterator[None]:
    app = web.Application()
    app[DATABASE] = Database(database_url)
    app.cleanup_ctx.append(hold_jobs(run))
    async with TestServer(app):
        yield
    await app[DATABASE].close()


def _counting(done: asyncio.Queue[str], name: str, more: int = 0) -> Step:
    left = [more]

    async def step(_app: web.Application) -> bool:
        await done.put(name)
        left[0] -= 1
        return left[0] >= 0

    return step


async def test_steps_follow_each_other_while_more_is_waiting(database_url: str) -> None:
    done: asyncio.Queue[str] = asyncio.Queue()
    job = Job("follow", 3600, _counting(done, "step", more=3))
    async with _serving(database_url, job):
        assert [await asyncio.wait_for(done.get(), 5) for _ in range(4)] == ["step"] * 4
        # The fourth said that nothing more is waiting: the next one comes in an hour.
        await asyncio.sleep(0.05)
        assert done.empty()


async def test_one_process_at_a_time_and_another_takes_over(database_url: str) -> None:
    done: asyncio.Queue[str] = asyncio.Queue()
    release = asyncio.Event()

    def holding(name: str) -> Step:
        async def step(_app: web.Application) -> bool:
            await done.put(name)
            await release.wait()
            return False

        return step

    async with _serving(database_url, Job("single", 0.01, holding("first"))):
        assert await asyncio.wait_for(done.get(), 5) == "first"
        async with _serving(database_url, Job("single", 0.01, holding("second"))):
            # It has looked many times by now.
            await asyncio.sleep(0.3)
            assert done.empty()
            release.set()
            seen = {await asyncio.wait_for(done.get(), 5) for _ in range(40)}
            assert seen == {"first", "second"}


async def test_failing_step_is_logged_without_its_text_and_tried_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(jobs, "_PAUSE_AFTER_ERROR_SECONDS", 0.01)
    done: asyncio.Queue[str] = asyncio.Queue()
    failures = iter(range(2))

    async def step(_app: web.Application) -> bool:
        for _ in failures:
            message = "marker of a person"
            raise ValueError(message)
        await done.put("worked")
        return False

    async with _serving(database_url, Job("failing", 0.01, step)):
        assert await asyncio.wait_for(done.get(), 5) == "worked"
    output = capsys.readouterr()
    assert "ValueError" in output.out + output.err
    assert "marker of a person" not in output.out + output.err


async def test_lost_connection_is_replaced(
    database_url: str, rows: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_PAUSE_AFTER_ERROR_SECONDS", 0.01)
    done: asyncio.Queue[str] = asyncio.Queue()
    async with _serving(database_url, Job("lost", 0.01, _counting(done, "step"))):
        await asyncio.wait_for(done.get(), 5)
        ended = await rows.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE '%advisory%' AND pid <> pg_backend_pid()"
        )
        assert ended
        while not done.empty():
            done.get_nowait()
        assert await asyncio.wait_for(done.get(), 5) == "step"


async def test_running_step_is_cancelled_when_the_service_ends(database_url: str) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def step(_app: web.Application) -> bool:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return False

    async with _serving(database_url, Job("endless", 1, step)):
        await asyncio.wait_for(started.wait(), 5)
    assert ended.is_set()
