"""Shapes of the settings in the authorized API."""

from marshmallow import Schema, fields, validate

from audience.server.schema_fields import UuidText, text_field
from consent.data_subject_requests.texts import LANGUAGES

MAX_RETENTION_DAYS = 3650
MAX_UNVERIFIED_DAYS = 365
MAX_REMINDER_DAYS = 30


def _days(least: int, most: int, description: str) -> fields.Integer:
    return fields.Integer(
        strict=True,
        validate=validate.Range(least, most, error=f"must be from {least} to {most}"),
        metadata={"description": description},
    )


class RequestSettingsFields(Schema):
    """What may be set about an app's data subject requests."""

    retention_days = _days(
        1, MAX_RETENTION_DAYS, "A closed request loses its personal content after so many days."
    )
    unverified_retention_days = _days(
        1, MAX_UNVERIFIED_DAYS, "One that nobody confirmed after so many."
    )
    reminder_days = _days(
        1, MAX_REMINDER_DAYS, "The team is reminded so many days before a request is due."
    )
    team_email = text_field(
        254, allow_none=True, metadata={"description": "Where reminders go; null: nowhere."}
    )
    team_language = fields.String(
        validate=validate.OneOf(LANGUAGES, error=f"must be one of {', '.join(LANGUAGES)}"),
        metadata={"description": "The language of reminders."},
    )


class AppQuery(Schema):
    """Which app."""

    website_id = UuidText(required=True, metadata={"description": "The app ID."})
