"""What the container of an app consists of: its script, its configuration and its templates.

Pure: standard library only. The shapes are those of `static/consent_templates/README.md`, which the
browser's side is written against, and of contract L6.

`GET /containers/<app>.js` answers `(function(ppmsConfig){<script>})(<configuration>);` with the
built script `consent-form.min.js`, or `consent-commands.min.js` for an app with a form of its own.

`GET /containers/<app>/privacy-templates.json` (`privacy-widgets.json` with a form of its own)
answers {key: {language: {"html", "styles", "configuration", "templateHistory"}}}, all languages or
the one of `?language=`, then of `privacy-templates.json` only the common keys.
templateHistory: {type or `intro` or the key of a widget's own text:
historyId} of the texts in `html`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consent.forms.consent_types import CONSENT_MODE_SIGNALS
from consent.forms.settings import ConsentSettings
from consent.forms.templates import fill_template
from consent.forms.texts import (
    CONSENT_FORM_LINK,
    DATA_SUBJECT_REQUEST,
    DATA_SUBJECT_REQUEST_CONFIRMATION,
    DATA_SUBJECT_REQUEST_FAILURE,
    INTRO,
    LANGUAGE_NAMES,
    REMINDER_WIDGET,
    SUCCESS_NOTE,
    TextVersion,
)

DEFAULT_DATA_LAYER_NAME = "dataLayer"

SIMPLE_CONSENT_FORM = "simple_consent_form"
EXTENDED_CONSENT_FORM = "extended_consent_form"
FORM_KEYS = (SIMPLE_CONSENT_FORM, EXTENDED_CONSENT_FORM)
WIDGET_KEYS = (
    CONSENT_FORM_LINK,
    DATA_SUBJECT_REQUEST,
    DATA_SUBJECT_REQUEST_CONFIRMATION,
    DATA_SUBJECT_REQUEST_FAILURE,
)
TEMPLATE_KEYS = (*FORM_KEYS, SUCCESS_NOTE, REMINDER_WIDGET, *WIDGET_KEYS)
#: What any page may need; the data request form is for the few pages that have it.
COMMON_KEYS = (*FORM_KEYS, SUCCESS_NOTE, REMINDER_WIDGET, CONSENT_FORM_LINK)

#: {text key: version} in one language: the app's published texts, ready-made ones for the rest.
Texts = Mapping[str, TextVersion]
Template = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """A built template: its markup with placeholders and its style sheet."""

    html: str
    styles: str


def container_configuration(
    settings: ConsentSettings, data_layer_name: str = DEFAULT_DATA_LAYER_NAME
) -> dict[str, Any]:
    """The configuration that the container's script gets."""
    configuration: dict[str, Any] = {
        "appId": settings.app_id,
        "dataLayer": data_layer_name,
        "enabled": settings.is_enabled,
        "types": list(settings.consent_types),
        "languages": list(settings.languages),
        "defaultLanguage": settings.default_language,
        "cookieDomains": list(settings.cookie_domains),
        "cookieSeconds": settings.cookie_period_seconds,
        "staleSeconds": settings.stale_period_seconds,
        "validSeconds": settings.decision_period_seconds,
        "askAgain": {
            consent_type: javascript_moment(moment)
            for consent_type, moment in settings.ask_again_at.items()
        },
        "gpc": settings.is_gpc_honoured,
    }
    if settings.has_consent_mode:
        configuration["consentMode"] = dict(CONSENT_MODE_SIGNALS)
    return configuration


def container_script(script: str, configuration: Mapping[str, Any]) -> str:
    """The built script with its configuration; `<` is escaped, so that it can stand in a page."""
    literal = json.dumps(configuration, separators=(",", ":")).replace("<", "\\u003c")
    return f"(function(ppmsConfig){{{script.strip()}\n}})({literal});\n"


def templates(
    settings: ConsentSettings,
    texts: Mapping[str, Texts],
    sources: Mapping[str, TemplateSource],
    keys: Sequence[str] = TEMPLATE_KEYS,
) -> dict[str, dict[str, Template]]:
    """{key: {language: template}} of the languages in `texts`; sources: {key: built template}."""
    return {
        key: {
            language: _template(settings, key, versions, sources[key])
            for language, versions in texts.items()
        }
        for key in keys
    }


def javascript_moment(moment: datetime) -> str:
    """The moment as JavaScript's toISOString writes it."""
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _template(
    settings: ConsentSettings, key: str, versions: Texts, source: TemplateSource
) -> Template:
    asked = settings.consent_types[:1] if key == SIMPLE_CONSENT_FORM else settings.consent_types
    shown = (INTRO, *asked) if key in FORM_KEYS else (key,)
    is_built_in = settings.is_enabled and not settings.is_custom_form
    configuration: dict[str, Any] = {
        "enabled": {
            SIMPLE_CONSENT_FORM: is_built_in and len(settings.consent_types) == 1,
            EXTENDED_CONSENT_FORM: is_built_in and len(settings.consent_types) > 1,
            SUCCESS_NOTE: is_built_in,
            REMINDER_WIDGET: is_built_in and settings.has_reminder,
        }.get(key, settings.is_enabled),
        "consentType": asked[0] if key == SIMPLE_CONSENT_FORM and asked else None,
    }
    if key in FORM_KEYS:
        configuration["position"] = settings.position
    if key == REMINDER_WIDGET:
        configuration["afterDecision"] = settings.is_reminder_kept
    return {
        # What is off is never shown: the visitor need not fetch it.
        "html": fill_template(source.html, _values(settings, key, versions, asked))
        if configuration["enabled"]
        else "",
        "styles": source.styles if configuration["enabled"] else "",
        "configuration": configuration,
        "templateHistory": {name: versions[name].history_id for name in shown},
    }


def _values(
    settings: ConsentSettings, key: str, versions: Texts, asked: Sequence[str]
) -> dict[str, Any]:
    if key not in FORM_KEYS:
        return dict(versions[key].content)
    types = [{"type": name, **versions[name].content} for name in asked]
    offered = [
        {"code": code, "name": LANGUAGE_NAMES.get(code, code)} for code in settings.languages
    ]
    first = types[0] if types else {"type": "", "label": "", "description": ""}
    return {
        **first,
        **versions[INTRO].content,
        "privacy_policy_url": settings.privacy_policy_url,
        "languages": offered,
        "types": types,
    }
