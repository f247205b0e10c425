"""POST /consent/collect: origins, rate limit, Global Privacy Control, preflights, logs, outage."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import structlog
from aiohttp.test_utils import TestClient

from audience.server.database import Database
from audience.server.log import configure_logging
from audience.server.settings import Settings
from consent.app import create_app
from tests.api.test_consent_forms import change_settings
from tests.conftest import App, Authorized, serve_in_test
from tests.consents import history, new_visitor

Client = TestClient[Any, Any]
AGREED = {"analytics": {"status": 1}}


@pytest.fixture
async def limited(authorized: Authorized, app: App) -> App:
    """An app that collects from its own host names only."""
    await change_settings(authorized, app, origins=["shop.example", "*.shop.example"])
    return app


@pytest.mark.parametrize(
    ("origin", "hostname", "status"),
    [
        ("https://shop.example", "shop.example", 204),
        ("https://a.b.shop.example:8443", "a.b.shop.example", 204),
        ("https://SHOP.example", "Shop.Example", 204),
        (None, "shop.example", 204),
        ("https://shop.example", ..., 204),
        (None, ..., 403),
        (None, "evilshop.example", 403),
        ("https://evilshop.example", "evilshop.example", 403),
        ("https://evil.example", "shop.example", 403),
        ("https://shop.example", "evil.example", 403),
        ("https://shop.example.evil.example", "shop.example", 403),
        ("null", "shop.example", 403),
        ("https://[", "shop.example", 403),
    ],
)
async def test_only_listed_host_names_may_collect(
    limited: App, origin: str | None, hostname: Any, status: int
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    body = {"consents": AGREED, "hostname": hostname}
    found, text = await new_visitor(limited).send(body, **headers)
    assert found == status, text
    assert len(await history(limited)) == (1 if status == 204 else 0)
    if status == 403:
        assert text.startswith("Forbidden: hostname")
        event = {"event": "form_view", "source": 1, "hostname": hostname}
        assert (await new_visitor(limited).send(event, **headers))[0] == 403
        assert await limited.count("consent_counters") == 0


async def test_without_a_list_every_host_may_collect(app: App) -> None:
    body = {"consents": AGREED, "hostname": "any.example"}
    assert (await new_visitor(app).send(body, Origin="https://other.example"))[0] == 204


@pytest.mark.parametrize("origin", ["https://shop.example", "https://evil.example"])
async def test_preflight_is_the_same_for_everybody(limited: App, origin: str) -> None:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = await limited.service.options("/consent/collect", headers=headers)
    assert (answer.status, await answer.text()) == (204, "")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Headers"] == "content-type"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    ("header", "rejected"),
    [("1", True), ("0", False), ("true", False), (" 1", True), ("1, 1", False), (None, False)],
)
async def test_the_signal_counts_only_as_exactly_1(
    app: App, header: str | None, *, rejected: bool
) -> None:
    visitor = new_visitor(app)
    headers = {} if header is None else {"Sec-GPC": header}
    consents = {"analytics": {"status": -1}, "remarketing": {"status": -1}}
    assert (await visitor.send({"consents": consents}, **headers))[0] == 204
    expected = {"analytics": -1, "remarketing": -1}
    if rejected:
        expected = {"analytics": -1, "remarketing": 0, "conversion_tracking": 0}
    assert await visitor.state() == expected
    rows = await history(app)
    assert [row["method"] for row in rows] == (["gpc"] if rejected else [])
    if rejected:
        assert json.loads(rows[0]["consents"])["remarketing"] == {"status": 0, "gpc": True}


async def test_the_signal_is_recorded_once_and_an_explicit_approval_wins(app: App) -> None:
    visitor = new_visitor(app)
    undecided = {"consents": {"remarketing": {"status": -1}}}
    for _ in range(3):
        await visitor.send(undecided, **{"Sec-GPC": "1"})
    assert len(await history(app)) == 1
    await visitor.send({"consents": {"remarketing": {"status": 1}}}, **{"Sec-GPC": "1"})
    await visitor.send(undecided, **{"Sec-GPC": "0"})
    assert len(await history(app)) == 3
    row = (await history(app))[1]
    assert (row["consent_action"], row["consent_scope"]) == (1, 2)


async def test_the_signal_means_nothing_to_an_app_that_does_not_honour_it(
    authorized: Authorized, app: App
) -> None:
    await change_settings(authorized, app, is_gpc_honoured=False)
    visitor = new_visitor(app)
    await visitor.send({"consents": {"remarketing": {"status": -1}}}, **{"Sec-GPC": "1"})
    await visitor.send({"consents": {"remarketing": {"status": 0}}, "method": "gpc"})
    assert await visitor.state() == {"remarketing": -1}
    assert await history(app) == []


MakeService = Callable[..., Awaitable[Client]]


@pytest.fixture
async def make_service(database_url: str) -> AsyncIterator[MakeService]:
    """Services with settings of their own."""
    clients: list[Client] = []

    async def make(**settings: Any) -> Client:
        application = create_app(Settings(**settings), database_url, with_jobs=False)
        clients.append(TestClient(serve_in_test(application)))
        await clients[-1].start_server()
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


def _body(app: App, **members: Any) -> bytes:
    body = {
        "websiteId": app.app_id,
        "visitorId": str(uuid4()),
        "hostname": "shop.example",
        "event": "consent_change",
        "consents": AGREED,
        **members,
    }
    return json.dumps(body).encode()


async def test_one_address_may_collect_so_often(app: App, make_service: MakeService) -> None:
    service = await make_service(collect_per_minute=3)
    answers = [await service.post("/consent/collect", data=_body(app)) for _ in range(5)]
    assert [answer.status for answer in answers] == [204, 204, 204, 429, 429]
    assert answers[4].content_type == "text/plain"
    # A third of a minute, less what the requests took.
    assert 10 <= int(answers[4].headers["Retry-After"]) <= 20
    assert answers[4].headers["Access-Control-Allow-Origin"] == "*"
    assert await answers[4].text() == ("Too Many Requests: at most 3 a minute from one address\n")
    assert len(await history(app)) == 3
    # What the address may do elsewhere is not touched.
    assert (await service.get(f"/containers/{app.app_id}.js")).status == 200


async def test_behind_a_proxy_the_callers_address_counts(
    app: App, make_service: MakeService
) -> None:
    service = await make_service(collect_per_minute=1, trusted_proxies=1)

    async def status(forwarded: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        answer = await service.post("/consent/collect", data=_body(app), headers=headers)
        return answer.status

    assert [await status("198.51.100.1"), await status("198.51.100.2")] == [204, 204]
    # What the caller wrote there itself does not help.
    assert await status("203.0.113.9, 198.51.100.1") == 429
    untrusting = await make_service(collect_per_minute=1)
    headers = {"X-Forwarded-For": "198.51.100.7"}
    first = await untrusting.post("/consent/collect", data=_body(app), headers=headers)
    headers = {"X-Forwarded-For": "198.51.100.8"}
    second = await untrusting.post("/consent/collect", data=_body(app), headers=headers)
    assert [first.status, second.status] == [204, 429]


async def test_addresses_of_one_ipv6_network_are_one_caller(
    app: App, make_service: MakeService
) -> None:
    service = await make_service(collect_per_minute=1, trusted_proxies=1)

    async def status(forwarded: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        answer = await service.post("/consent/collect", data=_body(app), headers=headers)
        return answer.status

    assert [await status("2001:db8:1:2::1"), await status("2001:db8:1:3::1")] == [204, 204]
    assert await status("2001:db8:1:2:ffff::9") == 429
    # Addresses of IPv4 in the form of IPv6 are no network.
    assert [await status("::ffff:198.51.100.1"), await status("::ffff:198.51.100.2")] == [204, 204]
    assert [await status("198.51.100.1"), await status("not:an:address")] == [429, 204]


async def test_an_outage_is_503_and_the_service_recovers(
    app: App, make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Database.connect
    is_away = False

    async def connect_unless_away(self: Database) -> asyncpg.Connection:
        if is_away:
            raise ConnectionRefusedError
        return await connect(self)

    monkeypatch.setattr(Database, "connect", connect_unless_away)
    service = await make_service()
    assert (await service.post("/consent/collect", data=_body(app))).status == 204
    is_away = True
    # Waits until they are gone.
    await app.rows.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE application_name = 'audience-consent' AND pid <> pg_backend_pid()"
    )
    answer = await service.post("/consent/collect", data=_body(app))
    assert (answer.status, answer.content_type) == (503, "text/plain")
    assert answer.headers["Retry-After"] == "1"
    is_away = False
    assert (await service.post("/consent/collect", data=_body(app))).status == 204
    assert len(await history(app)) == 2


class Recorder:
    """Notes the statements of every connection that the service opens."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def __call__(self, record: Any) -> None:
        self.statements.append(record.query)


