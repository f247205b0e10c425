"""Shapes of settings and texts in the authorized API."""

import re
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from audience.server.schema_fields import PageQuery, UuidText, text_field
from consent.forms.consent_types import CONSENT_TYPES
from consent.forms.settings import NEVER, POSITIONS
from consent.forms.texts import LANGUAGE_NAMES, TEXT_SLOTS

MAX_PERIOD_SECONDS = 10 * 31_536_000
MAX_ORIGINS = 100
MAX_LANGUAGES = 40
MAX_SLOT_CHARACTERS = 10_000
_HOST = re.compile(r"(?:\*\.)?(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$")
_URL = re.compile(r"(?:https?://[^\s/?#@]{1,253})?(?:/[^\s]*)?$")
_CONTROLLER = ("name", "address", "email", "phone", "url")


def _switch(description: str) -> fields.Boolean:
    return fields.Boolean(truthy={True}, falsy={False}, metadata={"description": description})


def _consent_type(**options: Any) -> fields.String:
    error = f"must be one of {', '.join(CONSENT_TYPES)}"
    return fields.String(validate=validate.OneOf(CONSENT_TYPES, error=error), **options)


def _language(**options: Any) -> fields.String:
    error = "must be a language code like en"
    return fields.String(validate=validate.OneOf(tuple(LANGUAGE_NAMES), error=error), **options)


def _are_different(values: list[str]) -> None:
    if len(set(values)) < len(values):
        message = "must not name anything twice"
        raise ValidationError(message)


class AppQuery(Schema):
    """Which app."""

    website_id = UuidText(required=True, metadata={"description": "The app ID."})


class Controller(Schema):
    """Who is responsible for the data, for receipts."""

    name = text_field(200)
    address = text_field(500)
    email = text_field(254)
    phone = text_field(50)
    url = text_field(2000)


class SettingsFields(Schema):
    """What may be set about an app's consents; contract H8's settings are in /api/apps/v2."""

    consent_types = fields.List(
        _consent_type(),
        validate=_are_different,
        metadata={"description": "The types asked for, in the order of the form."},
    )
    position = fields.String(validate=validate.OneOf(POSITIONS))
    has_reminder = _switch("A bar reminds of what is undecided.")
    is_reminder_kept = _switch("The bar stays afterwards: withdrawing takes one click.")
    stale_period_seconds = fields.Integer(
        strict=True,
        validate=validate.Range(NEVER, MAX_PERIOD_SECONDS, error="must be -1 or seconds"),
        metadata={"description": "After it what was not agreed to is asked again; -1: never."},
    )
    decision_period_seconds = fields.Integer(
        strict=True,
        validate=validate.Range(0, MAX_PERIOD_SECONDS, error="must be a number of seconds"),
        metadata={"description": "An older decision counts as none; 0: never."},
    )
    is_gpc_honoured = _switch("Global Privacy Control rejects remarketing and conversion tracking.")
    has_consent_mode = _switch("The container tells Google Consent Mode v2 what was decided.")
    languages = fields.List(
        _language(),
        validate=[validate.Length(1, MAX_LANGUAGES), _are_different],
        metadata={"description": "Languages of the form; those without ready-made texts need own."},
    )
    default_language = _language()
    privacy_policy_url = fields.String(
        allow_none=True,
        validate=[
            validate.Length(1, 2000),
            validate.Regexp(_URL, error="must be an http or https address, or a path"),
        ],
    )
    origins = fields.List(
        fields.String(
            validate=validate.Regexp(_HOST, error="must be like example.com or *.example.com")
        ),
        validate=validate.Length(0, MAX_ORIGINS),
        metadata={"description": "Host names that may collect; empty: any."},
    )
    gate_consent_type = _consent_type(
        allow_none=True,
        metadata={"description": "Attributes need an approval of it; null: of nothing."},
    )
    is_erased_on_withdrawal = _switch("Taking that consent back erases attributes and forms.")
    controller = fields.Nested(Controller)


class SettingsAnswer(SettingsFields):
    """The settings as they are shown."""


class TextPublication(Schema):
    """A new version of a text."""

    language = _language(required=True)
    text_key = fields.String(
        required=True,
        validate=validate.OneOf(tuple(TEXT_SLOTS), error=f"must be one of {', '.join(TEXT_SLOTS)}"),
    )
    content = fields.Dict(
        keys=fields.String(),
        values=text_field(MAX_SLOT_CHARACTERS),
        required=True,
        metadata={"description": "{slot: plain text}; slots left out stay as they are."},
    )
    ask_again = fields.Boolean(truthy={True}, falsy={False}, load_default=False)

    @validates_schema
    def _is_not_empty(self, data: dict[str, Any], **_: Any) -> None:
        if not data["content"]:
            message = "must have at least one text"
            raise ValidationError(message, "content")


class TextAnswer(Schema):
    """A version of a text; its id is the historyId that decisions name."""

    language = fields.String()
    text_key = fields.String()
    content = fields.Dict(keys=fields.String(), values=fields.String())
    sha256 = fields.String(metadata={"description": "Of the canonical JSON of the content."})
    origin = fields.String(validate=validate.OneOf(("published", "ready_made")))
    published_at = fields.String(allow_none=True)
    asks_again_at = fields.String(allow_none=True)


class FormsQuery(AppQuery):
    """Which of the texts that an app shows."""

    language = _language(load_default=None)


class VersionsQuery(PageQuery, FormsQuery):
    """Which versions."""

    text_key = fields.String(load_default=None, validate=validate.OneOf(tuple(TEXT_SLOTS)))
