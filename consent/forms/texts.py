"""The texts of forms and widgets: which there are, the ready-made ones, and what a version is.

A text is everything a visitor reads under one key in one language. Its content is
{slot: plain text, no HTML}. Each version of a text has an id, the `historyId` of contract L5: a
decision names the versions that were on the screen, so that its wording can be proved.

Pure: standard library only. The ready-made texts are the files `ready_made/<language>.json`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from uuid import UUID, uuid5

from consent.forms.consent_types import CONSENT_TYPES

Content = Mapping[str, str]

INTRO = "intro"
SUCCESS_NOTE = "extended_consent_form_success_note"
REMINDER_WIDGET = "reminder_widget"
CONSENT_FORM_LINK = "consent_form_link"
DATA_SUBJECT_REQUEST = "data_subject_request"
DATA_SUBJECT_REQUEST_CONFIRMATION = "data_subject_request_confirmation_note"
DATA_SUBJECT_REQUEST_FAILURE = "data_subject_request_failure_note"

#: {text key: its slots}, named like the placeholders of the templates. `intro` is what every
#: consent form shows beside its types.
TEXT_SLOTS: dict[str, tuple[str, ...]] = {
    INTRO: (
        "title",
        "intro",
        "privacy_policy_label",
        "gpc_note",
        "purposes",
        "agree_to_all",
        "reject_all",
        "save_choices",
        "agree",
        "reject",
        "close",
        "language_label",
    ),
    **dict.fromkeys(CONSENT_TYPES, ("label", "description")),
    SUCCESS_NOTE: ("success_title", "success_text", "ok"),
    REMINDER_WIDGET: ("reminder_label", "reminder_text", "open_settings", "withdraw", "close"),
    CONSENT_FORM_LINK: ("settings_title", "settings_text", "open_settings"),
    DATA_SUBJECT_REQUEST: (
        "request_title",
        "request_text",
        "email",
        "request_type",
        "view_data",
        "change_data",
        "delete_data",
        "message",
        "send",
    ),
    DATA_SUBJECT_REQUEST_CONFIRMATION: ("request_sent_title", "request_sent_text", "ok"),
    DATA_SUBJECT_REQUEST_FAILURE: ("request_failed_title", "request_failed_text", "ok"),
}

#: Languages with ready-made texts; others are possible when an app publishes all of theirs.
READY_MADE_LANGUAGES = ("en", "de", "fr", "pl", "es")

#: {language: its name in the language itself}, of every language a form may be offered in.
LANGUAGE_NAMES = {
    "ar": "العربية",
    "bg": "Български",
    "ca": "Català",
    "cs": "Čeština",
    "da": "Dansk",
    "de": "Deutsch",
    "el": "Ελληνικά",
    "en": "English",
    "es": "Español",
    "et": "Eesti",
    "fi": "Suomi",
    "fr": "Français",
    "ga": "Gaeilge",
    "he": "עברית",
    "hr": "Hrvatski",
    "hu": "Magyar",
    "it": "Italiano",
    "ja": "日本語",
    "lt": "Lietuvių",
    "lv": "Latviešu",
    "mt": "Malti",
    "nl": "Nederlands",
    "no": "Norsk",
    "pl": "Polski",
    "pt": "Português",
    "ro": "Română",
    "sk": "Slovenčina",
    "sl": "Slovenščina",
    "sv": "Svenska",
    "tr": "Türkçe",
    "uk": "Українська",
    "zh": "中文",
}

# Names the version-5 UUIDs of ready-made texts; never changes.
_READY_MADE = UUID("0f6d9a3c-5b0e-5e52-9d0c-3a5c1f7a2b11")


@dataclass(frozen=True, slots=True)
class TextVersion:
    """One immutable version of a text. history_id: its UUID; sha256: of the canonical content."""

    history_id: str
    language: str
    text_key: str
    content: Content
    sha256: str


def canonical_content(language: str, text_key: str, content: Content) -> bytes:
    """The bytes whose SHA-256 stands for a version: sorted JSON without blanks, UTF-8."""
    document = {"content": dict(content), "language": language, "text_key": text_key}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def text_version(history_id: str, language: str, text_key: str, content: Content) -> TextVersion:
    """The version with its digest."""
    digest = hashlib.sha256(canonical_content(language, text_key, content)).hexdigest()
    return TextVersion(history_id, language, text_key, content, digest)


@cache
def ready_made_texts(language: str) -> Mapping[str, TextVersion]:
    """{text key: the ready-made version}; empty for a language without ready-made texts.

    The id of a ready-made version follows from its wording: the same in every installation, and
    another one as soon as a word changes.
    """
    if language not in READY_MADE_LANGUAGES:
        return {}
    source = files("consent.forms").joinpath("ready_made", f"{language}.json")
    contents: dict[str, dict[str, str]] = json.loads(source.read_text("utf-8"))
    return {
        text_key: text_version(
            str(uuid5(_READY_MADE, canonical_content(language, text_key, content).decode())),
            language,
            text_key,
            content,
        )
        for text_key, content in contents.items()
    }
