"""The demo page of `make serve`: both widgets at work, as a new user meets them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser

from tests.browser.conftest import Watched, pictures_folder
from tests.browser.waiting import until
from tests.conftest import App
from tests.service_process import ServiceProcess


@pytest.fixture(scope="module")
def demo(
    quiet_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    """The service with its demo app, below a path as behind a proxy."""
    folder = tmp_path_factory.mktemp("demo")
    environment = {"DATABASE_URL": quiet_database_url, "ROOT_PATH": "/am"}
    with ServiceProcess(folder, "--demo", **environment) as service:
        yield service


async def test_everything_on_the_page_is_real(demo: ServiceProcess, watched: Watched) -> None:
    page = watched.page
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    await page.goto(f"{demo.url}/am/demo/")
    await until(page, "ppms.am.form.isLoaded && ppms.am.api.isLoaded")
    await page.locator("#audiences li").nth(3).wait_for()
    assert await page.locator("#audiences li").count() == 4
    assert await page.locator("#audiences .in").count() == 0
    assert await page.is_visible("#nothing")

    await page.click("button.green")
    await page.locator("#audiences .in", has_text="Likes green").wait_for()
    await page.click("button.kettle")
    await page.click("button.lamp")
    await page.locator("dd", has_text="kettle, lamp").wait_for()
    await page.click("button.lamp")
    for _ in range(3):
        await page.click("#visit")
    await page.locator("#audiences .in", has_text="Came three times").wait_for()

    await page.click("text=Send the form")
    await page.locator("#audiences .in", has_text="Reads the newsletter").wait_for()
    await page.locator("#audiences .in").nth(3).wait_for()
    first = page.locator("#sent li").first
    assert await first.locator(".held").inner_text() == "Not sent: card, cvc, secret, token"
    await first.locator(".answer", has_text="204").wait_for()
    sent = json.loads(await first.locator("pre").inner_text())
    assert {entry["name"]: entry["value"] for entry in sent["attributes"]} == {
        "first_name": "Vesper",
        "email": "vesper.lynd@example.com",
        "newsletter": "yes",
    }
    before = await page.inner_text("#visitor")
    await page.click("#other")
    await page.locator("#nothing").wait_for()
    assert await page.inner_text("#visitor") != before
    assert all(url.startswith((demo.url, "data:")) for url in requested)
    assert watched.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_page_is_readable_for_everybody(
    demo: ServiceProcess, browser: Browser, scheme: Any, width: int
) -> None:
    context = await browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page = await context.new_page()
    for path in ("demo/", "docs/widgets"):
        await page.goto(f"{demo.url}/am/{path}")
        if path == "demo/":
            await page.click("button.green")
            await page.click("text=Send the form")
            await page.locator("#audiences .in", has_text="Reads the newsletter").wait_for()
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        name = path.strip("/").replace("/", "-")
        # docs/demo.png, which the README shows, is a copy of demo-light-1280.png.
        taken = pictures_folder() / f"{name}-{scheme}-{width}.png"
        await page.screenshot(path=taken, full_page=True)
    await context.close()


async def test_there_is_no_demo_without_the_demo_app(app: App) -> None:
    for path in ("/demo/", "/demo", "/demo/demo.min.js", "/demo/demo.min.css"):
        answer = await app.service.get(path, allow_redirects=False)
        assert (answer.status, answer.content_type) == (404, "text/plain"), path
