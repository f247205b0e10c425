"""The consent form by keyboard, with small and zoomed screens, and without disturbing the page."""

from typing import Any

import pytest

from tests.browser.consent_pages import AGREE, CLOSE, FORM, REMINDER, Shop, Visitor


async def _active(visitor: Visitor) -> str:
    found: str = await visitor.page.evaluate(
        "document.activeElement.id || document.activeElement.value || document.activeElement.tagName"
    )
    return found


async def test_the_keyboard_stays_in_the_popup(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    assert await _active(visitor) == "ppms_cm_popup_wrapper", "no button is chosen beforehand"
    seen = []
    for _ in range(9):
        await visitor.page.keyboard.press("Tab")
        seen.append(await _active(visitor))
    inside = [
        "ppms_cm_close-popup",
        "A",
        "analytics",
        "conversion_tracking",
        "remarketing",
        "ppms_cm_reject-all",
        "ppms_cm_save-choices",
        "ppms_cm_agree-to-all",
    ]
    assert seen == [*inside, "ppms_cm_close-popup"]
    await visitor.page.keyboard.press("Shift+Tab")
    assert await _active(visitor) == "ppms_cm_agree-to-all"
    await visitor.page.evaluate("document.activeElement.blur()")
    await visitor.page.keyboard.press("Tab")
    assert await _active(visitor) == "ppms_cm_close-popup"
    await visitor.page.keyboard.press("Tab")
    await visitor.page.keyboard.press("Tab")
    await visitor.page.keyboard.press("Space")
    assert await visitor.page.get_by_role("switch", name="Analytics").is_checked()


async def test_the_popup_has_a_name_and_a_description(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    dialog = visitor.page.get_by_role("dialog", name="Your privacy choices")
    await dialog.wait_for()
    assert await dialog.get_attribute("aria-modal") == "true"
    described = await dialog.get_attribute("aria-describedby")
    assert "Nothing in this list happens" in await visitor.page.inner_text(f"#{described}")
    switch = visitor.page.get_by_role("switch", name="Remarketing")
    described = await switch.get_attribute("aria-describedby")
    assert "advertising services" in await visitor.page.inner_text(f"#{described}")


async def test_a_form_that_a_blocker_hides_does_not_lock_the_page(shop: Shop) -> None:
    shop.page(style="#ppms_cm_popup_overlay { display: none !important }")
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.wait_for_selector(FORM, state="attached")
    await visitor.page.keyboard.press("Tab")
    assert await _active(visitor) == "first"


async def test_the_bar_leaves_the_page_to_the_keyboard(shop: Shop) -> None:
    await shop.configure(position="bar")
    # Without the animation, which moves it.
    visitor = await shop.visitor(reduced_motion="reduce")
    await visitor.open()
    bar = visitor.page.get_by_role("dialog", name="Your privacy choices")
    await bar.wait_for()
    assert await bar.get_attribute("aria-modal") is None
    assert await _active(visitor) == "ppms_cm_popup_wrapper"
    await visitor.page.focus("#first")
    await visitor.page.keyboard.press("Escape")
    assert await bar.count() == 1, "Escape is the page's while the focus is there"
    await visitor.page.click("#first")
    box = await bar.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] == 800
    padding = await visitor.page.evaluate(
        "getComputedStyle(document.documentElement).scrollPaddingBottom"
    )
    assert float(padding.removesuffix("px")) == pytest.approx(box["height"], abs=1)
    await visitor.page.get_by_text("Choose by purpose").click()
    await visitor.page.get_by_role("switch", name="Analytics").check()
    await visitor.page.get_by_role("button", name="Save choices").click()
    assert (await visitor.statuses())["analytics"] == 1
    padding = await visitor.page.evaluate(
        "getComputedStyle(document.documentElement).scrollPaddingBottom"
    )
    assert padding == "auto"


@pytest.mark.parametrize("position", ["popup", "bar"])
async def test_nothing_on_the_page_moves(shop: Shop, position: str) -> None:
    await shop.configure(position=position)
    shop.page(body="<p>More.</p>" * 60)
    visitor = await shop.visitor(viewport={"width": 800, "height": 600})
    await visitor.page.add_init_script(
        """window.shifts = []; new PerformanceObserver(list => shifts.push(...list.getEntries().map(one => one.value)))
        .observe({type: "layout-shift", buffered: true});"""
    )
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    where = "[scrollY, document.documentElement.clientWidth, document.querySelector('h1').getBoundingClientRect().top]"
    during = await visitor.page.evaluate(where)
    await visitor.page.click(CLOSE)
    await visitor.page.wait_for_selector(REMINDER)
    await visitor.page.wait_for_timeout(300)
    assert await visitor.page.evaluate(where) == during
    assert await visitor.page.evaluate("shifts") == []


@pytest.mark.parametrize("position", ["popup", "bar"])
@pytest.mark.parametrize(
    "screen",
    [
        pytest.param({"viewport": {"width": 320, "height": 568}}, id="320 px"),
        pytest.param(
            {"viewport": {"width": 640, "height": 360}, "device_scale_factor": 2}, id="200 %"
        ),
        pytest.param(
            {"viewport": {"width": 320, "height": 256}, "device_scale_factor": 4}, id="400 %"
        ),
    ],
)
async def test_everything_can_be_reached_on_a_small_screen(
    shop: Shop, position: str, screen: dict[str, Any]
) -> None:
    await shop.configure(position=position, languages=["de", "en"], default_language="de")
    visitor = await shop.visitor(**screen, locale="de-DE")
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    assert await visitor.page.evaluate(
        "[...document.querySelectorAll('#ppms_cm_popup_overlay *')].every(one => one.scrollWidth <= Math.max(one.clientWidth, 0) + 1 || getComputedStyle(one).display === 'inline' || one.matches('select, input, option'))"
    )
    summary = visitor.page.locator("summary")
    if await summary.is_visible():
        await summary.click()
    for button in (CLOSE, "select", "text=Remarketing", "[role=switch] >> nth=2", AGREE):
        element = visitor.page.locator(FORM).locator(button).first
        await element.scroll_into_view_if_needed()
        box = await element.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= screen["viewport"]["width"]
        assert box["height"] >= 24 or button.startswith("text")
        await element.click(trial=True)


async def test_motion_only_for_those_who_like_it(shop: Shop) -> None:
    names = {}
    for motion in ("reduce", "no-preference"):
        visitor = await shop.visitor(reduced_motion=motion)
        await visitor.open()
        await visitor.page.wait_for_selector(FORM)
        names[motion] = await visitor.page.eval_on_selector(
            FORM, "one => getComputedStyle(one).animationName"
        )
    assert names == {"reduce": "none", "no-preference": "ppms_cm_rise"}


async def test_the_styles_of_the_page_end_at_the_form_and_ours_at_the_page(shop: Shop) -> None:
    plain = await shop.visitor(reduced_motion="reduce")
    await plain.open()
    await plain.page.wait_for_selector(FORM)
    shop.page(
        style="""button { font: italic 40px cursive; border-radius: 0; background: red; text-transform: uppercase; margin: 9px }
        h2, p, li, label, select, div, summary { color: lime; letter-spacing: 5px; float: left; line-height: 3 }
        * { box-sizing: content-box } input { width: 100%; display: block; margin: 20px }"""
    )
    hostile = await shop.visitor(reduced_motion="reduce")
    await hostile.open()
    await hostile.page.wait_for_selector(FORM)
    measure = """[...document.querySelectorAll('#ppms_cm_popup_overlay *')].map(one => {
        const box = one.getBoundingClientRect(), style = getComputedStyle(one);
        return [one.id || one.tagName, box.x, box.y, box.width, box.height, style.color, style.backgroundColor] })"""
    assert await hostile.page.evaluate(measure) == await plain.page.evaluate(measure)
    own = await hostile.page.evaluate("getComputedStyle(document.querySelector('main p')).color")
    assert own == "rgb(0, 255, 0)"


async def test_a_theme_is_a_few_custom_properties(shop: Shop) -> None:
    shop.page(
        style=":root { --ppms-cm-accent: #0a6b3d; --ppms-cm-radius: 0; --ppms-cm-font: monospace }"
    )
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    look = await visitor.page.eval_on_selector(
        AGREE,
        "one => { const s = getComputedStyle(one); return [s.backgroundColor, s.borderRadius, s.fontFamily] }",
    )
    assert look == ["rgb(10, 107, 61)", "0px", "monospace"]
    shop.page(head="<script>document.documentElement.dataset.ppmsCmScheme = 'light'</script>")
    dark = await shop.visitor(color_scheme="dark")
    await dark.open()
    await dark.page.wait_for_selector(FORM)
    assert (
        await dark.page.eval_on_selector(FORM, "one => getComputedStyle(one).backgroundColor")
        == "rgb(255, 255, 255)"
    )
