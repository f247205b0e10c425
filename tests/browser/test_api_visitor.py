"""Where the widgets take the visitor ID from, and that they store nothing of their own."""

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Site
from tests.browser.snippets import create, html, snippet, visitor_cookie
from tests.browser.test_api_widget import open_page, run
from tests.browser.waiting import eventually, until
from tests.conftest import App
from tests.service_process import ServiceProcess

OLDER, NEWER = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"


async def test_newest_visit_of_several_cookies_counts(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    commands = create(instance, "api", app.app_id)
    await page.goto(
        site.put(
            html(
                visitor_cookie("61", "cccccccccccccccc", 1900000000, "5596"),
                visitor_cookie(app.app_id, NEWER, 1700000001, "1fff"),
                visitor_cookie(app.app_id, OLDER, 1700000000, "2fff"),
                snippet(instance, "api", commands),
            )
        )
    )
    assert await run(page, "updateAttributes", {"a": "b"}) == ["fulfilled", []]
    assert len(await app.profiles("analytics_visitor_id", NEWER)) == 1
    assert await app.count("profiles") == 1


async def test_cookie_that_comes_later_is_seen(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    await open_page(page, site, instance, app.app_id, visitor="")
    assert await run(page, "getAudiences") == ["rejected", ["not_identified"]]
    value = f"{NEWER}.1600000000.1.1700000000.1700000000."
    await page.evaluate(f"document.cookie = '_pk_id.{app.app_id}.1fff={value}'")
    assert await run(page, "getAudiences") == ["fulfilled", [[]]]


@pytest.mark.parametrize(
    "tracker",
    [
        "AnalyticsTracker = {getVisitorId: () => ID}",
        "Piwik = {getVisitorId: () => ID}",
        "Piwik = {getAsyncTracker: () => ({getVisitorId: () => ID})}",
    ],
)
async def test_tracker_is_asked_where_there_is_no_cookie(
    app: App, instance: ServiceProcess, site: Site, page: Page, tracker: str
) -> None:
    await open_page(page, site, instance, app.app_id, visitor="")
    await page.evaluate(f"void (window.{tracker.replace('ID', repr(NEWER))})")
    assert await run(page, "updateAttributes", {"a": "b"}) == ["fulfilled", []]
    assert len(await app.profiles("analytics_visitor_id", NEWER)) == 1


async def test_no_cookie_is_written_and_nothing_stored(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    await page.goto(
        site.put(
            html(
                visitor_cookie(app.app_id, NEWER),
                snippet(instance, "api", create(instance, "api", app.app_id)),
                snippet(instance, "form", create(instance, "form", app.app_id, "{f: true}")),
                '<form id="f" onsubmit="return false"><input name="a" value="b"></form>',
            )
        )
    )
    await until(page, "ppms.am.form.isLoaded")
    await run(page, "updateAttributes", {"x": "y"})
    await run(page, "getAudiences")
    await page.evaluate("f.requestSubmit()")
    await eventually(lambda: _has_form(app))
    cookies = await page.context.cookies()
    assert [cookie["name"] for cookie in cookies] == [f"_pk_id.{app.app_id}.1fff"]
    stored = await page.evaluate(
        """async () => [localStorage.length, sessionStorage.length,
            (await globalThis.caches?.keys() ?? []).length,
            (await indexedDB.databases()).length, window.name]"""
    )
    assert stored == [0, 0, 0, 0, ""]


async def _has_form(app: App) -> bool:
    return bool((await app.profile("analytics_visitor_id", NEWER))["forms"])
