"""What a visitor's browser fetches, as the service sends it."""

import gzip

from consent.forms.texts import READY_MADE_LANGUAGES
from tests.browser.consent_pages import ALL_TYPES, Shop

KILOBYTE = 1024


async def _bytes(shop: Shop, path: str) -> int:
    answer = await shop.app.service.get(path)
    assert answer.status == 200
    return len(gzip.compress(await answer.read(), 9))


async def _ask_all(shop: Shop) -> None:
    await shop.configure(
        consent_types=ALL_TYPES, languages=list(READY_MADE_LANGUAGES), has_consent_mode=True
    )


async def test_script_form_settings_styles_and_one_language_take_twelve_kilobytes(
    shop: Shop,
) -> None:
    await _ask_all(shop)
    folder = f"/containers/{shop.app.app_id}"
    script = await _bytes(shop, f"{folder}.js")
    for language in READY_MADE_LANGUAGES:
        texts = await _bytes(shop, f"{folder}/privacy-templates.json?language={language}")
        assert script + texts <= 11.5 * KILOBYTE, f"{language}: {script} + {texts}"


async def test_the_data_request_form_takes_its_bytes_only_where_a_page_has_it(shop: Shop) -> None:
    await _ask_all(shop)
    folder = f"/containers/{shop.app.app_id}"
    for language in READY_MADE_LANGUAGES:
        widgets = await _bytes(shop, f"{folder}/privacy-widgets.json?language={language}")
        assert widgets <= 3.5 * KILOBYTE, f"{language}: {widgets}"
    visitor = await shop.visitor()
    fetched: list[str] = []
    visitor.page.on("request", lambda request: fetched.append(request.url))
    shop.page(body='<div id="ppms_cm_privacy_settings"></div>')
    await visitor.open()
    await visitor.page.wait_for_selector("#ppms_cm_privacy_settings_button")
    assert not [url for url in fetched if "privacy-widgets" in url]
    shop.page(body='<div id="ppms_cm_data_subject"></div>')
    await visitor.open()
    await visitor.page.wait_for_selector("#ppms_cm_data_subject_form")
    assert len([url for url in fetched if "privacy-widgets" in url]) == 1
