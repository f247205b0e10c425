"""Shapes of apps in the authorized API."""

import re
from zoneinfo import available_timezones

from marshmallow import Schema, ValidationError, fields, validate

from audience.apps.consent_settings import (
    ANONYMIZATION_MODES,
    MAX_COOKIE_DOMAINS,
    MAX_COOKIE_SECONDS,
)
from audience.apps.operations import MAX_NAME_CHARACTERS
from audience.server.schema_fields import PageQuery, UuidText, text_field

MAX_URLS = 100
_URL = re.compile(r"https?://[^\s/?#@]{1,253}(?:[/?#]\S*)?")
_DOMAIN = re.compile(r"(?:\*\.)?(?:[a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}", re.IGNORECASE)


def _is_timezone(value: str) -> None:
    if value not in available_timezones():
        message = "must be an IANA time zone like Europe/Warsaw"
        raise ValidationError(message)


class AppFields(Schema):
    """What may be set of an app."""

    name = text_field(MAX_NAME_CHARACTERS, required=True)
    urls = fields.List(
        fields.String(validate=validate.Regexp(_URL, error="must be an http or https address")),
        validate=validate.Length(0, MAX_URLS, error=f"may have at most {MAX_URLS} entries"),
        metadata={"description": "Addresses of the site."},
    )
    timezone = fields.String(
        validate=_is_timezone,
        metadata={"description": "IANA name; days and relative dates are reckoned in it."},
    )
    currency = fields.String(
        validate=validate.Regexp("[A-Z]{3}$", error="must be an ISO 4217 code like EUR")
    )
    gdpr = fields.Boolean(
        truthy={True}, falsy={False}, metadata={"description": "Visitors are asked for consent."}
    )
    gdprUserModeEnabled = fields.Boolean(truthy={True}, falsy={False})  # noqa: N815 - wire name
    privacyCookieDomainsEnabled = fields.Boolean(truthy={True}, falsy={False})  # noqa: N815
    privacyCookieDomains = fields.List(  # noqa: N815 - wire name
        fields.String(
            validate=validate.Regexp(
                re.compile(f"(?:{_DOMAIN.pattern})$", re.IGNORECASE),
                error="must be a domain like example.com or *.example.com",
            )
        ),
        validate=validate.Length(0, MAX_COOKIE_DOMAINS),
    )
    privacyCookieExpirationPeriod = fields.Integer(  # noqa: N815 - wire name
        strict=True,
        validate=validate.Range(1, MAX_COOKIE_SECONDS, error="must be a number of seconds"),
        metadata={"description": "Seconds the consent cookie is kept."},
    )
    gdprLocationRecognition = fields.Boolean(truthy={True}, falsy={False})  # noqa: N815
    gdprDataAnonymization = fields.Boolean(truthy={True}, falsy={False})  # noqa: N815
    gdprDataAnonymizationMode = fields.String(  # noqa: N815 - wire name
        validate=validate.OneOf(ANONYMIZATION_MODES)
    )
    customConsentForm = fields.Boolean(  # noqa: N815 - wire name
        truthy={True},
        falsy={False},
        metadata={"description": "The site shows a consent form of its own."},
    )


class AppCreation(AppFields):
    """A new app; its id may be given."""

    id = UuidText(metadata={"description": "The app ID; a new one when left out."})


class AppAnswer(AppFields):
    """An app as it is shown."""

    organization = fields.String()
    createdAt = fields.String()  # noqa: N815 - wire name
    updatedAt = fields.String()  # noqa: N815 - wire name


class AppsQuery(PageQuery):
    """Which apps, by name."""

    search = fields.String(
        load_default="",
        validate=validate.Length(0, MAX_NAME_CHARACTERS),
        metadata={"description": "Part of the name, in any case."},
    )


class AppDeletion(Schema):
    """The safety catch of a deletion."""

    confirm = fields.String(
        required=True, metadata={"description": "The app's name, to show that it is meant."}
    )
