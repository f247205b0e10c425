"""The data subject request widget: the DOM that pages rely on, and its whole use (contract E4, E6.3)."""

from pathlib import Path
from typing import Any

import pytest

from consent.forms.texts import DATA_SUBJECT_REQUEST, READY_MADE_LANGUAGES, ready_made_texts
from tests.browser.consent_pages import Shop
from tests.browser.consent_request_widget import (
    BUTTON,
    EMAIL,
    FAILURE,
    FORM,
    LIST,
    MESSAGE,
    REQUEST_TYPES,
    SUBMIT,
    SUCCESS,
    WRAPPER,
    item,
    markup,
    open_widget,
    refuse_requests,
    stored_requests,
)
from tests.browser.waiting import until

NONCE = "nceIOfn39fn3e9h3sd"
#: Contract E4.1-E4.4: element, id, classes, attributes.
DOM = """
div#ppms_cm_data_subject.ppms_cm_data_subject_widget__wrapper[data-editor-centralize=true][data-main-container=true][data-root=true]
 h3#ppms_cm_data_subject_header.header3
 p#ppms_cm_data_subject_paragraph.paragraph
 form#ppms_cm_data_subject_form.ppms_cm_data_subject_form[data-disable-select=true]
  label#ppms_cm_data_subject_form_label
  input#ppms_cm_data_subject_form_input[type=email][name=email][required]
  label#ppms_cm_data_subject_form_label_request_type
  div#ppms_cm_data_subject_form_select_wrapper[data-select-name=event]
   div#ppms_cm_data_subject_form_select_btn.ppms_select_component_btn
    span#ppms_cm_data_subject_form_select_btn_text
   div#ppms_cm_data_subject_form_select_extendable.ppms_select_component_extendable
    div#ppms_cm_data_subject_form_select_extended_item_1.ppms_select_component_extended_item.ppms_select_component_extended_item-active[data-value=view_data]
    div#ppms_cm_data_subject_form_select_extended_item_2.ppms_select_component_extended_item[data-value=delete_data]
    div#ppms_cm_data_subject_form_select_extended_item_3.ppms_select_component_extended_item[data-value=change_data]
   select[name=event][hidden][aria-hidden=true]
  label#ppms_cm_data_subject_form_label_textarea
  textarea#ppms_cm_data_subject_form_textarea[name=message]
  input#ppms_cm_data_subject_form_submit[type=submit]
 script
"""


def _children(line: str, text: str) -> list[str]:
    """The lines one deeper than the line, below it."""
    lines = text.strip("\n").split("\n")
    depth = len(line) - len(line.lstrip(" "))
    found = []
    for below in lines[lines.index(line) + 1 :]:
        deep = len(below) - len(below.lstrip(" "))
        if deep <= depth:
            break
        if deep == depth + 1:
            found.append(below)
    return found


@pytest.mark.parametrize("is_custom", [False, True])
@pytest.mark.parametrize("is_pasted", [False, True])
async def test_the_dom_is_what_styles_and_scripts_of_pages_rely_on(
    shop: Shop, *, is_pasted: bool, is_custom: bool
) -> None:
    await shop.configure_app(customConsentForm=is_custom)
    body = await markup(shop) if is_pasted else WRAPPER % ""
    visitor = await open_widget(shop, body)
    for line in DOM.strip("\n").split("\n"):
        # Each is there once, with all that is named; those below it are its children in this order.
        one = line.strip() if line[0] != " " else f"#ppms_cm_data_subject {line.strip()}"
        assert await visitor.page.locator(one).count() == 1, line
        children = [below.strip() for below in _children(line, DOM)]
        order = await visitor.page.evaluate(
            "([one, below]) => { const all = [...document.querySelector(one).children];"
            " return below.map(child => all.findIndex(node => node.matches(child))) }",
            [one, children],
        )
        assert order == sorted(set(order)), (line, order)
        assert -1 not in order, (line, children)
    for attributes in ("[style]", "[onclick]", "[onsubmit]", "[onreset]"):
        assert await visitor.page.locator(f"#ppms_cm_data_subject {attributes}").count() == 0
    assert visitor.errors == []


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_by_keyboard_alone_a_request_arrives_with_its_type(shop: Shop, number: int) -> None:
    visitor = await open_widget(shop)
    keyboard = visitor.page.keyboard
    await visitor.page.focus("[href='#second']")
    await keyboard.press("Tab")
    await keyboard.type("jane@example.com")
    await keyboard.press("Tab")
    await keyboard.press("Enter")
    for _ in range(number - 1):
        await keyboard.press("ArrowDown")
    await keyboard.press("Enter")
    await keyboard.press("Tab")
    await keyboard.type("All of it.")
    await keyboard.press("Tab")
    assert await visitor.page.evaluate("document.activeElement.id") == SUBMIT[1:]
    await keyboard.press("Enter")
    note = visitor.page.locator(SUCCESS)
    await note.wait_for()
    assert "Your request was sent." in await note.inner_text()
    (request,) = await stored_requests(shop)
    assert request["request_type"] == REQUEST_TYPES[number - 1]
    assert (request["email"], request["content"]) == ("jane@example.com", "All of it.")
    assert request["status"] == "unverified"
    for selector in (EMAIL, MESSAGE):
        assert await visitor.page.input_value(selector) == ""
    assert await visitor.page.inner_text(f"{BUTTON}_text") == "See my data", "back to the first"
    await keyboard.press("Tab")
    await keyboard.press("Enter")
    assert await note.count() == 0
    assert await visitor.page.evaluate("document.activeElement.id") == SUBMIT[1:]
    assert visitor.errors == []


