"""A strict Content-Security-Policy holds, without more sources than the service and a nonce."""

import asyncio

import pytest
from playwright.async_api import Route

from tests.browser.consent_pages import AGREE, FORM, REMINDER, Shop, Visitor

NONCE = "nceIOfn39fn3e9h3sd"
#: Contract E6.4: of the product documentation, and the stricter one of its newer version.
OLD = (
    "default-src 'self'; script-src 'self' {service} 'nonce-{nonce}'; connect-src 'self' {service}; "
    "img-src 'self' {service}; font-src 'self'; style-src 'self' {service} 'nonce-{nonce}'"
)
NEW = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; connect-src {service}; "
    "style-src 'nonce-{nonce}'"
)
WATCH = """window.violations = [];
document.addEventListener("securitypolicyviolation", event => violations.push([event.violatedDirective, event.blockedURI]));"""
WIDGETS = '<div id="ppms_cm_privacy_settings"></div><div id="ppms_cm_data_subject"></div>'


def _policy(shop: Shop, policy: str) -> dict[str, str]:
    text = policy.format(service=shop.service_url, nonce=NONCE)
    return {"Content_Security_Policy": text}


async def _walk_through(visitor: Visitor) -> None:
    """Form, decision, note, reminder and widgets, all styled."""
    await visitor.page.wait_for_selector(FORM)
    assert (
        await visitor.page.eval_on_selector(AGREE, "one => getComputedStyle(one).color")
        == "rgb(255, 255, 255)"
    )
    await visitor.page.click(AGREE)
    note = await visitor.page.wait_for_selector("#ppms_consent_form_success_note")
    assert await note.evaluate("one => getComputedStyle(one).position") == "fixed"
    reminder = await visitor.page.wait_for_selector(REMINDER)
    assert await reminder.evaluate("one => getComputedStyle(one).position") == "fixed"
    await visitor.page.wait_for_selector("#ppms_cm_privacy_settings_button")
    await visitor.page.wait_for_selector("#ppms_cm_data_subject_form")
    await visitor.delivered()
    assert await visitor.page.evaluate("violations") == []
    assert visitor.errors == []
    inline = "document.querySelectorAll('.ppms_cm_root [style], .ppms_cm_root [onclick], [style]').length"
    assert await visitor.page.evaluate(inline) == 0


@pytest.mark.parametrize(("policy", "is_new"), [(OLD, False), (NEW, True)])
@pytest.mark.parametrize("position", ["popup", "bar"])
async def test_a_strict_policy_is_kept(
    shop: Shop, *, policy: str, is_new: bool, position: str
) -> None:
    await shop.configure(position=position, languages=["en", "de"])
    snippet = shop.snippet(nonce=NONCE, is_new=is_new)
    shop.page(nonce=NONCE, snippet=snippet, body=WIDGETS, headers=_policy(shop, policy))
    visitor = await shop.visitor()
    await visitor.context.add_init_script(WATCH)

    async def answer_later(route: Route) -> None:
        # So that it must be waited for.
        await asyncio.sleep(0.3)
        await route.continue_()

    await visitor.context.route("**/consent/collect", answer_later)
    await visitor.open()
    await _walk_through(visitor)


async def test_the_nonce_of_the_data_layer_is_the_last_resort(shop: Shop) -> None:
    """A script of the page's own origin, no element with a nonce."""
    policy = _policy(
        shop,
        "default-src 'none'; script-src 'self' {service}; connect-src {service}; style-src 'nonce-{nonce}'",
    )
    address = f"{shop.service_url}/containers/{shop.app.app_id}.js"
    shop.site.put(f'window.dataLayer = [{{nonce: "{NONCE}"}}]', "/layer.js")
    shop.page(
        snippet=f'<script src="/layer.js"></script><script src="{address}"></script>',
        body=WIDGETS,
        headers=policy,
    )
    visitor = await shop.visitor()
    await visitor.context.add_init_script(WATCH)
    await visitor.page.route(
        "**/layer.js",
        lambda route: route.fulfill(
            body=f'window.dataLayer = [{{nonce: "{NONCE}"}}]', content_type="text/javascript"
        ),
    )
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    assert (
        await visitor.page.eval_on_selector(AGREE, "one => getComputedStyle(one).color")
        == "rgb(255, 255, 255)"
    )
    await visitor.page.get_by_role("combobox", name="Kind of request").wait_for()
    blocked = await visitor.page.evaluate(
        "violations.filter(one => one[1] === 'inline').map(one => one[0])"
    )
    # The page's own style, and the widget's script, which the policy has no nonce for (E6.3): the native choice stays.
    assert sorted(set(blocked)) == ["script-src-elem", "style-src-elem"]
    assert len(blocked) == 2
    assert await visitor.page.is_visible("#ppms_cm_data_subject_form_select")


async def test_the_widgets_of_a_custom_form_keep_the_policy_too(shop: Shop) -> None:
    await shop.configure_app(customConsentForm=True)
    shop.page(nonce=NONCE, body=WIDGETS, headers=_policy(shop, OLD))
    visitor = await shop.visitor()
    await visitor.context.add_init_script(WATCH)
    await visitor.open()
    button = await visitor.page.wait_for_selector("#ppms_cm_privacy_settings_button")
    assert await button.evaluate("one => getComputedStyle(one).color") == "rgb(255, 255, 255)"
    assert await visitor.page.evaluate("violations") == []
