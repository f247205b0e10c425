"""Every state of the form and the widgets in light, dark and 320 px: axe finds nothing.

The pictures of `docs/consent/` are taken here: `UPDATE_PICTURES=1 pytest tests/browser/test_consent_pictures.py`.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.browser import consent_request_widget as request_widget
from tests.browser.conftest import pictures_folder
from tests.browser.consent_pages import AGREE, CLOSE, FORM, REMINDER, TYPES, Shop, Visitor

DOCUMENTED = Path(__file__).parents[2] / "docs" / "consent"
NOTE = "#ppms_consent_form_success_note"
SIZE = {"width": 760, "height": 560}
LOOKS = {
    "light": {"viewport": SIZE},
    "dark": {"viewport": SIZE, "color_scheme": "dark"},
    "320": {"viewport": {"width": 320, "height": 568}},
}


async def _form(visitor: Visitor) -> None:
    await visitor.page.wait_for_selector(FORM)


async def _choices(visitor: Visitor) -> None:
    await _form(visitor)
    details = visitor.page.locator("summary")
    if await details.is_visible():
        await details.click()
    await visitor.page.get_by_role("switch").first.check()
    await visitor.page.get_by_role("switch").last.scroll_into_view_if_needed()


async def _undecided(visitor: Visitor) -> None:
    await visitor.page.click(CLOSE)
    await visitor.page.wait_for_selector(REMINDER)


async def _decided(visitor: Visitor) -> None:
    await visitor.page.click(AGREE)
    await visitor.page.wait_for_selector(NOTE)
    await visitor.page.wait_for_selector(REMINDER)


async def _widgets(visitor: Visitor) -> None:
    await _undecided(visitor)
    await visitor.page.click("#ppms_cm_close-reminder")
    await visitor.page.wait_for_selector("#ppms_cm_privacy_settings_button")
    form = visitor.page.locator("#ppms_cm_data_subject_form")
    await form.locator("[name=email]").fill("jane@example.com")
    await form.locator("[type=submit]").click()
    await visitor.page.wait_for_selector("#ppms_cm_data_subject_confirmation_note")


async def _request(visitor: Visitor) -> None:
    await visitor.page.click(AGREE)
    await visitor.page.click(f"{NOTE} button")
    await visitor.page.click("#ppms_cm_close-reminder")
    await visitor.page.locator(request_widget.FORM).wait_for()


async def _request_open(visitor: Visitor) -> None:
    await _request(visitor)
    await visitor.page.focus(request_widget.EMAIL)
    await visitor.page.keyboard.type("jane@example.com")
    for key in ("Tab", "ArrowDown", "ArrowDown"):
        await visitor.page.keyboard.press(key)


async def _request_failed(visitor: Visitor) -> None:
    await _request(visitor)
    await request_widget.refuse_requests(visitor)
    await visitor.page.fill(request_widget.EMAIL, "jane@example.com")
    await visitor.page.click(request_widget.SUBMIT)
    await visitor.page.wait_for_selector(request_widget.FAILURE)


STATES: dict[str, tuple[dict[str, Any], Any]] = {
    "popup": ({}, _form),
    "popup-choices": ({}, _choices),
    "bar": ({"position": "bar"}, _form),
    "bar-choices": ({"position": "bar"}, _choices),
    "simple": ({"consent_types": ["analytics"]}, _form),
    "reminder": ({}, _undecided),
    "decided": ({}, _decided),
    "widgets": ({}, _widgets),
    "request": ({}, _request),
    "request-open": ({}, _request_open),
    "request-failed": ({}, _request_failed),
}
BODIES = {
    "widgets": '<h2>Your data</h2><div id="ppms_cm_privacy_settings"></div><div id="ppms_cm_data_subject"></div>',
    **dict.fromkeys(
        ("request", "request-open", "request-failed"),
        "<h2>Your data</h2>" + request_widget.WRAPPER % "",
    ),
}


async def _show(shop: Shop, state: str, look: str) -> Visitor:
    settings, reach = STATES[state]
    await shop.configure(**{"consent_types": TYPES, "languages": ["en", "de"], **settings})
    if state in BODIES:
        shop.page(body=BODIES[state])
    visitor = await shop.visitor(**LOOKS[look], reduced_motion="reduce")
    await visitor.open()
    await reach(visitor)
    return visitor


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("state", STATES)
async def test_axe_finds_nothing(shop: Shop, state: str, look: str) -> None:
    visitor = await _show(shop, state, look)
    folder = DOCUMENTED if os.environ.get("UPDATE_PICTURES") else pictures_folder()
    folder.mkdir(parents=True, exist_ok=True)
    await visitor.page.screenshot(path=folder / f"{state}-{look}.png", full_page=state in BODIES)
    found = await Axe().run(visitor.page)
    assert found.violations_count == 0, found.generate_report()
