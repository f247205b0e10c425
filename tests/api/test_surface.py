"""What every public answer has in common: paths, CORS, errors, request ids, metrics, health."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient

from audience.server.migrations import head_revision
from audience.server.settings import Settings
from consent.app import create_app
from tests.conftest import UNUSED_AUDIENCE, App, serve_in_test

VISITOR = "0123456789abcdef"
Client = TestClient[Any, Any]


@pytest.mark.parametrize(
    "path",
    [
        "/audiences/tracker/attributes/",
        "/audiences/tracker/attributes",
        "/data/tracker/attributes/",
        "/data/tracker/attributes",
        "//data//tracker///attributes//",
        "/data/tracker//attributes",
        "//audiences/tracker/attributes/",
    ],
)
async def test_write_path_is_found_without_redirect(app: App, path: str) -> None:
    body = [{"website_id": app.app_id, "user_id": "m", "attributes": []}]
    answer = await app.service.post(path, json=body, allow_redirects=False)
    assert answer.status == 204
    assert await app.count("profiles") == 1


@pytest.mark.parametrize("tail", ["attributes", "audiences", "audiences/check"])
@pytest.mark.parametrize("prefix", ["/audiences", "/data", "//data", "/audiences/"])
async def test_read_path_is_found_with_and_without_slashes(
    app: App, prefix: str, tail: str
) -> None:
    await app.write({"analytics_visitor_id": VISITOR})
    for slash in ("", "/", "//"):
        path = f"{prefix}/public/api/profiles//{VISITOR}/{tail}{slash}"
        query = {"website_id": app.app_id, "audience_id": UNUSED_AUDIENCE}
        answer = await app.service.get(path, params=query, allow_redirects=False)
        assert answer.status == 200, path


async def test_wrong_method_and_unknown_path_are_plain_text(service: Client) -> None:
    for method, path, status in (
        ("GET", "/data/tracker/attributes/", 405),
        ("GET", "//data/tracker/attributes/", 405),
        ("POST", f"/data/public/api/profiles/{VISITOR}/attributes/", 405),
        ("GET", "/data/nothing/", 404),
        ("GET", "//", 404),
    ):
        answer = await service.request(method, path, allow_redirects=False)
        assert (answer.status, answer.content_type) == (status, "text/plain"), path
        assert len(await answer.text()) > 1
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_cors_is_on_every_answer(app: App) -> None:
    origin = {"Origin": "https://shop.example"}
    reads = f"/audiences/public/api/profiles/{VISITOR}/attributes/?website_id={app.app_id}"
    answers = [
        await app.service.get(reads, headers=origin),
        await app.service.get(reads.replace(app.app_id, "x"), headers=origin),
        await app.service.get(reads.replace(app.app_id, str(uuid4())), headers=origin),
        await app.service.post("/data/tracker/attributes/", data=b"{", headers=origin),
        await app.service.post("/data/tracker/attributes/", data=b"[]", headers=origin),
        await app.service.get("/nowhere", headers=origin),
        await app.service.get("/ppms.php", headers=origin),
    ]
    assert [answer.status for answer in answers] == [404, 400, 403, 400, 204, 404, 204]
    for answer in answers:
        assert answer.headers.getall("Access-Control-Allow-Origin") == ["*"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/data/tracker/attributes/", "//audiences/tracker/attributes", "/nowhere"]
)
async def test_preflight_is_always_204(service: Client, path: str) -> None:
    headers = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, x-own",
    }
    answer = await service.options(path, headers=headers, allow_redirects=False)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
    assert answer.headers["Access-Control-Allow-Headers"] == "content-type, x-own"
    assert answer.headers["Access-Control-Max-Age"] == "86400"


@pytest.mark.parametrize("path", ["/ppms.php", "/piwik.php", "//ppms.php"])
async def test_analytics_requests_are_dropped_and_counted(service: Client, path: str) -> None:
    before = await metric(service, "audience_dropped_analytics_total")
    assert (await service.get(path, params={"idsite": "1"})).status == 204
    assert (await service.post(path, json={"requests": ["?rec=1"]})).status == 204
    assert await metric(service, "audience_dropped_analytics_total") == before + 2


async def test_metrics_count_requests_skips_merges_and_refusals(app: App) -> None:
    names = (
        'audience_request_seconds_count{route="modify_attributes",status="204"}',
        'audience_skipped_entries_total{reason="type_mismatch"}',
        "audience_merges_total",
        'audience_merge_refusals_total{reason="different_user_ids"}',
        'audience_batch_size_count{batch="writes"}',
        'audience_request_seconds_bucket{le="5.0",route="modify_attributes",status="200"}',
    )
    before = [await metric(app.service, name) for name in names]
    await app.write({"user_id": "m", "attributes": [{"name": "n", "value": 1}]})
    await app.write({"user_id": "m", "attributes": [{"name": "n", "value": "x"}]})
    await app.write({"device_id": "d"})
    await app.write({"user_id": "m", "device_id": "d"})
    await app.write({"user_id": "other", "device_id": "d"})
    after = [await metric(app.service, name) for name in names]
    difference = [new - old for new, old in zip(after, before, strict=True)]
    assert difference == [4, 1, 1, 1, 5, 1]


async def test_every_answer_has_its_own_request_id(service: Client) -> None:
    ids = {(await service.get("/healthz")).headers["X-Request-Id"] for _ in range(20)}
    assert len(ids) == 20


async def test_health_and_readiness(service: Client) -> None:
    assert (await service.get("/healthz")).status == 200
    answer = await service.get("/readyz")
    assert (answer.status, await answer.text()) == (200, "ready\n")


async def test_not_ready_before_the_migrations_are_at_head(app: App) -> None:
    await app.rows.execute("UPDATE alembic_version SET version_num = 'older'")
    try:
        answer = await app.service.get("/readyz")
        assert answer.status == 503
        assert "older" in await answer.text()
        assert answer.headers["Retry-After"] == "1"
    finally:
        await app.rows.execute("UPDATE alembic_version SET version_num = $1", head_revision())


@pytest.fixture
async def below_a_path(database_url: str) -> AsyncIterator[Client]:
    settings = Settings(root_path="/piwik")
    async with TestClient(
        serve_in_test(create_app(settings, database_url, with_jobs=False))
    ) as client:
        yield client


async def test_everything_is_also_below_a_root_path(app: App, below_a_path: Client) -> None:
    body = [{"website_id": app.app_id, "analytics_visitor_id": VISITOR, "attributes": []}]
    for path in ("/piwik/data/tracker/attributes/", "//piwik//data/tracker/attributes"):
        answer = await below_a_path.post(path, json=body, allow_redirects=False)
        assert answer.status == 204
    answer = await below_a_path.get(
        f"/piwik/audiences/public/api/profiles/{VISITOR}/audiences/",
        params={"website_id": app.app_id},
    )
    assert await answer.json() == []
    for path in ("/piwik/ppms.php", "/piwik/healthz", "/healthz"):
        assert (await below_a_path.get(path)).status in (200, 204)
    assert (await below_a_path.post("/data/tracker/attributes/", json=body)).status == 404


async def metric(service: Client, name: str) -> float:
    text = await (await service.get("/metrics")).text()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_skipped_rows_are_json_objects(app: App) -> None:
    await app.write({"user_id": "m", "attributes": [{"name": "n", "value": 1}]})
    _, text = await app.write({"user_id": "m", "attributes": [{"name": "n", "value": "x"}]})
    assert json.loads(text)["skipped"][0].keys() == {"item", "entry", "name", "reason"}
