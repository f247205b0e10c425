"""Shapes of attributes in the authorized API."""

from marshmallow import Schema, fields, validate

from audience.attributes.operations import FIELD_TYPES, MAX_NAME_CHARACTERS
from audience.server.schema_fields import PageQuery, UuidText, text_field

VALUE_TYPES = ("text", "numeric")


class AttributesQuery(PageQuery):
    """Which attributes, by name."""

    website_id = UuidText(required=True, metadata={"description": "The app ID."})
    field_type = fields.String(
        validate=validate.OneOf(FIELD_TYPES, error="must be one of {choices}"),
        metadata={"description": "Only custom ones (attributes) or those of analytics."},
    )
    name = text_field(
        MAX_NAME_CHARACTERS,
        shortest=0,
        load_default="",
        metadata={"description": "Part of the name, in any case."},
    )


class AttributeChange(Schema):
    """What may be changed of an attribute."""

    is_public = fields.Boolean(
        truthy={True},
        falsy={False},
        metadata={"description": "The public API may show it: it is on the attribute whitelist."},
    )
    value_type = fields.String(
        validate=validate.OneOf(VALUE_TYPES, error="must be one of {choices}"),
        metadata={"description": "Another type converts the values that are stored."},
    )


class AttributeCreation(AttributeChange):
    """A new attribute."""

    field_type = fields.String(
        load_default="attributes",
        validate=validate.OneOf(FIELD_TYPES, error="must be one of {choices}"),
    )
    name = text_field(MAX_NAME_CHARACTERS, required=True)


class CommonValue(Schema):
    """One of the five most common values."""

    value = fields.Raw()
    count = fields.Integer()


class Statistics(Schema):
    """What the values were when they were last counted."""

    share = fields.Float(metadata={"description": "Of the profiles that have it, 0 to 1."})
    profile_count = fields.Integer()
    distinct_count = fields.Integer(metadata={"description": "Entries of lists count alone."})
    most_common = fields.List(
        fields.Nested(CommonValue),
        metadata={"description": "At most five; none longer than 256 characters."},
    )
    refreshed_at = fields.String()


class Conversion(Schema):
    """The last conversion to another type."""

    value_type = fields.String()
    converted = fields.Integer()
    removed = fields.Integer(metadata={"description": "Values that could not be converted."})
    requested_at = fields.String()
    finished_at = fields.String()


class AttributeAnswer(AttributeChange):
    """An attribute as it is shown; its id is `<field_type>:<name>`."""

    field_type = fields.String()
    name = fields.String()
    first_seen_at = fields.String()
    statistics = fields.Nested(Statistics)
    conversion = fields.Nested(Conversion)
