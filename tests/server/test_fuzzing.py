"""The API against its own description: no request that fits the description makes it fail.

schemathesis makes the requests; the service is a real process. A failure of ours would be a 500 or
an answer in another form than the surface promises.
"""

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from audience.server.openapi import described_path
from consent.api_description import all_routes
from tests.service_process import ServiceProcess

EXAMPLES = 10
_UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"


class Target:
    """A running service with an app, and a token that may do everything."""

    def __init__(self, url: str, app_id: str, token: str, document: dict[str, Any]) -> None:
        self.url = url
        self.app_id = app_id
        self.token = token
        self.schema = schemathesis.openapi.from_dict(document)


def _command(data_dir: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "consent.cli", *arguments],
        env={**os.environ, "DATA_DIR": str(data_dir)},
        capture_output=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _fetch(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        found: dict[str, Any] = json.loads(answer.read())
        return found


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("fuzzing")
    data_dir = folder / "data"
    app = _command(data_dir, "apps", "create", "--name", "shop")
    client = _command(data_dir, "credentials", "create", "--name", "f", "--scope", "admin")
    with ServiceProcess(folder, DATA_DIR=str(data_dir)) as service:
        token = _fetch(f"{service.url}/auth/token", {"grant_type": "client_credentials", **client})
        document = _fetch(f"{service.url}/api/openapi.json")
        yield Target(service.url, app["id"], token["access_token"], document)
        assert "failed" not in service.log(), service.log()[-3000:]


def _send(target: Target, case: Any) -> None:
    """Send one generated request, mostly about things that exist, and look at the answer."""
    case.headers = {**(case.headers or {}), "Authorization": f"Bearer {target.token}"}
    for name in case.path_parameters or {}:
        case.path_parameters[name] = target.app_id if name == "app_id" else _UNKNOWN
    if "website_id" in (case.query or {}):
        case.query["website_id"] = target.app_id
    if case.query and "confirm" in case.query:
        case.query["confirm"] = "not the name"
    answer = case.call(base_url=target.url)
    assert answer.status_code not in (500, 502, 504), answer.text
    if answer.status_code >= 400 and case.path.startswith("/api/"):
        document = answer.json()
        assert "errors" in document or "error" in document
        for error in document.get("errors", ()):
            assert error["status"] == str(answer.status_code)
            assert error["detail"]
    elif answer.status_code >= 400 and case.path.startswith("/opendsr/"):
        assert answer.json()["error"]["code"] == answer.status_code
    elif answer.status_code >= 400 and not case.path.startswith("/auth/"):
        assert answer.headers["content-type"][0].startswith("text/plain")
        assert answer.text


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [(method, path, handler.__name__) for method, path, handler in all_routes()],
    ids=lambda value: str(value).replace("/", "."),
)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
async def test_no_request_makes_the_service_fail(
    target: Target, method: str, path: str, name: str, mode: GenerationMode
) -> None:
    """positive: as described; negative: against the description, where it says anything."""
    del name
    operation = target.schema[described_path(path)][method]
    definition = operation.definition.raw
    if mode is GenerationMode.NEGATIVE and not (
        any(one["in"] == "query" for one in definition["parameters"]) or "requestBody" in definition
    ):
        return  # it takes nothing that could be wrong: every string fits in a path

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        _send(target, case)

    await asyncio.to_thread(send)
