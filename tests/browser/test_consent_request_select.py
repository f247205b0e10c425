"""The data request widget's select: a combobox by keyboard, pointer and typing, and its hidden twin."""

from typing import Any

import pytest

from tests.browser.consent_pages import Shop, Visitor
from tests.browser.consent_request_widget import (
    BUTTON,
    FORM,
    LIST,
    REQUEST_TYPES,
    item,
    open_widget,
    state,
)

TEXTS = {
    "view_data": "See my data",
    "delete_data": "Delete my data",
    "change_data": "Correct my data",
}


def _shown(chosen: int, active: int = 0) -> dict[str, Any]:
    """The state with an option chosen; closed, or open with the keyboard at an option."""
    name = REQUEST_TYPES[chosen - 1]
    return {
        "is_open": active > 0,
        "active": str(active or ""),
        "chosen": chosen,
        "text": TEXTS[name],
        "sent": name,
    }


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", _shown(1)),
        ("ArrowDown", _shown(1, 1)),
        ("ArrowUp", _shown(1, 1)),
        ("Enter", _shown(1, 1)),
        ("Space", _shown(1, 1)),
        ("Alt+ArrowDown", _shown(1, 1)),
        ("Home", _shown(1, 1)),
        ("End", _shown(1, 3)),
        ("ArrowDown ArrowDown", _shown(1, 2)),
        ("ArrowDown ArrowDown Enter", _shown(2)),
        ("ArrowDown ArrowDown Space", _shown(2)),
        ("ArrowDown ArrowDown Tab", _shown(2)),
        ("ArrowDown ArrowDown Alt+ArrowUp", _shown(2)),
        ("ArrowDown ArrowDown Escape", _shown(1)),
        ("ArrowDown ArrowDown ArrowDown ArrowDown ArrowDown", _shown(1, 3)),
        ("End Enter ArrowUp", _shown(3, 3)),
        ("End Enter ArrowUp ArrowUp Enter", _shown(2)),
        ("End Home Enter", _shown(1)),
        ("End ArrowUp ArrowUp ArrowUp ArrowUp", _shown(1, 1)),
        ("End Enter Enter Escape", _shown(3)),
        ("Escape", _shown(1)),
        ("Tab", _shown(1)),
        ("Enter Enter Tab", _shown(1)),
        ("Control+d", _shown(1)),
        ("F2", _shown(1)),
        ("d", _shown(1, 2)),
        ("C Enter", _shown(3)),
        ("x", _shown(1, 1)),
    ],
)
async def test_keys(shop: Shop, keys: str, expected: dict[str, Any]) -> None:
    visitor = await open_widget(shop)
    await visitor.page.focus(BUTTON)
    for key in keys.split():
        await visitor.page.keyboard.press(key)
    assert await state(visitor) == expected
    at = await visitor.page.evaluate("document.activeElement.id")
    last = keys.split()[-1:] == ["Tab"]
    assert at == (f"{FORM}_textarea" if last else BUTTON).removeprefix("#")
    assert await visitor.page.locator(LIST).is_visible() == expected["is_open"]
    opened = await visitor.page.eval_on_selector(BUTTON, "one => one.className")
    assert opened.split() == ["ppms_select_component_btn", *["expanded"] * expected["is_open"]]
    marked = await visitor.page.locator(".ppms_select_component_extended_item-active").all()
    assert [await one.get_attribute("id") for one in marked] == [
        item(expected["chosen"] if not expected["is_open"] else int(expected["active"]))[1:]
    ]
    assert visitor.errors == []


async def _type(visitor: Visitor, text: str) -> str:
    """The text of the option that typing leads to; at one go, so that a slow machine makes no pause."""
    await visitor.page.evaluate(
        """text => [...text].forEach(key => document.activeElement.dispatchEvent(
            new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true})))""",
        text,
    )
    found: str = await visitor.page.inner_text(".ppms_select_component_extended_item-active")
    return found


async def test_typing_goes_round_by_one_letter_and_finds_a_text_by_its_beginning(
    shop: Shop,
) -> None:
    await shop.configure(languages=["de"], default_language="de")
    visitor = await open_widget(shop)
    await visitor.page.focus(BUTTON)
    see, delete, correct = "Meine Daten einsehen", "Meine Daten löschen", "Meine Daten berichtigen"
    assert await _type(visitor, "m") == delete
    assert await _type(visitor, "M") == correct
    assert await _type(visitor, "m") == see
    await visitor.page.wait_for_timeout(600)
    assert await _type(visitor, "meine daten b") == correct
    await visitor.page.wait_for_timeout(600)
    assert await _type(visitor, "Meine Daten L") == delete
    await visitor.page.wait_for_timeout(600)
    await visitor.page.keyboard.press("Space")
    assert (await state(visitor))["sent"] == "delete_data"


