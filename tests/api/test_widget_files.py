"""GET static/widget/...: the scripts of the pages, as browsers and their caches ask for them."""

import base64
import gzip
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from audience.server.settings import Settings
from audience.server.static_files import built_files, choose_encoding
from consent.app import create_app
from tests.conftest import serve_in_test

Client = TestClient[Any, Any]
DIST = Path(__file__).parents[2] / "static" / "dist"
API = "audience-manager.api.min.js"
FORM = "audience-manager.form.min.js"


async def _get(client: Client, path: str, **headers: str) -> Any:
    headers = {"Accept-Encoding": "identity", **headers}
    return await client.get(path, headers=headers, auto_decompress=False, allow_redirects=False)


@pytest.fixture
async def below_a_path(database_url: str) -> AsyncIterator[Client]:
    settings = Settings(root_path="/piwik")
    async with TestClient(
        serve_in_test(create_app(settings, database_url, with_jobs=False))
    ) as client:
        yield client


@pytest.mark.parametrize("prefix", ["/audiences", "/data", "//audiences", "/audiences/"])
@pytest.mark.parametrize("name", [API, FORM])
async def test_script_is_served_to_any_origin(service: Client, prefix: str, name: str) -> None:
    answer = await _get(service, f"{prefix}/static/widget/{name}", Origin="https://shop.example")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/javascript; charset=utf-8"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers
    assert await answer.read() == (DIST / name).read_bytes()


async def test_script_is_also_below_a_root_path(below_a_path: Client) -> None:
    for prefix in ("/piwik/audiences", "/piwik/data"):
        assert (await _get(below_a_path, f"{prefix}/static/widget/{FORM}")).status == 200
    assert (await _get(below_a_path, f"/audiences/static/widget/{FORM}")).status == 404


@pytest.mark.parametrize("name", [API, FORM])
async def test_source_map_is_beside_the_script(service: Client, name: str) -> None:
    script = await _get(service, f"/audiences/static/widget/{name}")
    assert script.headers["SourceMap"] == f"{name}.map"
    answer = await _get(service, f"/audiences/static/widget/{name}.map")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "SourceMap" not in answer.headers
    sources = (await answer.json())["sources"]
    assert "../shared/command_queue.js" in sources


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br"])
async def test_unchanged_script_is_not_sent_again(service: Client, encoding: str) -> None:
    path = f"/audiences/static/widget/{API}"
    first = await _get(service, path, **{"Accept-Encoding": encoding})
    etag = first.headers["ETag"]
    assert not etag.startswith("W/")
    assert "must-revalidate" in first.headers["Cache-Control"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = await _get(service, path, **{"Accept-Encoding": encoding, "If-None-Match": known})
        assert (again.status, await again.read()) == (304, b""), known
        assert again.headers["ETag"] == etag
        assert again.headers["Vary"] == "Accept-Encoding"
        assert again.headers["Access-Control-Allow-Origin"] == "*"
    changed = await _get(service, path, **{"Accept-Encoding": encoding, "If-None-Match": '"older"'})
    assert changed.status == 200


async def test_each_encoding_has_its_own_etag(service: Client) -> None:
    path = f"/audiences/static/widget/{API}"
    etags = {
        (await _get(service, path, **{"Accept-Encoding": encoding})).headers["ETag"]
        for encoding in ("identity", "gzip", "br")
    }
    assert len(etags) == 3


async def test_script_is_sent_precompressed(service: Client) -> None:
    path = f"/audiences/static/widget/{API}"
    brotli = await _get(service, path, **{"Accept-Encoding": "gzip, deflate, br, zstd"})
    assert brotli.headers["Content-Encoding"] == "br"
    assert brotli.headers["Vary"] == "Accept-Encoding"
    assert await brotli.read() == (DIST / f"{API}.br").read_bytes()
    zipped = await _get(service, path, **{"Accept-Encoding": "gzip, deflate"})
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(await zipped.read()) == (DIST / API).read_bytes()
    plain = await _get(service, path)
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "identity"),
        ("br", "br"),
        ("GZIP", "gzip"),
        ("*", "br"),
        ("br;q=0, *", "gzip"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("gzip;q=0, br;q=0", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("identity;q=0, *;q=0", "identity"),
        ("br;q=nonsense, gzip", "gzip"),
        ("deflate, zstd", "identity"),
    ],
)
def test_encoding_is_the_one_the_browser_likes_best(accepted: str, expected: str) -> None:
    assert choose_encoding(accepted, {"identity": b"", "gzip": b"", "br": b""}) == expected


def test_encoding_is_one_that_is_there() -> None:
    assert choose_encoding("br, gzip", {"identity": b"", "gzip": b""}) == "gzip"


async def test_integrity_of_the_delivered_bytes_can_be_pinned(service: Client) -> None:
    digests = set()
    for encoding in ("identity", "gzip"):
        answer = await service.get(
            f"/data/static/widget/{API}", headers={"Accept-Encoding": encoding}
        )
        digests.add(base64.b64encode(hashlib.sha384(await answer.read()).digest()))
    assert len(digests) == 1


async def test_head_and_preflight_are_answered(service: Client) -> None:
    path = f"/audiences/static/widget/{API}"
    assert (await service.head(path)).status == 200
    assert (await service.options(path)).status == 204
    answer = await service.post(path)
    assert (answer.status, answer.content_type) == (405, "text/plain")


@pytest.mark.parametrize(
    "name", ["other.min.js", "..%2F..%2Fpackage.json", "../../package.json", f"{API}.gz", ""]
)
async def test_nothing_else_is_served(service: Client, name: str) -> None:
    answer = await _get(service, f"/audiences/static/widget/{name}")
    assert (answer.status, answer.content_type) == (404, "text/plain")


def test_every_script_is_there_precompressed() -> None:
    for name in (API, FORM, f"{API}.map", f"{FORM}.map"):
        assert set(built_files()[name].bodies) == {"identity", "gzip", "br"}