@pytest.mark.parametrize("count", [1, 50])
async def test_a_batch_takes_few_statements_however_many_decisions(
    app: App, make_service: MakeService, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    recorder = Recorder()
    connect = Database.connect

    async def connect_and_listen(self: Database) -> asyncpg.Connection:
        connection = await connect(self)
        connection.add_query_logger(recorder)
        return connection

    monkeypatch.setattr(Database, "connect", connect_and_listen)
    service = await make_service()
    assert (await service.post("/consent/collect", data=_body(app))).status == 204
    await asyncio.sleep(0.05)
    recorder.statements.clear()
    bodies = [_body(app) for _ in range(count)]
    answers = await asyncio.gather(
        *(service.post("/consent/collect", data=body) for body in bodies)
    )
    assert {answer.status for answer in answers} == {204}
    await asyncio.sleep(0.05)
    batches = sum("WITH given AS" in statement for statement in recorder.statements)
    # Lock, read, write, unlock; and a batch may keep the locks.
    assert len(recorder.statements) <= 4 * batches
    assert batches <= max(1, count // 5)


async def test_nothing_of_a_visitor_is_logged(app: App, make_service: MakeService) -> None:
    before = logging.root.handlers[:]
    stream = io.StringIO()
    sink = configure_logging("debug", "json", stream)
    try:
        service = await make_service()
        markers = {
            "visitorId": "fedcba98-7654-4321-8765-fedcba987654",
            "hostname": "marker-host.example",
            "cookies": f"marker-cookie=1; _pk_id.{app.app_id}.1=fedcba9876543210.1.1.1.",
            "consents": {"analytics": {"status": 1, "historyId": "marker-text"}},
        }
        for change in ({}, {"decidedAt": "marker-moment"}, {"method": "marker-method"}):
            await service.post(
                "/consent/collect?marker-query=1", data=_body(app, **{**markers, **change})
            )
        await service.post("/consent/collect", data=b'{"marker-json')
        sink.flush()
        text = stream.getvalue()
    finally:
        structlog.reset_defaults()
        logging.root.handlers[:] = before
    assert text.count('"route":"collect"') == 4
    assert "marker" not in text
    assert "fedcba98" not in text