WATCH_STATUS = """form => {
    const status = document.querySelector(form + " [role=status]");
    window.status_said = [];
    window.status_before = [status.isConnected, status.textContent.trim(), getComputedStyle(status).display];
    new MutationObserver(() => status_said.push(status.innerText.trim())).observe(status, {childList: true, subtree: true});
}"""


@pytest.mark.parametrize("status", [503, 429, 0])
async def test_what_the_service_does_not_take_is_told_and_announced(
    shop: Shop, status: int
) -> None:
    visitor = await open_widget(shop)
    if status:
        await refuse_requests(visitor, status)
    else:
        await visitor.context.route("**/consent/collect", lambda route: route.abort())
    # A live region that was there before, empty: only then it is read out when something comes in.
    await visitor.page.evaluate(WATCH_STATUS, FORM)
    assert await visitor.page.evaluate("status_before") == [True, "", "block"]
    await visitor.page.fill(EMAIL, "jane@example.com")
    await visitor.page.fill(MESSAGE, "All of it.")
    await visitor.page.click(BUTTON)
    await visitor.page.click(item(3))
    await visitor.page.click(SUBMIT)
    failure = visitor.page.get_by_role("status").locator(FAILURE)
    await failure.wait_for()
    assert "Your request could not be sent." in await failure.inner_text()
    said = await visitor.page.evaluate("status_said")
    assert "Your request could not be sent." in said[-1]
    assert await visitor.page.input_value(EMAIL) == "jane@example.com", (
        "nothing has to be typed again"
    )
    assert await visitor.page.inner_text(f"{BUTTON}_text") == "Correct my data"
    # The same again is announced again: the region was empty in between.
    await visitor.page.click(SUBMIT)
    await until(visitor.page, "status_said.length > 2")
    assert "" in await visitor.page.evaluate("status_said")
    await failure.wait_for()
    await failure.get_by_role("button").focus()
    await visitor.page.keyboard.press("Enter")
    assert await failure.count() == 0
    assert await visitor.page.evaluate("document.activeElement.id") == SUBMIT[1:]
    await visitor.context.unroute_all()
    await visitor.page.keyboard.press("Enter")
    await visitor.page.locator(SUCCESS).wait_for()
    assert [one["request_type"] for one in await stored_requests(shop)] == ["change_data"]
    assert visitor.errors == []


@pytest.mark.parametrize("email", ["", "jane", "jane@", "jane@example", "jane doe@example.com"])
async def test_an_invalid_email_is_told_at_the_field_and_not_sent(shop: Shop, email: str) -> None:
    visitor = await open_widget(shop)
    await visitor.page.fill(EMAIL, email)
    await visitor.page.click(SUBMIT)
    await visitor.page.wait_for_timeout(300)
    assert await visitor.page.evaluate("document.activeElement.id") == EMAIL[1:]
    assert await visitor.page.eval_on_selector(EMAIL, "one => one.validationMessage")
    assert await visitor.page.locator(f"{SUCCESS}, {FAILURE}").count() == 0
    assert [one for one in visitor.sent if one["event"] in REQUEST_TYPES] == []
    await visitor.page.fill(EMAIL, "jane@example.com")
    await visitor.page.click(SUBMIT)
    await visitor.page.locator(SUCCESS).wait_for()


