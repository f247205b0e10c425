"""The built-in consent form in Chromium: what a visitor sees, decides and takes back."""

from typing import Any

import pytest

from consent.forms.texts import READY_MADE_LANGUAGES, TEXT_SLOTS, ready_made_texts
from tests.browser.consent_pages import (
    AGREE,
    ALL_TYPES,
    CLOSE,
    FORM,
    HOST,
    REJECT,
    REMINDER,
    SAVE,
    TYPES,
    Shop,
    privacy_cookie,
)
from tests.browser.waiting import until

NOTE = "#ppms_consent_form_success_note"
OPEN, WITHDRAW = "#ppms_cm_open-popup", "#ppms_cm_withdraw"
CLOSE_REMINDER = "#ppms_cm_close-reminder"
SETTINGS = '<div id="ppms_cm_privacy_settings" data-root="true"></div>'


def _given(status: int, at: str = "2026-11-01T00:00:01.000Z") -> dict[str, Any]:
    return {"status": status, "updatedAt": at}


async def test_first_visit_asks_and_agrees_with_one_click(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    popup_id = f"ppms_cm_consent_popup_{shop.app.app_id}"
    assert await visitor.page.locator(f"#{popup_id} > #ppms_cm_popup_overlay {FORM}").count() == 1
    switches = visitor.page.get_by_role("switch")
    assert await switches.count() == 3
    assert not [one for one in await switches.all() if await one.is_checked()]
    assert await visitor.statuses() == dict.fromkeys(TYPES, -1)
    (view,) = await visitor.sent_events("form_view")
    assert view["source"] == 1
    assert await visitor.events() == ["stg.start", "stg.consentFormViewMain"]
    await visitor.page.click(AGREE)
    assert await visitor.statuses() == dict.fromkeys(TYPES, 1)
    assert await visitor.page.locator(FORM).count() == 0
    await visitor.page.wait_for_selector(NOTE)
    (click,) = await visitor.sent_events("form_click")
    assert click["button"] == 1
    (sent,) = await visitor.sent_events("consent_change")
    assert (sent["method"], sent["source"], sent["language"]) == ("agree_all", 1, "en")
    texts = ready_made_texts("en")
    shown = {key: texts[key].history_id for key in ("intro", *TYPES)}
    assert {key: one["historyId"] for key, one in sent["consents"].items()} == shown
    assert await visitor.events() == [
        "stg.start",
        "stg.consentFormViewMain",
        "stg.agreeToAllClicked",
        "stg.consentDecisionMade",
    ]
    await visitor.delivered()
    (decision,) = await shop.decisions()
    assert decision["hostname"] == HOST
    assert (decision["consent_scope"], decision["consent_action"]) == (1, 1)
    assert visitor.errors == []


async def test_rejecting_is_exactly_as_easy_as_agreeing(shop: Shop) -> None:
    for width in (1280, 700, 400, 320):
        visitor = await shop.visitor(viewport={"width": width, "height": 800})
        await visitor.open()
        await visitor.page.wait_for_selector(FORM)
        looks = [
            await visitor.page.eval_on_selector(
                button,
                """element => { const s = getComputedStyle(element), b = element.getBoundingClientRect();
                return [Math.round(b.width), Math.round(b.height), s.color, s.backgroundColor, s.borderColor, s.fontSize, s.fontWeight] }""",
            )
            for button in (REJECT, AGREE)
        ]
        assert looks[0] == looks[1], width
    await visitor.page.click(REJECT)
    assert await visitor.statuses() == dict.fromkeys(TYPES, 0)
    assert await visitor.page.locator(FORM).count() == 0
    (sent,) = await visitor.sent_events("consent_change")
    assert sent["method"] == "reject_all"
    assert "stg.rejectAllClicked" in await visitor.events()


async def test_saved_choices_are_those_of_the_switches(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.get_by_role("switch", name="Analytics").check()
    await visitor.page.get_by_text("Remarketing", exact=True).click()
    await visitor.page.click(SAVE)
    expected = {"analytics": 1, "conversion_tracking": 0, "remarketing": 1}
    assert await visitor.statuses() == expected
    (sent,) = await visitor.sent_events("consent_change")
    assert sent["method"] == "save"
    assert (await visitor.sent_events("form_click"))[0]["button"] == 3
    await visitor.page.click(OPEN)
    await visitor.page.wait_for_selector(FORM)
    switches = await visitor.page.get_by_role("switch").all()
    found = {await one.input_value(): int(await one.is_checked()) for one in switches}
    assert found == expected


async def test_returning_visitor_is_left_alone_and_may_withdraw_with_one_click(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.click(AGREE)
    await visitor.delivered()
    visitor.sent.clear()
    await visitor.open()
    await visitor.page.wait_for_selector(REMINDER)
    assert await visitor.page.locator(FORM).count() == 0
    assert visitor.sent == []
    await visitor.page.click(WITHDRAW)
    await visitor.page.wait_for_selector(NOTE)
    assert await visitor.page.locator(NOTE).count() == 1
    assert await visitor.statuses() == dict.fromkeys(TYPES, 0)
    (sent,) = await visitor.sent_events("consent_change")
    assert (sent["method"], sent["source"]) == ("reject_all", 2)
    await visitor.page.wait_for_selector(f"{REMINDER} {WITHDRAW}", state="detached")
    await until(visitor.page, f"document.activeElement === document.querySelector('{OPEN}')")
    await visitor.delivered()
    assert [one["consent_scope"] for one in await shop.decisions()] == [1, 3]


async def test_the_cookie_is_renewed_with_each_visit(shop: Shop) -> None:
    await shop.configure_app(privacyCookieExpirationPeriod=3600)
    visitor = await shop.visitor()
    await visitor.set_cookie(privacy_cookie({name: _given(1) for name in TYPES}))
    await visitor.open()
    (cookie,) = [
        c for c in await visitor.context.cookies() if c["name"].startswith("ppms_privacy_")
    ]
    now = await visitor.page.evaluate("Date.now() / 1000")
    assert now + 3500 < cookie["expires"] < now + 3700


async def test_a_new_type_is_asked_alone(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.set_cookie(
        privacy_cookie({"analytics": _given(1), "conversion_tracking": _given(0)})
    )
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    assert await visitor.page.get_by_role("switch").count() == 1
    assert (await visitor.statuses())["remarketing"] == -1
    await visitor.page.click(AGREE)
    expected = {"analytics": 1, "conversion_tracking": 0, "remarketing": 1}
    assert await visitor.statuses() == expected


async def test_a_new_text_version_that_asks_again_is_asked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consent.forms.container_handlers._KEPT_SECONDS", 0)
    visitor = await shop.visitor()
    # Routing switches the browser's cache off.
    await visitor.context.route("**/containers/**", lambda route: route.continue_())
    await visitor.open()
    await visitor.page.click(AGREE)
    await visitor.delivered()
    content = {"description": "Also how long you looked at each table."}
    history_id = await shop.publish("analytics", "en", content, ask_again=True)
    await visitor.page.wait_for_timeout(20)
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    assert await visitor.page.get_by_role("switch").count() == 1
    assert await visitor.page.get_by_text("Also how long you looked").is_visible()
    assert await visitor.statuses() == dict.fromkeys(TYPES, 1) | {"analytics": -1}
    await visitor.page.click(AGREE)
    sent = (await visitor.sent_events("consent_change", 2))[1]
    assert sent["consents"]["analytics"] == {"status": 1, "historyId": history_id}
    await visitor.open()
    await visitor.page.wait_for_selector(REMINDER)
    assert await visitor.page.locator(FORM).count() == 0


async def test_a_decision_past_its_period_is_asked_again(shop: Shop) -> None:
    await shop.configure(decision_period_seconds=86_400)
    visitor = await shop.visitor()
    old, new = "2020-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z"
    await visitor.set_cookie(
        privacy_cookie(
            {
                "analytics": _given(1, old),
                "conversion_tracking": _given(1, new),
                "remarketing": _given(1, new),
            }
        )
    )
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    assert await visitor.page.get_by_role("switch").count() == 1


async def test_a_stale_visitor_is_asked_for_what_is_not_agreed_to(shop: Shop) -> None:
    await shop.configure(stale_period_seconds=3600)
    visitor = await shop.visitor()
    consents = {"analytics": _given(1), "conversion_tracking": _given(0), "remarketing": _given(-1)}
    await visitor.set_cookie(privacy_cookie(consents))
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    switches = await visitor.page.get_by_role("switch").all()
    assert [await one.input_value() for one in switches] == ["conversion_tracking", "remarketing"]
    assert await visitor.statuses() == {"analytics": 1, "conversion_tracking": 0, "remarketing": -1}
    await visitor.page.click(CLOSE)
    await visitor.open()
    await visitor.page.wait_for_selector(REMINDER)
    assert await visitor.page.locator(FORM).count() == 0, "the checkpoint has moved"


async def test_a_closed_form_reminds_until_the_bar_is_closed(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.click(CLOSE)
    await visitor.page.wait_for_selector(REMINDER)
    assert "stg.closeButtonClicked" in await visitor.events()
    assert (await visitor.sent_events("form_click"))[0]["button"] == 4
    await visitor.open()
    await visitor.page.wait_for_selector(REMINDER)
    assert await visitor.page.locator(FORM).count() == 0
    await visitor.page.click(OPEN)
    await visitor.page.wait_for_selector(FORM)
    assert (await visitor.sent_events("form_view", 2))[1]["source"] == 2
    assert await visitor.page.locator(REMINDER).count() == 0
    await visitor.page.keyboard.press("Escape")
    await visitor.page.wait_for_selector(REMINDER)
    await visitor.page.click(CLOSE_REMINDER)
    assert await visitor.page.locator(REMINDER).count() == 0
    domain = "%22domain%22:{%22normalized%22:%22www.shop.test%22%2C%22isWildcard%22:false%2C%22pattern%22:%22www.shop.test%22}"
    assert await visitor.raw_cookie("ppms_privacy_bar_") == f"{{%22status%22:true%2C{domain}}}"
    await visitor.open()
    await visitor.page.wait_for_timeout(300)
    assert await visitor.page.locator(f"{REMINDER}, {FORM}").count() == 0


async def test_the_reminder_can_be_left_out_after_a_decision(shop: Shop) -> None:
    await shop.configure(is_reminder_kept=False)
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.click(REJECT)
    await visitor.page.wait_for_selector(NOTE)
    await visitor.open()
    await visitor.page.wait_for_timeout(300)
    assert await visitor.page.locator(REMINDER).count() == 0


async def test_one_type_gets_the_simple_form(shop: Shop) -> None:
    await shop.configure(consent_types=["remarketing"])
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    assert await visitor.page.locator(f"{SAVE}, [role=switch]").count() == 0
    await visitor.page.get_by_role("button", name="Agree", exact=True).click()
    assert await visitor.statuses() == {"remarketing": 1}


async def test_the_privacy_settings_widget_opens_the_form_also_when_rendered_late(
    shop: Shop,
) -> None:
    visitor = await shop.visitor()
    await visitor.set_cookie(privacy_cookie({name: _given(0) for name in TYPES}))
    await visitor.open()
    await visitor.page.evaluate(
        "html => document.querySelector('main').insertAdjacentHTML('beforeend', html)", SETTINGS
    )
    button = visitor.page.locator("#ppms_cm_privacy_settings_button")
    await button.click()
    await visitor.page.wait_for_selector(FORM)
    assert (await visitor.sent_events("form_view"))[0]["source"] == 3
    assert "stg.consentFormViewPrivacyPolicy" in await visitor.events()
    await visitor.page.keyboard.press("Escape")
    await visitor.page.wait_for_selector(FORM, state="detached")
    assert await button.evaluate("element => element === document.activeElement"), "focus is back"
    await visitor.page.evaluate(
        "document.querySelector('#ppms_cm_privacy_settings').outerHTML = '<p id=ppms_cm_privacy_settings><button id=ppms_cm_privacy_settings_button>Mine</button></p>'"
    )
    await visitor.page.get_by_role("button", name="Mine").click()
    await visitor.page.wait_for_selector(FORM)


async def test_every_language_is_spoken_and_recorded(shop: Shop) -> None:
    await shop.configure(languages=list(READY_MADE_LANGUAGES), default_language="pl")
    for language in READY_MADE_LANGUAGES:
        visitor = await shop.visitor(locale=f"{language}-XX" if language != "en" else "en-GB")
        await visitor.open()
        texts = ready_made_texts(language)
        title = texts["intro"].content["title"]
        form = visitor.page.get_by_role("dialog", name=title)
        await form.wait_for()
        root = visitor.page.locator(f"#ppms_cm_consent_popup_{shop.app.app_id}")
        assert await root.get_attribute("lang") == language
        await visitor.page.click(AGREE)
        (sent,) = await visitor.sent_events("consent_change")
        assert sent["language"] == language
        assert sent["consents"]["intro"]["historyId"] == texts["intro"].history_id
    visitor = await shop.visitor(locale="ja-JP")
    await visitor.open()
    await visitor.page.get_by_role(
        "dialog", name=ready_made_texts("pl")["intro"].content["title"]
    ).wait_for()


async def test_another_language_can_be_chosen_and_keeps_the_switches(shop: Shop) -> None:
    await shop.configure(languages=["en", "de", "fr"])
    visitor = await shop.visitor()
    await visitor.context.route("**/*language=fr", lambda route: route.abort())
    await visitor.open()
    await visitor.page.get_by_role("switch", name="Analytics").check()
    await visitor.page.get_by_label("Language").select_option("fr")
    await visitor.page.wait_for_timeout(100)
    assert await visitor.page.get_by_role("switch", name="Analytics").is_checked()
    assert visitor.errors == []
    await visitor.page.get_by_label("Language").select_option("de")
    german = ready_made_texts("de")
    await visitor.page.get_by_role("dialog", name=german["intro"].content["title"]).wait_for()
    assert await visitor.page.get_by_role(
        "switch", name=german["analytics"].content["label"]
    ).is_checked()
    assert await visitor.page.evaluate("document.activeElement.tagName") == "SELECT"
    await visitor.page.click(SAVE)
    (sent,) = await visitor.sent_events("consent_change")
    assert (sent["language"], sent["consents"]["analytics"]["status"]) == ("de", 1)
    await visitor.open()
    settings = german["reminder_widget"].content["open_settings"]
    await visitor.page.get_by_role("button", name=settings).wait_for()
    await visitor.context.clear_cookies()
    await visitor.context.add_cookies(
        [{"name": "language", "value": "en", "domain": HOST, "path": "/"}]
    )
    await visitor.open()
    await visitor.page.get_by_label("Language").select_option("de")
    await visitor.page.wait_for_selector("[lang=de] " + FORM)
    assert "language=en" in await visitor.page.evaluate("document.cookie"), "the page's own stays"


async def test_a_language_written_from_right_to_left_is_laid_out_so(shop: Shop) -> None:
    for text_key in TEXT_SLOTS:
        content = ready_made_texts("en")[text_key].content
        await shop.publish(text_key, "he", {slot: f"א {text}" for slot, text in content.items()})
    await shop.configure(languages=["he"], default_language="he")
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    title = await visitor.page.locator("#ppms_cm_popup_title").bounding_box()
    close = await visitor.page.locator(CLOSE).bounding_box()
    assert title is not None
    assert close is not None
    assert close["x"] < title["x"]
    await visitor.page.click(CLOSE)
    reminder = await visitor.page.wait_for_selector(REMINDER)
    box = await reminder.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] > 1200


async def test_the_form_in_all_types_fits_its_buttons(shop: Shop) -> None:
    await shop.configure(consent_types=ALL_TYPES)
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    assert await visitor.page.get_by_role("switch").count() == 7
    box = await visitor.page.locator(AGREE).bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 800


async def test_the_synchronous_snippet_in_the_head_shows_the_form_too(shop: Shop) -> None:
    script = f'<script src="{shop.service_url}/containers/{shop.app.app_id}.sync.js"></script>'
    shop.page(head=script, snippet="")
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    assert await visitor.page.locator(FORM).count() == 1
    await visitor.page.click(AGREE)
    assert await visitor.statuses() == dict.fromkeys(TYPES, 1)
    assert visitor.errors == []


async def test_a_page_that_lays_out_its_body_as_a_grid_keeps_its_gaps(shop: Shop) -> None:
    shop.page(
        style="body { display: grid; gap: 50px; grid-template-rows: 1fr auto } div { padding: 40px }"
    )
    visitor = await shop.visitor()
    await visitor.set_cookie(privacy_cookie({name: _given(1) for name in TYPES}))
    await visitor.context.route("**/privacy-templates.json*", lambda route: route.abort())
    await visitor.open()
    before = await visitor.page.evaluate("document.body.getBoundingClientRect().height")
    await visitor.context.unroute_all()
    await visitor.open()
    await visitor.page.wait_for_selector(REMINDER)
    await visitor.page.evaluate("ppms.cm.api('openConsentForm')")
    await visitor.page.wait_for_selector(FORM)
    assert await visitor.page.evaluate("document.body.getBoundingClientRect().height") == before
