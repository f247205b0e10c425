"""Identifiers and attribute values never reach a log, whatever goes wrong."""

import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import structlog
from aiohttp.test_utils import TestClient

from audience.profiles import storage
from audience.routes import JOBS as AUDIENCE_JOBS
from audience.server.log import Sink, configure_logging
from audience.server.settings import Settings
from consent.app import create_app
from consent.routes import JOBS as CONSENT_JOBS
from tests.api.every_operation import MARKERS as OPERATION_MARKERS
from tests.api.every_operation import OPERATIONS, make_world
from tests.conftest import App, Authorized, serve_in_test

MARKERS = ("marker-user", "marker@example.com", "marker-device", "fedcba9876543210", "marker-value")


@dataclass
class Logged:
    """A service that logs into memory at the most talkative level."""

    client: TestClient[Any, Any]
    stream: io.StringIO
    sink: Sink

    def text(self) -> str:
        self.sink.flush()
        return self.stream.getvalue()


@pytest.fixture(params=["json", "console"])
def log_format(request: pytest.FixtureRequest) -> Iterator[str]:
    before = logging.root.handlers[:]
    yield request.param
    structlog.reset_defaults()
    logging.root.handlers[:] = before


@pytest.fixture
async def logged(database_url: str, log_format: str) -> AsyncIterator[Logged]:
    stream = io.StringIO()
    sink = configure_logging("debug", log_format, stream)
    async with TestClient(
        serve_in_test(create_app(Settings(), database_url, with_jobs=False))
    ) as client:
        yield Logged(client, stream, sink)


def _body(app: App, **change: Any) -> bytes:
    item = {
        "website_id": app.app_id,
        "user_id": MARKERS[0],
        "email": MARKERS[1],
        "device_id": MARKERS[2],
        "analytics_visitor_id": MARKERS[3],
        "attributes": [{"name": "color", "value": MARKERS[4]}],
        **change,
    }
    return json.dumps([item]).encode()


async def test_no_identifier_or_value_is_logged(
    app: App, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/data/tracker/attributes/"
    reads = f"/data/public/api/profiles/{MARKERS[3]}/attributes/?website_id={app.app_id}"
    statuses = [
        (await logged.client.post(path, data=_body(app))).status,
        (await logged.client.post(path, data=_body(app, user_id="marker-user-2"))).status,
        (await logged.client.post(path, data=_body(app, attributes=MARKERS[4]))).status,
        (await logged.client.post(path, data=_body(app)[:-2])).status,
        (await logged.client.get(reads)).status,
        (await logged.client.get(reads.replace("attributes", MARKERS[4]))).status,
        (await logged.client.get("//nowhere/marker-user")).status,
    ]
    assert statuses == [204, 204, 400, 400, 200, 404, 404]

    async def fail(*_arguments: object) -> None:
        raise RuntimeError(" ".join(MARKERS))

    monkeypatch.setattr(storage, "save_profile_set", fail)
    answer = await logged.client.post(path, data=_body(app))
    assert answer.status == 500
    assert not [marker for marker in MARKERS if marker in await answer.text()]
    text = logged.text()
    assert len([line for line in text.splitlines() if "modify_attributes" in line]) >= 5
    assert "RuntimeError" in text
    assert not [marker for marker in MARKERS if marker in text]


async def test_skipped_entries_are_logged_by_name_without_their_values(
    app: App, logged: Logged
) -> None:
    path = "/data/tracker/attributes/"
    await logged.client.post(path, data=_body(app, attributes=[{"name": "age", "value": 1}]))
    entries = [{"name": "age", "value": MARKERS[4]}] * 3 + [{"name": "long", "value": "x" * 1025}]
    answer = await logged.client.post(path, data=_body(app, attributes=entries))
    assert answer.status == 200
    (line,) = [line for line in logged.text().splitlines() if "type_mismatch age" in line]
    assert line.count("type_mismatch age") == 1
    assert "too_long long" in line
    assert app.app_id in line
    assert not [marker for marker in (*MARKERS, "xxx") if marker in logged.text()]


async def test_no_operation_of_the_authorized_api_logs_what_is_personal(
    app: App, authorized: Authorized, logged: Logged
) -> None:
    client = Authorized(logged.client, authorized.token)
    ids = await make_world(replace(app, service=logged.client), client)
    for name, operation in OPERATIONS.items():
        wrong = replace(operation, body=lambda _: list(OPERATION_MARKERS))
        assert (await wrong.send(client, ids))[0] < 500, name
        asked = {"marker-value": "marker-note", "limit": "marker-value"}
        odd = replace(operation, query=lambda _, asked=asked: asked)
        assert (await odd.send(client, ids))[0] < 500, name
        path = re.sub(r"\{\w+\}", "marker-value", operation.path)
        assert (await replace(operation, path=path).send(client, ids))[0] < 500, name
        assert (await operation.send(client, ids))[0] < 500, name
    for job in (*AUDIENCE_JOBS, *CONSENT_JOBS):
        while await job.step(logged.client.app):  # type: ignore[arg-type]
            pass
    text = logged.text()
    assert not [name for name in OPERATIONS if name not in text]
    assert not [marker for marker in OPERATION_MARKERS if marker in text]


async def test_one_line_per_request_with_its_id(app: App, logged: Logged, log_format: str) -> None:
    answer = await logged.client.post("/data/tracker/attributes/", data=_body(app))
    request_id = answer.headers["X-Request-Id"]
    lines = [line for line in logged.text().splitlines() if request_id in line]
    assert len(lines) == 1
    if log_format == "json":
        event = json.loads(lines[0])
        assert event.pop("ms") > 0
        assert event.pop("timestamp").endswith("Z")
        assert event == {
            "event": "request",
            "level": "info",
            "request_id": request_id,
            "method": "POST",
            "route": "modify_attributes",
            "status": 204,
        }
    else:
        assert f"request_id={request_id} method=POST route=modify_attributes status=204" in lines[0]