async def test_an_email_that_only_the_service_refuses_gets_the_failure_note(shop: Shop) -> None:
    visitor = await open_widget(shop)
    await visitor.page.fill(EMAIL, "jane..doe@example.com")
    await visitor.page.click(SUBMIT)
    await visitor.page.locator(FAILURE).wait_for()
    assert await stored_requests(shop) == []


@pytest.mark.parametrize("language", READY_MADE_LANGUAGES)
async def test_five_languages_at_320_px(shop: Shop, language: str) -> None:
    await shop.configure(languages=list(READY_MADE_LANGUAGES))
    visitor = await open_widget(
        shop, locale=language, viewport={"width": 320, "height": 568}, has_touch=True
    )
    page = visitor.page
    texts = ready_made_texts(language)[DATA_SUBJECT_REQUEST].content
    for slot in ("email", "message"):
        assert await page.get_by_role("textbox", name=texts[slot], exact=True).count() == 1
    assert await page.get_by_role("button", name=texts["send"], exact=True).count() == 1
    combobox = page.get_by_role("combobox", name=texts["request_type"], exact=True)
    await combobox.click()
    options = await page.get_by_role("option").all_inner_texts()
    assert options == [texts[name] for name in REQUEST_TYPES]
    narrow = "document.documentElement.scrollWidth <= 320 && [...document.querySelectorAll('#ppms_cm_data_subject *')].every(one => one.getBoundingClientRect().right <= 320)"
    assert await page.evaluate(narrow)
    await page.get_by_role("option", name=texts["delete_data"], exact=True).click()
    await page.fill(EMAIL, "jane@example.com")
    await page.click(SUBMIT)
    await page.locator(SUCCESS).wait_for()
    assert await page.evaluate(narrow)
    assert await page.get_attribute("#ppms_cm_data_subject", "lang") == language
    (request,) = await stored_requests(shop)
    assert (request["request_type"], request["language"]) == ("delete_data", language)


async def test_from_right_to_left(shop: Shop) -> None:
    visitor = await open_widget(shop, viewport={"width": 320, "height": 568})
    await visitor.page.evaluate(
        "document.documentElement.dir = document.querySelector('#ppms_cm_data_subject').dir = 'rtl'"
    )
    await visitor.page.click(BUTTON)
    edges = await visitor.page.evaluate(
        "ids => ids.map(id => { const box = document.querySelector(id).getBoundingClientRect(); return [box.left, box.right] })",
        [BUTTON, f"{BUTTON}_text", LIST, item(1)],
    )
    (left, right), (text_left, text_right), list_edges, (_, item_right) = edges
    assert right - text_right < text_left - left, "the text begins at the right"
    assert list_edges == [left, right]
    assert item_right <= right
    assert await visitor.page.evaluate("document.documentElement.scrollWidth <= 320")


POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; connect-src {service}; "
    "style-src 'nonce-{nonce}'; form-action 'none'"
)
WATCH = """window.violations = [];
document.addEventListener("securitypolicyviolation", event => violations.push(event.violatedDirective));"""


async def _open_under_policy(shop: Shop, body: str) -> Any:
    headers = {"Content_Security_Policy": POLICY.format(service=shop.service_url, nonce=NONCE)}
    snippet = shop.snippet(nonce=NONCE, is_new=True)
    shop.page(
        nonce=NONCE,
        snippet=f'<script nonce="{NONCE}">{WATCH}</script>{snippet}',
        body=body,
        headers=headers,
    )
    return await open_widget(shop, "")


@pytest.mark.parametrize("is_custom", [False, True])
@pytest.mark.parametrize("is_pasted", [False, True])
async def test_a_request_is_sent_under_a_strict_policy_with_the_pages_nonce(
    shop: Shop, *, is_pasted: bool, is_custom: bool
) -> None:
    await shop.configure_app(customConsentForm=is_custom)
    body = await markup(shop, nonce=NONCE) if is_pasted else WRAPPER % ""
    visitor = await _open_under_policy(shop, body)
    await visitor.page.click(BUTTON)
    await visitor.page.click(item(2))
    await visitor.page.fill(EMAIL, "jane@example.com")
    await visitor.page.click(SUBMIT)
    await visitor.page.locator(SUCCESS).wait_for()
    assert [one["request_type"] for one in await stored_requests(shop)] == ["delete_data"]
    assert await visitor.page.evaluate("violations") == []
    assert visitor.errors == []


