"""Shapes of audiences in the authorized API."""

from marshmallow import Schema, fields, validate

from audience.audiences.catalogue.audience import (
    MAX_DESCRIPTION_CHARACTERS,
    MAX_DURATION_DAYS,
    MAX_NAME_CHARACTERS,
)
from audience.audiences.definition_schema import definition_reference
from audience.server.schema_fields import PageQuery, QueryBoolean, UuidText, text_field

_ORDERS = ("name", "count", "created_at", "updated_at")


class AppQuery(Schema):
    """Which app."""

    website_id = UuidText(required=True, metadata={"description": "The app ID."})


class AudiencesQuery(AppQuery, PageQuery):
    """Which audiences of an app, in which order (contract D3.1)."""

    name = fields.String(
        load_default="",
        validate=validate.Length(0, MAX_NAME_CHARACTERS),
        metadata={"description": "Part of the name, in any case."},
    )
    order_by = fields.String(
        load_default="name",
        validate=validate.OneOf(
            [*_ORDERS, *(f"-{order}" for order in _ORDERS)],
            error=f"must be one of {', '.join(_ORDERS)}, or one of these with a leading -",
        ),
        metadata={"description": "A leading `-` means descending; ties are ordered by id."},
    )
    include_deleted = QueryBoolean(
        load_default=False, metadata={"description": "Also audiences that were deleted."}
    )


class AudienceWrite(Schema):
    """What is written of an audience, all of it."""

    name = text_field(MAX_NAME_CHARACTERS, required=True)
    description = text_field(MAX_DESCRIPTION_CHARACTERS, shortest=0, load_default="")
    definition = fields.Raw(required=True, metadata=definition_reference("Who is a member."))
    membership_duration_days = fields.Integer(
        strict=True,
        allow_none=True,
        load_default=None,
        validate=validate.Range(
            1, MAX_DURATION_DAYS, error=f"must be from 1 to {MAX_DURATION_DAYS}, or null"
        ),
        metadata={"description": "A member stays so many days after the last matching update."},
    )


class DayCount(Schema):
    """How many members an audience had at the beginning of a UTC day."""

    date = fields.String()
    count = fields.Integer()


class AudienceListed(Schema):
    """An audience in a list (contract D3.1)."""

    name = fields.String()
    count = fields.Integer(metadata={"description": "Members now, exact."})
    history_count = fields.List(
        fields.Nested(DayCount), metadata={"description": "The last 30 days, oldest first."}
    )
    is_deleted = fields.Boolean()


class AudienceAnswer(AudienceListed):
    """An audience with everything about it."""

    description = fields.String()
    definition = fields.Raw(metadata=definition_reference("As it was written."))
    membership_duration_days = fields.Integer(allow_none=True)
    version = fields.Integer(metadata={"description": "Grows when definition or duration change."})
    created_at = fields.String()
    updated_at = fields.String()
    author = fields.String(metadata={"description": "Name of the credential that made it."})
    is_filling = fields.Boolean(
        metadata={"description": "Members are being worked out after a change of the definition."}
    )
    filling_progress = fields.Integer(metadata={"description": "Per cent, 100 when done."})