async def test_the_pointer_chooses_and_closes(shop: Shop) -> None:
    visitor = await open_widget(shop)
    await visitor.page.click(BUTTON)
    assert await state(visitor) == _shown(1, 1)
    await visitor.page.click(item(3))
    assert await state(visitor) == _shown(3)
    assert await visitor.page.evaluate("document.activeElement.id") == BUTTON[1:]
    await visitor.page.click(f"{BUTTON}_text")
    await visitor.page.keyboard.press("Home")
    await visitor.page.click("h1")
    assert await state(visitor) == _shown(3), "outside: closed, nothing chosen"
    await visitor.page.click(BUTTON)
    await visitor.page.click(BUTTON)
    assert await state(visitor) == _shown(3)
    await visitor.page.click(BUTTON)
    await visitor.page.evaluate("document.querySelector('#first').focus()")
    assert await state(visitor) == _shown(3), "the focus went elsewhere"
    await visitor.page.click(f"{FORM}_label_request_type")
    assert await visitor.page.evaluate("document.activeElement.id") == BUTTON[1:]
    # What scripts of pages do.
    await visitor.page.evaluate("id => document.querySelector(id).click()", item(2))
    assert await state(visitor) == _shown(2)


async def test_a_touch_chooses_and_closes(shop: Shop) -> None:
    visitor = await open_widget(shop, has_touch=True)
    await visitor.page.tap(BUTTON)
    await visitor.page.tap(item(2))
    # A tap returns before the click that the browser makes of it.
    await visitor.page.locator(LIST).wait_for(state="hidden")
    assert await state(visitor) == _shown(2)
    await visitor.page.tap(BUTTON)
    await visitor.page.tap("h1")
    assert await state(visitor) == _shown(2)


async def test_reset_goes_back_to_the_first_option(shop: Shop) -> None:
    visitor = await open_widget(shop)
    await visitor.page.focus(BUTTON)
    await visitor.page.keyboard.press("End")
    await visitor.page.keyboard.press("Enter")
    await visitor.page.keyboard.press("Enter")
    assert await state(visitor) == _shown(3, 3)
    await visitor.page.evaluate("id => document.querySelector(id).reset()", FORM)
    assert await state(visitor) == _shown(1)


async def test_screen_readers_get_a_combobox_with_its_options(shop: Shop) -> None:
    visitor = await open_widget(shop)
    label = "Kind of request"
    combobox = visitor.page.get_by_role("combobox", name=label, exact=True)
    assert await combobox.get_attribute("id") == BUTTON[1:]
    assert await combobox.get_attribute("aria-haspopup") == "listbox"
    assert await combobox.get_attribute("aria-controls") == LIST[1:]
    assert await visitor.page.get_by_role("listbox").count() == 0, "closed"
    assert await visitor.page.get_by_role("combobox").count() == 1, "the hidden select is none"
    await combobox.click()
    listbox = visitor.page.get_by_role("listbox", name=label, exact=True)
    options = listbox.get_by_role("option")
    assert await options.all_inner_texts() == list(TEXTS.values())
    assert await listbox.get_by_role("option", selected=True).all_inner_texts() == ["See my data"]
    for box in [combobox, *await options.all()]:
        place = await box.bounding_box()
        assert place is not None
        assert place["height"] >= 24


async def test_the_focus_and_the_active_option_can_be_seen(shop: Shop) -> None:
    for options in ({}, {"color_scheme": "dark"}, {"forced_colors": "active"}):
        visitor = await open_widget(shop, **options)
        await visitor.page.focus(f"{FORM}_input")
        await visitor.page.keyboard.press("Tab")
        outline = (
            "one => { const s = getComputedStyle(one); return [s.outlineStyle, s.outlineWidth] }"
        )
        assert await visitor.page.eval_on_selector(BUTTON, outline) == ["solid", "3px"]
        await visitor.page.keyboard.press("ArrowDown")
        await visitor.page.keyboard.press("ArrowDown")
        assert await visitor.page.eval_on_selector(item(2), outline) == ["solid", "2px"]
        assert (await visitor.page.eval_on_selector(item(1), outline))[0] == "none"


async def test_the_active_option_is_scrolled_into_view(shop: Shop) -> None:
    visitor = await open_widget(shop, viewport={"width": 320, "height": 256})
    await visitor.page.focus(BUTTON)
    await visitor.page.evaluate(
        "id => scrollBy(0, document.querySelector(id).getBoundingClientRect().bottom - innerHeight)",
        BUTTON,
    )
    await visitor.page.keyboard.press("End")
    bottom = "one => one.getBoundingClientRect().bottom <= innerHeight"
    assert await visitor.page.eval_on_selector(item(3), bottom)
