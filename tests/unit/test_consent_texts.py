"""The ready-made texts are complete, and templates show them."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consent.forms import container
from consent.forms.consent_types import CONSENT_TYPES
from consent.forms.settings import ConsentSettings
from consent.forms.templates import fill_template
from consent.forms.texts import (
    READY_MADE_LANGUAGES,
    TEXT_SLOTS,
    ready_made_texts,
    text_version,
)

APP = "01234567-89ab-cdef-0123-456789abcdef"
SOURCES = Path(__file__).parents[2] / "static" / "consent_templates"
TEMPLATES = {
    key: container.TemplateSource((SOURCES / f"{key}.html").read_text("utf-8"), "")
    for key in container.TEMPLATE_KEYS
}
TEXTS = {language: ready_made_texts(language) for language in READY_MADE_LANGUAGES}


@pytest.mark.parametrize("language", READY_MADE_LANGUAGES)
def test_ready_made_texts_have_every_slot(language: str) -> None:
    texts = ready_made_texts(language)
    assert texts.keys() == TEXT_SLOTS.keys()
    for text_key, version in texts.items():
        assert set(version.content) == set(TEXT_SLOTS[text_key]), text_key
        for slot, text in version.content.items():
            assert text == text.strip(), slot
            assert text, slot


def test_no_ready_made_text_is_left_in_another_language() -> None:
    for text_key, slots in TEXT_SLOTS.items():
        for slot in slots:
            found = [TEXTS[language][text_key].content[slot] for language in TEXTS]
            is_long = all(len(text) > 25 for text in found)
            assert not is_long or len(set(found)) == len(found)


def test_a_ready_made_version_is_named_by_its_wording() -> None:
    ids = [version.history_id for texts in TEXTS.values() for version in texts.values()]
    assert len(set(ids)) == len(ids)
    first = ready_made_texts("en")["analytics"]
    changed = text_version(first.history_id, "en", "analytics", {**first.content, "label": "Else"})
    assert changed.sha256 != first.sha256
    assert re.fullmatch(r"[0-9a-f]{64}", first.sha256)


def test_every_template_is_filled_in_every_language() -> None:
    settings = ConsentSettings(
        APP,
        consent_types=CONSENT_TYPES,
        languages=READY_MADE_LANGUAGES,
        privacy_policy_url="https://shop.example/privacy?a=1&b=2",
    )
    found = container.templates(settings, TEXTS, TEMPLATES)
    assert found.keys() == set(container.TEMPLATE_KEYS)
    for by_language in found.values():
        assert by_language.keys() == set(READY_MADE_LANGUAGES)
        for template in by_language.values():
            assert "{{" not in template["html"]
            assert template["templateHistory"]
    form = found["extended_consent_form"]["de"]
    assert form["configuration"] == {"enabled": True, "consentType": None, "position": "popup"}
    assert form["templateHistory"].keys() == {"intro", *CONSENT_TYPES}
    assert form["html"].count('role="switch"') == 7
    assert 'href="https://shop.example/privacy?a=1&amp;b=2"' in form["html"]
    assert '<option value="fr" lang="fr">Français</option>' in form["html"]
    simple = found["simple_consent_form"]["de"]
    assert (simple["configuration"]["enabled"], simple["html"], simple["styles"]) == (False, "", "")


def test_one_type_gets_the_simple_form() -> None:
    settings = ConsentSettings(APP, consent_types=("remarketing",), position="bar")
    found = container.templates(settings, {"en": TEXTS["en"]}, TEMPLATES)
    simple = found["simple_consent_form"]["en"]
    assert simple["configuration"] == {
        "enabled": True,
        "consentType": "remarketing",
        "position": "bar",
    }
    assert simple["templateHistory"].keys() == {"intro", "remarketing"}
    assert "href" not in simple["html"]
    assert found["extended_consent_form"]["en"]["configuration"]["enabled"] is False


def test_a_form_of_its_own_or_a_switched_off_app_shows_no_built_in_form() -> None:
    for settings, has_widgets in (
        (ConsentSettings(APP, consent_types=("analytics",), is_custom_form=True), True),
        (ConsentSettings(APP, consent_types=("analytics",), is_enabled=False), False),
    ):
        found = container.templates(settings, {"en": TEXTS["en"]}, TEMPLATES)
        enabled = {key: by["en"]["configuration"]["enabled"] for key, by in found.items()}
        for key in container.TEMPLATE_KEYS:
            assert enabled[key] is (has_widgets and key in container.WIDGET_KEYS), key


def test_filled_in_text_is_escaped_and_not_filled_again() -> None:
    template = "{{a}}{{#list}}<i>{{b}}{{a}}</i>{{/list}}{{#no}}x{{/no}}{{#a}}!{{/a}}"
    values = {"a": "{{b}}<&\"'", "list": [{"b": "{{a}}"}, {"b": "{{#list}}"}], "no": None}
    a = "{{b}}&lt;&amp;&quot;&#x27;"
    assert fill_template(template, values) == f"{a}<i>{{{{a}}}}{a}</i><i>{{{{#list}}}}{a}</i>!"


def test_the_script_carries_the_configuration() -> None:
    settings = ConsentSettings(
        APP,
        consent_types=("analytics",),
        cookie_domains=("</script>",),
        has_consent_mode=True,
        ask_again_at={"analytics": datetime(2026, 11, 25, 10, 0, 0, 5000, UTC)},
    )
    script = container.container_script(
        "use(ppmsConfig)\n", container.container_configuration(settings, "other")
    )
    found = re.fullmatch(r"\(function\(ppmsConfig\)\{use\(ppmsConfig\)\n\}\)\((.*)\);\n", script)
    assert found is not None
    assert "</" not in found[1]
    configuration = json.loads(found[1])
    assert configuration["dataLayer"] == "other"
    assert configuration["cookieDomains"] == ["</script>"]
    assert configuration["askAgain"] == {"analytics": "2026-11-25T10:00:00.005Z"}
    assert configuration["consentMode"]["analytics_storage"] == "analytics"
