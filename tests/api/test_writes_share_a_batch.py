"""Requests that are written together: neighbours are safe, statements are few."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient

from audience.profile_changes import handlers, operations
from audience.profile_changes.items import Item
from audience.profile_changes.storage import loading_statement
from audience.server.database import Database
from audience.server.session_locks import locks
from audience.server.session_locks.storage import SWITCH_LOCKS
from audience.server.settings import Settings
from consent.app import create_app
from tests.conftest import UNUSED_AUDIENCE, App, serve_in_test

VISITOR = "0123456789abcdef"


class Recorder:
    """Notes the statements of every connection that the service opens."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def __call__(self, record: Any) -> None:
        self.statements.append(record.query)


@pytest.fixture
async def recorded(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[TestClient[Any, Any], Recorder]]:
    """A service of its own, and what it sends to the database."""
    recorder = Recorder()
    connect = Database.connect

    async def connect_and_listen(self: Database) -> asyncpg.Connection:
        connection = await connect(self)
        connection.add_query_logger(recorder)
        return connection

    monkeypatch.setattr(Database, "connect", connect_and_listen)
    async with TestClient(
        serve_in_test(create_app(Settings(), database_url, with_jobs=False))
    ) as client:
        yield client, recorder


def _body(app: App, *items: dict[str, Any]) -> bytes:
    return json.dumps(
        [{"website_id": app.app_id, "attributes": [], **item} for item in items]
    ).encode()


@pytest.mark.parametrize("count", [1, 50])
async def test_a_write_takes_few_statements_however_many_items(
    app: App, recorded: tuple[TestClient[Any, Any], Recorder], count: int
) -> None:
    client, recorder = recorded
    entries = [{"name": f"a{number}", "value": "x"} for number in range(5)]
    items = [
        {
            "user_id": f"u{number}",
            "analytics_visitor_id": f"{number + 1:016x}",
            "attributes": entries,
        }
        for number in range(count)
    ]
    # The first requests of a connection also ask the database for its types.
    for _ in range(2):
        await client.post("/data/tracker/attributes/", data=_body(app, {"device_id": "d"}))
    for expected in (10, 5):
        recorder.statements.clear()
        answer = await client.post("/data/tracker/attributes/", data=_body(app, *items))
        assert answer.status == 204
        assert len(recorder.statements) <= expected, recorder.statements


@pytest.mark.parametrize(
    "path", ["attributes/", "audiences/", f"audiences/check/?audience_id={UNUSED_AUDIENCE}"]
)
async def test_a_read_takes_one_statement(
    app: App, recorded: tuple[TestClient[Any, Any], Recorder], path: str
) -> None:
    client, recorder = recorded
    await app.write({"analytics_visitor_id": VISITOR})
    url = f"/data/public/api/profiles/{VISITOR}/{path}"
    # The first request of a connection also asks the database for its types.
    await client.get(url, params={"website_id": app.app_id})
    recorder.statements.clear()
    answer = await client.get(url, params={"website_id": app.app_id})
    assert answer.status == 200
    assert len(recorder.statements) == 1


@asynccontextmanager
async def _together(app: App) -> AsyncIterator[None]:
    """Hold the app's lock, so that requests gather behind it."""
    key = "SELECT pg_advisory_xact_lock($1)"
    async with app.rows.transaction():
        await app.rows.execute(key, operations.profile_storage.app_lock_key(app.app_id))
        yield


async def test_a_poisonous_request_never_fails_its_neighbours(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    modify = operations.modify_attributes

    def poisoned(*arguments: Any) -> Any:
        items: Sequence[Item] = arguments[2]
        if any(value == "poison" for item in items for _, value in item.identifiers):
            message = "this one fails"
            raise RuntimeError(message)
        return modify(*arguments)

    monkeypatch.setattr(operations, "modify_attributes", poisoned)
    async with _together(app):
        writes = [
            asyncio.create_task(app.write({"user_id": user_id}))
            for user_id in ("first", "a", "b", "poison", "c")
        ]
        await asyncio.sleep(0.1)
    statuses = [status for status, _ in await asyncio.gather(*writes)]
    assert statuses == [204, 204, 204, 500, 204]
    assert await app.count("profiles") == 4


async def test_a_refused_request_leaves_no_trace_in_its_batch(app: App) -> None:
    await app.write({"user_id": "m", "attributes": [{"name": "n", "value": 1}]})
    bad = {
        "user_id": "m",
        "device_id": "d",
        "attributes": [{"name": "new", "value": 1}, {"name": "n", "value": "x"}],
    }
    async with _together(app):
        writes = [asyncio.create_task(app.write({"user_id": "first"}))]
        await asyncio.sleep(0.05)
        writes += [
            asyncio.create_task(app.write(bad, Prefer="handling=strict")),
            asyncio.create_task(app.write({"user_id": "null"})),
            asyncio.create_task(app.write({"user_id": "m", "email": "a@b.co"})),
        ]
        await asyncio.sleep(0.05)
    assert [status for status, _ in await asyncio.gather(*writes)] == [204, 400, 400, 204]
    document = await app.profile("user_id", "m")
    assert document["attributes"] == {"n": 1}
    assert document["email"] == "a@b.co"
    assert "device_ids" not in document
    assert await app.count("attribute_definitions") == 1


async def test_waiting_for_a_lock_too_long_is_503(app: App) -> None:
    async with _together(app):
        answer = await app.service.post(
            "/data/tracker/attributes/", data=_body(app, {"user_id": "m"})
        )
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
    assert await app.write({"user_id": "m"}) == (204, "")


async def test_a_new_connection_takes_its_locks_anew(
    app: App,
    recorded: tuple[TestClient[Any, Any], Recorder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LINGER_SECONDS", "LONGEST_HOLD_SECONDS"):
        monkeypatch.setattr(locks, name, 60)
    client, recorder = recorded
    for _ in range(2):
        answer = await client.post("/data/tracker/attributes/", data=_body(app, {"user_id": "m"}))
        assert answer.status == 204
    assert recorder.statements.count(SWITCH_LOCKS) == 1
    held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
    while len(await app.rows.fetch(held)) > 1:
        # The other service may be about to release those of the test before.
        await asyncio.sleep(0.01)
    assert await app.rows.fetchval(f"SELECT pg_terminate_backend(({held}))")
    while await app.rows.fetch(held):
        await asyncio.sleep(0.01)
    recorder.statements.clear()
    while answer.status != 204 or not recorder.statements:
        answer = await client.post("/data/tracker/attributes/", data=_body(app, {"user_id": "m"}))
    wanted = SWITCH_LOCKS, loading_statement()
    sent = [text for text in recorder.statements if text in wanted]
    # Before these, the load that found the old connection gone may be recorded too.
    assert sent[-2:] == [*wanted]


async def test_nobody_waits_long_for_a_writer_without_work(app: App) -> None:
    await app.write({"user_id": "m"})
    async with _together(app):
        assert await app.count("profiles") == 1
    assert await app.write({"user_id": "n"}) == (204, "")


async def test_overload_is_shed_with_503(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = app.service.app[handlers._WRITES]  # type: ignore[index]  # noqa: SLF001
    with monkeypatch.context() as full:
        full.setattr(writes, "_max_waiting", 0)
        for _ in range(2):
            answer = await app.service.post(
                "/data/tracker/attributes/", data=_body(app, {"user_id": "m"})
            )
            assert (answer.status, answer.content_type) == (503, "text/plain")
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert (await answer.text()).startswith("Service Unavailable")
    assert await app.profiles("user_id", "m") == []
    assert await app.write({"user_id": "m"}) == (204, "")
