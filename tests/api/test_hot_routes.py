"""The quick way of the busiest routes answers exactly as the slow one."""

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from audience.server import surface
from audience.server.settings import Settings
from consent.app import create_app
from tests.conftest import UNUSED_AUDIENCE, App

VISITOR = "0123456789abcdef"
Client = TestClient[Any, Any]

#: Own to every answer.
_OWN_HEADERS = {b"date", b"x-request-id"}


class Connection:
    """A connection that sends bytes as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, head: str, body: bytes = b"") -> tuple[bytes, dict[bytes, bytes], bytes]:
        """(status line, headers, body) of the answer to one request."""
        self.writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        return await self.answer(is_head=head.startswith("HEAD"))

    async def answer(self, *, is_head: bool = False) -> tuple[bytes, dict[bytes, bytes], bytes]:
        """The next answer on the connection."""
        raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        status, *lines = raw.rstrip(b"\r\n").split(b"\r\n")
        pairs = [line.split(b": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), "no header is sent twice"
        length = 0 if is_head else int(headers.get(b"content-length", 0))
        return status, headers, await self.reader.readexactly(length)

    async def is_closed(self) -> bool:
        """Whether the server answers nothing more on the connection."""
        try:
            status, _, _ = await self.ask("GET /healthz HTTP/1.1\nHost: x")
        except (ConnectionError, asyncio.IncompleteReadError):
            return True
        assert status == b"HTTP/1.1 200 OK", "nothing is sent between two answers"
        return False


@asynccontextmanager
async def _connect(client: Client) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    yield Connection(reader, writer)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.fixture
async def slow_service(database_url: str) -> AsyncIterator[Client]:
    """The same service without its quick way."""
    app = create_app(Settings(), database_url, with_jobs=False)
    async with TestClient(TestServer(app, skip_url_asserts=True)) as client:
        yield client


def _check_path(app: App, visitor: str = VISITOR) -> str:
    return (
        f"/audiences/public/api/profiles/{visitor}/audiences/check/"
        f"?website_id={app.app_id}&audience_id={UNUSED_AUDIENCE}"
    )


def _write_body(app: App) -> bytes:
    return f'[{{"website_id": "{app.app_id}", "user_id": "m", "attributes": []}}]'.encode()


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("connection", ["", "\nConnection: close", "\nConnection: keep-alive"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_answers_are_the_slow_ones(
    app: App, slow_service: Client, method: str, version: str, connection: str
) -> None:
    body = _write_body(app) if method == "POST" else b""
    path = "/audiences/tracker/attributes/" if method == "POST" else _check_path(app)
    head = f"{method} {path} {version}\nHost: x\nContent-Length: {len(body)}{connection}"
    answers = []
    for client in (app.service, slow_service):
        async with _connect(client) as connected:
            status, headers, content = await connected.ask(head, body)
            is_closed = await connected.is_closed()
        assert headers.keys() >= _OWN_HEADERS
        shared = {name: value for name, value in headers.items() if name not in _OWN_HEADERS}
        answers.append((status, shared, content, is_closed))
    assert answers[0] == answers[1]


async def test_pipelined_requests_are_answered_in_order(app: App) -> None:
    await app.write({"analytics_visitor_id": VISITOR})
    paths = [_check_path(app), _check_path(app, "no-visitor"), _check_path(app)]
    async with _connect(app.service) as connected:
        heads = [f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths]
        connected.writer.write("".join(heads).encode())
        statuses = [(await connected.answer())[0] for _ in paths]
    assert statuses == [b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad Request", b"HTTP/1.1 200 OK"]


async def test_client_that_expects_100_continue_gets_it(app: App) -> None:
    body = _write_body(app)
    async with _connect(app.service) as connected:
        status, _, _ = await connected.ask(
            f"POST /audiences/tracker/attributes/ HTTP/1.1\nHost: x\nContent-Length: {len(body)}"
            "\nExpect: 100-continue"
        )
        assert status == b"HTTP/1.1 100 Continue"
        connected.writer.write(body)
        assert (await connected.answer())[0] == b"HTTP/1.1 204 No Content"


async def test_escaped_visitor_id_is_the_same_visitor(app: App) -> None:
    await app.write({"analytics_visitor_id": VISITOR})
    escaped = f"%30{VISITOR[1:]}"
    path = f"/audiences/public/api/profiles/{escaped}/attributes/?website_id={app.app_id}"
    async with _connect(app.service) as connected:
        answer = await connected.ask(f"GET {path} HTTP/1.1\nHost: x")
    assert answer[0] == b"HTTP/1.1 200 OK"


async def test_paths_that_only_begin_or_end_like_hot_ones_are_unknown(service: Client) -> None:
    for path in (
        "/audiences/tracker/attributes/profiles/x",
        f"/audiences/tracker/attributes/profiles/{VISITOR}/audiences/check/",
        "/audiences/public/api/profiles//audiences/check/x",
        f"/audiences/public/api/profiles/{VISITOR}/x/audiences/check/",
        f"/public/api/profiles/{VISITOR}/audiences/check/",
    ):
        answer = await service.get(path, allow_redirects=False)
        assert (answer.status, await answer.text()) == (404, "Not Found\n"), path


async def test_client_that_goes_away_harms_nobody(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(5):
        async with _connect(app.service) as connected:
            connected.writer.write(f"GET {_check_path(app)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await app.service.get(_check_path(app))).status == 200
    assert "rror" not in capsys.readouterr().err


async def test_a_connection_with_many_requests_gives_way_to_others(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, handled, count = [0], [], surface.count_request

    def note(*arguments: Any) -> None:
        handled.append(turns[0])
        count(*arguments)

    async def others() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(surface, "count_request", note)
    waiting = asyncio.create_task(others())
    async with _connect(app.service) as connected:
        # Nothing in its handling has to be waited for.
        connected.writer.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
        for _ in range(500):
            await connected.answer()
    waiting.cancel()
    assert len(handled) == 500
    # Where aiohttp begins tasks at once it does not give way.
    assert max(Counter(handled).values()) <= (16 if sys.version_info < (3, 12) else 500)
