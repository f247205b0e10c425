"""What a visitor's browser fetches, as the service sends it."""

import gzip

from consent.forms.texts import READY_MADE_LANGUAGES
from tests.browser.consent_pages import ALL_TYPES, Shop

KILOBYTE = 1024


async def _bytes(shop: Shop, path: str) -> int:
    answer = await shop.app.service.get(path)
    assert answer.status == 200
    return len(gzip.compress(await answer.read(), 9))


async def test_script_form_widgets_styles_and_one_language_take_twelve_kilobytes(
    shop: Shop,
) -> None:
    await shop.configure(
        consent_types=ALL_TYPES, languages=list(READY_MADE_LANGUAGES), has_consent_mode=True
    )
    folder = f"/containers/{shop.app.app_id}"
    script = await _bytes(shop, f"{folder}.js")
    for language in READY_MADE_LANGUAGES:
        texts = await _bytes(shop, f"{folder}/privacy-templates.json?language={language}")
        assert script + texts <= 12 * KILOBYTE, f"{language}: {script} + {texts}"
