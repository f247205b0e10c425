"""Erasing a person while others write to the same person, against two worker processes."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from audience import public
from audience.profiles.identifiers import Identifier
from audience.server import clock
from tests.conftest import App
from tests.database_dump import found_in_dump
from tests.service_process import ServiceProcess

WRITES = 900
CONNECTIONS = 32
PERSON = {
    "user_id": "marker-user",
    "email": "marker@example.com",
    "device_id": "marker-device",
    "analytics_visitor_id": "fedcba98deadbeef",
}
#: Ways to name the person: an erasure falls between them, so profiles are made and merged again.
WAYS: list[dict[str, str]] = [
    PERSON,
    {"user_id": "marker-user"},
    {"email": "marker@example.com", "device_id": "marker-device"},
    {"device_id": "marker-device"},
]


@pytest.fixture(scope="module")
def url(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service, two workers."""
    folder = tmp_path_factory.mktemp("erasure")
    with ServiceProcess(folder, "--workers", "2", DATABASE_URL=database_url) as service:
        yield service.url


class Storm:
    """Writes to one person, each with an attribute of its own."""

    def __init__(self, app: App, url: str) -> None:
        self.app = app
        self.url = url
        self.waiting = list(range(WRITES))
        self.answered: list[int] = []
        self.statuses: set[int] = set()
        self.has_begun = asyncio.Event()

    async def run(self) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(self._client(session) for _ in range(CONNECTIONS)))

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while self.waiting:
            number = self.waiting.pop(0)
            item: dict[str, Any] = {"website_id": self.app.app_id, **WAYS[number % len(WAYS)]}
            item["attributes"] = [{"name": f"a{number}", "value": "storm"}]
            path = f"{self.url}/data/tracker/attributes/"
            async with session.post(path, data=json.dumps([item])) as answer:
                self.statuses.add(answer.status)
            self.answered.append(number)
            if len(self.answered) == WRITES // 3:
                self.has_begun.set()


async def test_an_erasure_in_a_write_storm_is_before_or_after_each_write(
    app: App, url: str, database_url: str
) -> None:
    await app.write({**PERSON, "attributes": [{"name": "color", "value": "marker-value"}]})
    storm = Storm(app, url)

    async def erase() -> tuple[set[int], set[int]]:
        """The writes that were answered before it, and those not sent before it was done."""
        await storm.has_begun.wait()
        before = set(storm.answered)
        async with app.database.transaction() as conn:
            identifiers = [Identifier(name, value) for name, value in PERSON.items()]
            counts = await public.erase_person(conn, app.app_id, identifiers, clock.now())
        assert counts["profiles"] >= 1
        return before, set(storm.waiting)

    (before, after), _ = await asyncio.gather(erase(), storm.run())
    is_more = True
    while is_more:
        async with app.database.transaction() as conn:
            _, is_more = await public.erase_some_merges(conn)
    documents = [*await app.profiles("user_id", "marker-user")]
    documents += await app.profiles("device_id", "marker-device")
    kept = {name for document in documents for name in document["attributes"]}
    assert storm.statuses == {204}
    assert len(before) >= WRITES // 3
    assert len(after) > 100
    # Nothing written before is left, nothing written afterwards is lost.
    assert not kept & {f"a{number}" for number in before}
    assert {f"a{number}" for number in after} <= kept
    assert found_in_dump(database_url, ("marker-value", "fedcba98deadbeef")) == []
