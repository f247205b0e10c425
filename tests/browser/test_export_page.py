"""The readable page of an access export, opened from the unpacked ZIP in Chromium."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser

from tests.conftest import App
from tests.data_subjects import Office
from tests.privacy.executing import archive_of, execute, run
from tests.privacy.people import make_people, verified_request
from tests.service_process import ServiceProcess

LANGUAGES = ("en", "de", "fr", "pl", "es")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "320px": {"viewport": {"width": 320, "height": 568}},
}


async def _unpacked(office: Office, language: str, folder: Path) -> str:
    """The address of the page of a person's export."""
    request_id = await verified_request(office, "view_data", language=language)
    await execute(office, request_id)
    (await archive_of(office, request_id)).extractall(folder)
    return (folder / "index.html").as_uri()


@pytest.mark.parametrize(
    ("language", "look"),
    [*(("en", look) for look in LOOKS), *((language, "320px") for language in LANGUAGES[1:])],
)
async def test_the_page_is_accessible_fits_and_asks_for_nothing(
    app: App, office: Office, browser: Browser, tmp_path: Path, language: str, look: str
) -> None:
    await make_people(app, office)
    wide = [{"name": "wide", "value": "wwwwwwwwww" * 60}]
    await app.write({"email": "jane@shop.example", "attributes": wide})
    address = await _unpacked(office, language, tmp_path)
    context = await browser.new_context(**LOOKS[look])
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: asked.append(f"console: {message.text}"))
    await page.goto(address)
    assert await page.evaluate("document.documentElement.lang") == language
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    text = await page.inner_text("body")
    assert "marker-value" in text
    assert "{" not in text
    results = await Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert asked == [address]
    await context.close()


async def test_a_running_instance_leaves_the_work_on_requests_to_the_test(
    app: App, office: Office, instance: ServiceProcess
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "view_data", deliver=False)
    assert (await office.act(request_id, "execute"))[0] == 202
    # Longer than two pauses of the job.
    await asyncio.sleep(4.5)
    assert (await office.get(request_id))["status"] == "in_progress"
    assert await run(office) > 1
    assert len(await office.deliver()) == 1
    instance.wait_for("/readyz", 200)
