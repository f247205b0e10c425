"""From the visitor's form to the confirmed request in Chromium; the page behind the mail's link.

Every state of the page in five languages, light, dark and 320 px wide: axe finds nothing.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tests.browser.conftest import Site
from tests.browser.consent_pages import TYPES, Shop
from tests.browser.waiting import EVENTUALLY_SECONDS, until
from tests.conftest import App, Authorized
from tests.data_subjects import Office
from tests.mailbox import secrets_of

LANGUAGES = ("en", "de", "fr", "pl", "es")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "320px": {"viewport": {"width": 320, "height": 568}},
}


def _wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


@dataclass
class Desk:
    """Opens the page as a requester does; requests: addresses the page asked for."""

    office: Office
    browser: Browser
    pages: list[Page]
    requests: list[str]

    async def open(self, link: str, **options: Any) -> Page:
        """A new browser on the page of a link; options of Playwright's new_context."""
        query = options.pop("query", "")
        context = await self.browser.new_context(**options)
        context.set_default_timeout(EVENTUALLY_SECONDS * 1000)
        page = await context.new_page()
        self.pages.append(page)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.requests.append(f"console: {message.text}"))
        await page.goto(f"{self.url(link)}{query}")
        return page

    def url(self, link: str) -> str:
        """The address of a link's page."""
        return str(self.office.service.make_url(f"/privacy/confirm/{link}"))

    async def expire(self) -> None:
        """Let ten minutes pass."""
        await self.office.rows.execute(
            "UPDATE data_subject_verifications SET expires_at = expires_at - interval '10 minutes'"
        )


@pytest.fixture
async def desk(office: Office, browser: Browser) -> AsyncIterator[Desk]:
    """A desk without any open page."""
    made = Desk(office, browser, [], [])
    yield made
    for page in made.pages:
        await page.context.close()


async def _press(page: Page, button: str) -> None:
    async with page.expect_navigation():
        await page.get_by_role("button", name=button, exact=True).click()


async def _enter(page: Page, code: str) -> None:
    await page.locator("#code").fill(code)
    async with page.expect_navigation():
        await page.locator("button[type=submit]").click()


async def _heading(page: Page) -> str:
    return await page.get_by_role("heading", level=1).inner_text()


async def _states(desk: Desk, look: dict[str, Any]) -> AsyncIterator[tuple[str, Page]]:
    """The page in every state, each once it is shown."""
    _, link, code = await desk.office.ask_and_get_mail("a@shop.example")
    page = await desk.open(link, **look)
    yield "form", page
    await _enter(page, _wrong(code))
    yield "wrong", page
    await _enter(page, code)
    yield "verified", page
    await page.goto(desk.url(link))
    yield "used", page
    _, link, code = await desk.office.ask_and_get_mail("b@shop.example")
    await page.goto(desk.url(link))
    for _ in range(3):
        await _enter(page, _wrong(code))
    yield "locked", page
    _, link, _ = await desk.office.ask_and_get_mail("c@shop.example")
    await desk.expire()
    await page.goto(desk.url(link))
    yield "expired", page
    await _press(page, "Send a new mail")
    yield "sent", page
    await page.goto(desk.url("nonsense"))
    yield "unknown", page


@pytest.mark.parametrize("look", LOOKS)
async def test_axe_finds_nothing_in_any_state_and_nothing_is_wider_than_the_screen(
    desk: Desk, look: str
) -> None:
    seen = []
    async for state, page in _states(desk, LOOKS[look]):
        seen.append(state)
        results = await Axe().run(page)
        assert results.violations_count == 0, f"{state}: {results.generate_report()}"
        width = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], state
    assert seen == ["form", "wrong", "verified", "used", "locked", "expired", "sent", "unknown"]
    assert not [
        one
        for one in desk.requests
        if one.startswith("console: ")
        and "404" not in one
        and "403" not in one
        and "410" not in one
        and "400" not in one
    ]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_language_is_whole_accessible_and_fits_320_px(
    desk: Desk, language: str
) -> None:
    _, link, code = await desk.office.ask_and_get_mail()
    page = await desk.open(
        link, viewport={"width": 320, "height": 568}, query=f"?language={language}"
    )
    assert await page.evaluate("document.documentElement.lang") == language
    assert (await Axe().run(page)).violations_count == 0
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert "{" not in await page.inner_text("body")
    # The language stays when the form is sent.
    await _enter(page, _wrong(code))
    assert await page.evaluate("document.documentElement.lang") == language
    assert (await Axe().run(page)).violations_count == 0
    await _enter(page, code)
    assert await page.evaluate("document.documentElement.lang") == language
    assert (await Axe().run(page)).violations_count == 0
    assert "{" not in await page.inner_text("body")


