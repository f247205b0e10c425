"""Concurrent decisions against two worker processes: first without the lock, then with it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from audience.server.database import Database, raw
from consent.decisions.history.operations import verify_chain
from tests.conftest import App
from tests.consents import Visitor, history, new_visitor
from tests.service_process import ServiceProcess

UNGUARDED = str(Path(__file__).with_name("unguarded.py"))
MAX_ROUNDS = 20


@pytest.fixture(scope="module")
def guarded(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the service as it is, two workers."""
    folder = tmp_path_factory.mktemp("guarded")
    settings = {"DATABASE_URL": database_url, "COLLECT_PER_MINUTE": "0"}
    with ServiceProcess(folder, "--workers", "2", **settings) as service:
        yield service.url


@pytest.fixture(scope="module")
def unguarded(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the service without its lock, two workers."""
    folder = tmp_path_factory.mktemp("unguarded")
    settings = {"DATABASE_URL": database_url, "COLLECT_PER_MINUTE": "0"}
    service = ServiceProcess(folder, "--workers", "2", program=(UNGUARDED,), **settings)
    with service:
        yield service.url


async def _storm(url: str, visitors: list[Visitor]) -> list[int]:
    """One decision of each, all at once, alternating; the statuses."""

    async def decide(session: aiohttp.ClientSession, number: int, visitor: Visitor) -> int:
        body = {
            "websiteId": visitor.app.app_id,
            "visitorId": visitor.visitor_id,
            "hostname": "shop.example",
            "event": "consent_change",
            "consents": {"analytics": {"status": number % 2}},
            "decisionId": str(uuid4()),
        }
        async with session.post(f"{url}/consent/collect", data=json.dumps(body)) as answer:
            return answer.status

    connector = aiohttp.TCPConnector(limit=50)
    async with aiohttp.ClientSession(connector=connector) as session:
        return list(
            await asyncio.gather(*(decide(session, n, one) for n, one in enumerate(visitors)))
        )


async def _is_whole(url: str, app: App, database: Database) -> bool:
    """200 decisions of 100 visitors: true when all are in one unbroken chain."""
    before = len(await history(app))
    visitors = [new_visitor(app) for _ in range(100)]
    statuses = await _storm(url, visitors * 2)
    async with database.transaction() as conn:
        found = await verify_chain(await raw(conn), app.app_id)
    is_chain = found.fault is None and found.decisions == before + 200
    return set(statuses) == {204} and is_chain


async def test_without_the_lock_decisions_are_lost(
    app: App, database: Database, unguarded: str
) -> None:
    for _ in range(MAX_ROUNDS):
        if not await _is_whole(unguarded, app, database):
            return
    pytest.fail("the race proves nothing: without the lock it did no damage")


async def test_the_chain_is_whole_with_two_workers(
    app: App, database: Database, guarded: str
) -> None:
    for _ in range(3):
        assert await _is_whole(guarded, app, database)


async def test_fifty_decisions_of_one_visitor_through_two_workers(app: App, guarded: str) -> None:
    visitor = new_visitor(app)
    assert await _storm(guarded, [visitor] * 50) == [204] * 50
    rows = await history(app)
    assert [row["sequence"] for row in rows] == list(range(1, 51))
    assert len({row["visitor_hash"] for row in rows}) == 1
    last = json.loads(rows[-1]["consents"])["analytics"]["status"]
    assert await visitor.state() == {"analytics": last}
