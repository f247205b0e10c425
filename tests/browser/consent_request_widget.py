"""The data subject request widget on a page (contract E4): filled by the container, or pasted whole."""

from typing import Any

from tests.browser.consent_pages import TYPES, Shop, Visitor, privacy_cookie
from tests.browser.waiting import until

#: The element as contract E4.1 has it.
WRAPPER = (
    '<div id="ppms_cm_data_subject" class="ppms_cm_data_subject_widget__wrapper"'
    ' data-editor-centralize="true" data-main-container="true" data-root="true">%s</div>'
)
FORM = "#ppms_cm_data_subject_form"
EMAIL, MESSAGE, SUBMIT = f"{FORM}_input", f"{FORM}_textarea", f"{FORM}_submit"
BUTTON, LIST = f"{FORM}_select_btn", f"{FORM}_select_extendable"
SUCCESS, FAILURE = "#ppms_cm_data_subject_confirmation_note", "#ppms_cm_data_subject_failure_note"
REQUEST_TYPES = ("view_data", "delete_data", "change_data")


def item(number: int) -> str:
    """The selector of an option, from 1."""
    return f"{FORM}_select_extended_item_{number}"


async def markup(shop: Shop, language: str = "en", nonce: str = "") -> str:
    """The whole widget as a page has it that pastes it from privacy-widgets.json."""
    path = f"/containers/{shop.app.app_id}/privacy-widgets.json?language={language}"
    answer = await shop.app.service.get(path)
    html: str = (await answer.json())["data_subject_request"][language]["html"]
    assert html.count("<script>") == 1
    return WRAPPER % (html.replace("<script>", f'<script nonce="{nonce}">') if nonce else html)


async def open_widget(shop: Shop, body: str = WRAPPER % "", **options: Any) -> Visitor:
    """A visitor who decided already, on a page with the widget. options: of the browser's context."""
    await shop.configure(has_reminder=False)
    if body:
        shop.page(body=body)
    visitor = await shop.visitor(**options)
    await visitor.set_cookie(privacy_cookie({name: {"status": 0} for name in TYPES}))
    await visitor.open()
    await visitor.page.locator(FORM).wait_for()
    await until(visitor.page, "typeof sendUserDataSubjectRequest === 'function'")
    return visitor


async def state(visitor: Visitor) -> dict[str, Any]:
    """What the select shows and what would be sent: is_open, active, chosen, text, sent."""
    found: dict[str, Any] = await visitor.page.evaluate(
        """prefix => {
            const find = name => document.querySelector(prefix + "_select" + name);
            const button = find("_btn"), items = [...find("_extendable").children];
            const at = name => items.findIndex(item => item.matches(name)) + 1;
            return {
                is_open: button.getAttribute("aria-expanded") === "true",
                active: button.getAttribute("aria-activedescendant").slice(-1),
                chosen: at("[aria-selected=true]"),
                text: find("_btn_text").textContent,
                sent: new FormData(document.querySelector(prefix)).get("event"),
            };
        }""",
        FORM,
    )
    return found


async def refuse_requests(visitor: Visitor, status: int = 503) -> None:
    """The service answers what is sent with a status."""
    await visitor.context.route(
        "**/consent/collect", lambda route: route.fulfill(status=status, body="busy")
    )


async def stored_requests(shop: Shop) -> list[dict[str, Any]]:
    """The app's data subject requests as a team lists them, oldest first."""
    status, body = await shop.authorized.get(
        "/api/privacy/v1/requests", params={"website_id": shop.app.app_id}
    )
    assert status == 200, body
    return [one["attributes"] for one in reversed(body["data"])]
