"""`ppms.am.api` on a page of another origin, in Chromium: the snippet, the queue, every command."""

from typing import Any

from playwright.async_api import Page

from tests.browser.conftest import Site, Watched
from tests.browser.snippets import create, html, snippet, visitor_cookie
from tests.conftest import App
from tests.service_process import ServiceProcess

VISITOR = "0123456789abcdef"


async def _open(page: Page, site: Site, *parts: str) -> None:
    await page.goto(site.put(html(*parts)))


async def test_published_snippet_works(
    app: App, instance: ServiceProcess, site: Site, watched: Watched
) -> None:
    await app.allow("color")
    await _open(
        watched.page,
        site,
        visitor_cookie(app.app_id, VISITOR),
        snippet(
            instance,
            "api",
            create(instance, "api", app.app_id)
            + 'ppms.am.api("updateAttributes", {color: "black", age: 7});'
            + 'ppms.am.api("getAttributes", function (all) { window.result = all; });',
        ),
    )
    await watched.page.wait_for_function("window.result")
    result: Any = await watched.page.evaluate("result")
    assert result == {"analytics": {}, "attributes": {"color": "black"}}
    document = await app.profile("analytics_visitor_id", VISITOR)
    assert document["attributes"] == {"color": "black", "age": 7}
    assert (watched.errors, watched.console) == ([], [])