async def test_a_pasted_widget_with_our_styles_looks_like_a_filled_one(shop: Shop) -> None:
    path = f"/containers/{shop.app.app_id}/privacy-widgets.json?language=en"
    answer = await (await shop.app.service.get(path)).json()
    body = await markup(shop)
    body = body.replace('class="', 'class="ppms_cm_root ', 1)
    pasted = f"<style>{answer['data_subject_request']['en']['styles']}</style>{body}"
    boxes = []
    for page in (WRAPPER % "", pasted):
        visitor = await open_widget(shop, page)
        await visitor.page.click(BUTTON)
        boxes.append(
            [
                await visitor.page.locator(one).bounding_box()
                for one in (BUTTON, LIST, item(3), SUBMIT)
            ]
        )
    assert boxes[0] == boxes[1]


async def test_where_the_script_does_not_run_the_native_choice_sends(shop: Shop) -> None:
    """Pasted without the nonce: the policy stops the script, the container still sends."""
    visitor = await _open_under_policy(shop, await markup(shop))
    assert not await visitor.page.locator(BUTTON).is_visible()
    await visitor.page.get_by_role("combobox", name="Kind of request").select_option("change_data")
    await visitor.page.fill(EMAIL, "jane@example.com")
    await visitor.page.click(SUBMIT)
    await visitor.page.locator(SUCCESS).wait_for()
    assert [one["request_type"] for one in await stored_requests(shop)] == ["change_data"]


async def test_without_any_script_nothing_leaves_the_page(shop: Shop) -> None:
    shop.page(body=await markup(shop))
    visitor = await shop.visitor(java_script_enabled=False)
    await visitor.page.goto(shop.url())
    requests: list[str] = []
    visitor.page.on("request", lambda request: requests.append(request.url))
    assert not await visitor.page.locator(LIST).is_visible()
    choice = visitor.page.get_by_role("combobox", name="Kind of request")
    await choice.select_option("delete_data")
    await visitor.page.fill(EMAIL, "jane@example.com")
    await visitor.page.click(SUBMIT)
    await visitor.page.wait_for_timeout(300)
    assert requests == []
    assert visitor.page.url == shop.url(), "no address with the e-mail in it"


async def test_a_widget_rendered_again_works_again(shop: Shop) -> None:
    visitor = await open_widget(shop)
    await visitor.page.evaluate(
        "html => { const old = document.querySelector('#ppms_cm_data_subject');"
        " old.insertAdjacentHTML('afterend', html); old.remove() }",
        WRAPPER % "",
    )
    await visitor.page.click(BUTTON)
    await visitor.page.click(item(2))
    await visitor.page.fill(EMAIL, "jane@example.com")
    await visitor.page.click(SUBMIT)
    await visitor.page.locator(SUCCESS).wait_for()
    assert [one["request_type"] for one in await stored_requests(shop)] == ["delete_data"]
    assert visitor.errors == []


async def test_the_documented_skeleton_is_the_widget(shop: Shop) -> None:
    """The ids and classes of docs/consent.md are those on the page, no more and no fewer."""
    document = (Path(__file__).parents[2] / "docs" / "consent.md").read_text("utf-8")
    section = document.partition("## The data subject request widget")[2].partition("\n## ")[0]
    skeleton = section.partition("```html")[2].partition("```")[0]
    assert len(skeleton) > 1000
    visitor = await open_widget(shop)
    names = """html => {
        const root = new DOMParser().parseFromString(html, "text/html").querySelector("#ppms_cm_data_subject");
        const all = [root, ...root.querySelectorAll(":not(style)")];
        return all.map(one => [one.localName, one.id, [...one.classList].sort(), one.getAttribute("data-value")]);
    }"""
    documented = await visitor.page.evaluate(names, skeleton)
    real = await visitor.page.evaluate(
        names, await visitor.page.eval_on_selector("#ppms_cm_data_subject", "one => one.outerHTML")
    )
    for _, _, classes, _ in real:
        # What the text below names, and the root of all our styles.
        for changing in ("ppms_select_component_extended_item-active", "ppms_cm_root"):
            assert changing in section
            if changing in classes:
                classes.remove(changing)
    assert [one for one in real if one[0] != "option"] == documented
