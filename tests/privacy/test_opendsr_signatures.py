"""Every answer below /opendsr/v1 is signed, refusals too (OpenDSR 3.1: a signed response)."""

import asyncio
import io
import json
import re
import statistics
import time
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from audience.server.database import Database
from audience.server.settings import Settings
from consent.app import create_app
from consent.data_subject_requests.opendsr import operations
from consent.routes import OPENDSR_AUTHORIZED_ROUTES, OPENDSR_ROUTES
from tests.conftest import MakeClient, serve_in_test
from tests.data_subjects import Office
from tests.privacy.controller import DOMAIN, PATH, request_body, send, verify
from tests.service_process import free_port


async def _expect_signed(office: Office, answer: Any, status: int) -> None:
    """The very bytes that were sent are signed with the key of our certificate."""
    body = await answer.read()
    assert answer.status == status, body
    assert answer.headers["Content-Length"] == str(len(body))
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["X-OpenDSR-Processor-Domain"] == DOMAIN
    await verify(office, body, answer.headers)
    with pytest.raises(InvalidSignature):
        await verify(office, body + b" ", answer.headers)


async def _ask(office: Office, method: str, path: str, **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {office.team.token}"} | options.pop("headers", {})
    return await office.service.request(method, path, headers=headers, **options)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b"[]", 400),
        (json.dumps(request_body(subject_identities=[])).encode(), 400),
        (json.dumps(request_body(submitted_time="2001-01-01T00:00:00Z")).encode(), 400),
        (json.dumps(request_body(property_id=str(uuid4()))).encode(), 404),
        (b'"' + b"a" * 2_000_000 + b'"', 413),
    ],
    ids=["no JSON", "empty", "array", "identities", "time", "app", "huge"],
)
async def test_refused_request_is_signed(office: Office, body: bytes, status: int) -> None:
    answer = await _ask(office, "POST", PATH, data=io.BytesIO(body))
    await _expect_signed(office, answer, status)


async def test_conflict_and_unknown_request_are_signed(office: Office) -> None:
    wanted = request_body()
    await _expect_signed(office, await _ask(office, "POST", PATH, json=wanted), 201)
    other = wanted | {"subject_request_type": "access"}
    await _expect_signed(office, await _ask(office, "POST", PATH, json=other), 409)
    path = f"{PATH}/{wanted['subject_request_id']}"
    await _expect_signed(office, await _ask(office, "DELETE", path), 202)
    for method in ("GET", "DELETE"):
        await _expect_signed(office, await _ask(office, method, f"{PATH}/{uuid4()}"), 404)
        await _expect_signed(office, await _ask(office, method, f"{PATH}/x"), 400)
    for method, path in (("PUT", PATH), ("POST", "/opendsr/v1/discovery")):
        await _expect_signed(office, await _ask(office, method, path), 405)
    for path in ("/opendsr/v1/nothing", "/opendsr/", "//opendsr//v1/nothing"):
        await _expect_signed(office, await _ask(office, "GET", path), 404)


@pytest.mark.parametrize(("method", "path", "handler"), OPENDSR_AUTHORIZED_ROUTES)
async def test_refusal_for_want_of_a_token_or_scope_is_signed(
    office: Office, make_client: MakeClient, method: str, path: str, handler: Any
) -> None:
    path = re.sub(r"\{\w+\}", str(uuid4()), path)
    await _expect_signed(office, await office.service.request(method, path), 401)
    lacking = (await make_client("write", name=handler.__name__)).token
    headers = {"Authorization": f"Bearer {lacking}"}
    answer = await office.service.request(method, path, headers=headers)
    await _expect_signed(office, answer, 403)


@pytest.mark.parametrize(("method", "path", "handler"), OPENDSR_ROUTES)
async def test_what_needs_no_token_is_signed(
    office: Office, method: str, path: str, handler: Any
) -> None:
    assert handler is not None
    await _expect_signed(office, await office.service.request(method, path), 200)


async def test_failure_of_ours_is_signed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_arguments: Any) -> None:
        message = "marker"
        raise RuntimeError(message)

    monkeypatch.setattr(operations, "submit_request", fail)
    answer = await _ask(office, "POST", PATH, json=request_body())
    await _expect_signed(office, answer, 500)
    assert b"marker" not in await answer.read()


async def test_bytes_on_the_wire_are_those_that_are_signed(office: Office) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", office.service.port)
    writer.write(
        f"GET {PATH}/x HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, br\r\n"
        f"Authorization: Bearer {office.team.token}\r\nConnection: close\r\n\r\n".encode()
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    lines = head.decode().split("\r\n")
    assert lines[0].startswith("HTTP/1.1 400 ")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    await verify(office, body, headers)


async def test_without_the_database_a_refusal_comes_at_once_and_unsigned(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(public_url=f"https://{DOMAIN}")
    nowhere = f"postgresql://u:p@127.0.0.1:{free_port()}/x"
    app = create_app(settings, nowhere, with_jobs=False)
    opened = 0
    open_transaction = Database.transaction

    def count(self: Database) -> Any:
        nonlocal opened
        opened += 1
        return open_transaction(self)

    monkeypatch.setattr(Database, "transaction", count)
    async with TestClient(serve_in_test(app)) as service:
        headers = {"Authorization": f"Bearer {office.team.token}"}
        answer = await service.post(PATH, json=request_body(), headers=headers)
        assert answer.status == 503
        assert answer.headers["Retry-After"]
        assert (await answer.json())["error"]["code"] == 503
        assert "X-OpenDSR-Signature" not in answer.headers
        # The key is in the database that is away: it is not asked twice.
        assert opened == 1
        # No path of ours: the refusal itself needs no database, so it comes unsigned.
        answer = await service.get("/opendsr/v1/nothing")
        assert answer.status == 404
        assert "X-OpenDSR-Signature" not in answer.headers


async def test_signing_takes_little_time(office: Office) -> None:
    """A refusal that anybody can have must not keep the process busy."""
    await send(office, "GET", f"{PATH}/x")
    key = await office.rows.fetchval(
        "SELECT private_key FROM signing_keys WHERE retired_at IS NULL"
    )
    checks, refusals = [], []
    for _ in range(9):
        started = time.process_time()
        serialization.load_pem_private_key(key.encode(), None)
        checked = time.process_time()
        answer = await office.service.get(f"{PATH}/{uuid4()}")
        refusals.append(time.process_time() - checked)
        checks.append(checked - started)
        assert answer.headers["X-OpenDSR-Signature"]
    # Reading the key checks its primes: at each signature that took longer than all the rest.
    assert statistics.median(refusals) < statistics.median(checks)
