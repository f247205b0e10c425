"""GET /docs/...: the documents as pages; and what the documents must say."""

import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from audience.server.docs_pages import render
from audience.server.settings import Settings
from consent.app import create_app
from tests.conftest import serve_in_test

Client = TestClient[Any, Any]
ROOT = Path(__file__).parents[2]
WIDGETS = (ROOT / "docs" / "widgets.md").read_text("utf-8")


@pytest.fixture
async def below_a_path(database_url: str) -> AsyncIterator[Client]:
    settings = Settings(root_path="/piwik")
    async with TestClient(
        serve_in_test(create_app(settings, database_url, with_jobs=False))
    ) as client:
        yield client


@pytest.mark.parametrize("path", ["/docs/widgets", "/docs/widgets/", "//docs//widgets"])
async def test_document_is_a_page(service: Client, path: str) -> None:
    answer = await service.get(path, allow_redirects=False)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    text = await answer.text()
    assert "<title>The Audience Manager widgets</title>" in text
    assert "<h2>Form tracker</h2>" in text
    assert "<table>" in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    # Nothing of the page is loaded from anywhere.
    assert not re.search(r'<(script|img|iframe|link)[^>]+(src|href)="(?!data:)', text)


async def test_document_is_also_below_a_root_path(below_a_path: Client) -> None:
    assert (await below_a_path.get("/piwik/docs/widgets")).status == 200
    assert (await below_a_path.get("/docs/widgets")).status == 404


@pytest.mark.parametrize("name", ["nothing", "..", "..%2FREADME", "widgets.md"])
async def test_other_names_are_not_found(service: Client, name: str) -> None:
    answer = await service.get(f"/docs/{name}", allow_redirects=False)
    assert (answer.status, answer.content_type) == (404, "text/plain")


def test_every_document_is_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for path in (ROOT / "docs").glob("*.md"):
        assert included[f"docs/{path.name}"] == f"audience/docs/{path.name}"


def test_html_in_a_document_is_shown_not_obeyed() -> None:
    page = render("# A <b>title</b>\n\n<script>alert(1)</script>")
    assert "<title>A &lt;b&gt;title&lt;/b&gt;</title>" in page
    assert "<script>" not in page


def test_every_command_option_and_error_code_of_the_widgets_is_documented() -> None:
    sources = "".join(
        path.read_text("utf-8")
        for folder in ("audience_api", "form_tracker")
        for path in sorted((ROOT / "static" / "widgets" / folder).glob("*.js"))
    )
    codes = set(re.findall(r'"([a-z]+_[a-z]+)"', sources)) & set(re.findall(r"[a-z_]+", WIDGETS))
    expected_codes = {
        "server_error",
        "bad_request",
        "forbidden",
        "not_found",
        "not_identified",
        "invalid_arguments",
    }
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", WIDGETS, re.MULTILINE))
    assert expected_codes <= documented
    assert codes - {"website_id"} <= expected_codes
    for word in (
        *("create", "getAudiences", "checkAudience", "getAttributes", "updateAttributes"),
        *("set", "ignore", "WebsiteID", "TrackerUrl", "StaticUrl"),
        *("useLabels", "trackingType", "whitelist", "blacklist"),
        *("user_id", "device_id", "email", "onFulfilled", "onRejected"),
    ):
        assert word in sources or word == "StaticUrl", word
        assert word in WIDGETS, word


def test_documented_sizes_are_those_of_the_build() -> None:
    for name, kilobytes in (("api", 2.0), ("form", 3.2)):
        packed = ROOT / "static" / "dist" / f"audience-manager.{name}.min.js.gz"
        assert packed.stat().st_size <= kilobytes * 1024
        assert f"audience-manager.{name}.min.js` | {kilobytes} KB" in WIDGETS