async def test_language_can_be_chosen_on_the_page(desk: Desk) -> None:
    _, link, _ = await desk.office.ask_and_get_mail()
    page = await desk.open(link)
    assert await _heading(page) == "Confirm your request"
    await page.get_by_role("link", name="Deutsch").click()
    await page.get_by_role("heading", name="Anfrage bestätigen").wait_for()
    current = page.get_by_role("link", name="Deutsch")
    assert await current.get_attribute("aria-current") == "true"


async def test_request_is_confirmed_with_the_keyboard_alone(desk: Desk) -> None:
    request_id, link, code = await desk.office.ask_and_get_mail()
    page = await desk.open(link)
    field = page.get_by_role("textbox", name="Code")
    # The browser focuses it with the first picture that it paints.
    await until(page, "document.activeElement.id === 'code'")
    described = await field.get_attribute("aria-describedby")
    assert described == "hint"
    await page.keyboard.type(_wrong(code))
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    assert await page.title() == "Error: Confirm your request"
    alert = page.get_by_role("alert")
    assert await alert.inner_text() == "This is not the code from the mail. Tries left: 2."
    assert await field.get_attribute("aria-invalid") == "true"
    assert await field.get_attribute("aria-describedby") == "wrong hint"
    # The browser focuses it with the first picture that it paints.
    await until(page, "document.activeElement.id === 'code'")
    await page.keyboard.type(code)
    await page.keyboard.press("Tab")
    outline = await page.evaluate(
        "[document.activeElement.tagName, getComputedStyle(document.activeElement).outlineStyle]"
    )
    assert outline == ["BUTTON", "solid"]
    async with page.expect_navigation():
        await page.keyboard.press("Space")
    assert await _heading(page) == "Your request is confirmed"
    assert (await desk.office.get(request_id))["status"] == "to_do"


async def test_page_loads_nothing_but_itself_and_runs_no_script(desk: Desk) -> None:
    _, link, _ = await desk.office.ask_and_get_mail()
    page = await desk.open(link)
    await page.wait_for_load_state("networkidle")
    assert desk.requests == [desk.url(link)]
    # Styles apply, so the policy lets the page's own through.
    assert await page.locator("button").evaluate("one => getComputedStyle(one).minHeight") != "auto"
    assert await page.locator("script").count() == 0
    injected = await page.evaluate(
        """() => new Promise(done => {
            document.addEventListener("securitypolicyviolation", e => done(e.effectiveDirective));
            document.body.append(Object.assign(document.createElement("script"), {text: "1"}));
        })"""
    )
    assert injected == "script-src-elem"


async def test_buttons_are_large_enough_and_text_grows_to_twice_its_size(desk: Desk) -> None:
    _, link, _ = await desk.office.ask_and_get_mail()
    page = await desk.open(link, viewport={"width": 640, "height": 800})
    for target in await page.locator("button, input, nav a").all():
        box = await target.bounding_box()
        assert box is not None
        assert box["height"] >= 24
    await page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("event", ["view_data", "change_data", "delete_data"])
async def test_from_the_visitors_form_to_the_confirmed_request(
    office: Office,
    desk: Desk,
    app: App,
    authorized: Authorized,
    browser: Browser,
    site: Site,
    event: str,
) -> None:
    shop = Shop(replace(app, service=office.service), authorized, site, browser)
    await shop.configure(consent_types=TYPES, privacy_policy_url="/privacy")
    shop.page(body='<div id="ppms_cm_data_subject"></div>')
    visitor = await shop.visitor(locale="de-DE")
    await visitor.open()
    form = visitor.page.locator("#ppms_cm_data_subject_form")
    await form.wait_for()
    await until(visitor.page, "typeof sendUserDataSubjectRequest === 'function'")
    outcome = await visitor.command(
        "sendDataRequest", {"content": "Bitte.", "email": "Jane@Shop.example", "type": event}
    )
    assert outcome == ["fulfilled"]
    assert (
        await visitor.command("sendDataRequest", {"content": "", "email": "jane", "type": event})
    )[0] == "rejected"
    (mail,) = await office.deliver()
    assert mail["To"] == "jane@shop.example"
    link, code = secrets_of(mail)
    page = await desk.open(link)
    assert (await page.evaluate("document.documentElement.lang")) == mail["Content-Language"]
    await _enter(page, code)
    _, body = await office.team.get("/api/privacy/v1/requests", params={"status": "to_do"})
    (request,) = body["data"]
    assert request["attributes"]["request_type"] == event
    assert request["attributes"]["content"] == "Bitte."
    for context in shop.contexts:
        await context.close()
