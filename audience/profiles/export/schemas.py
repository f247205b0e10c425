"""Shape of the request for an export (contract D3.2)."""

from marshmallow import Schema, fields, validate

from audience.profiles.export.columns import FIELD_TYPES, MAX_COLUMNS
from audience.server.schema_fields import UuidText, text_field

CSV, JSON = "csv", "json"
MAX_NAME_CHARACTERS = 255


class ColumnFields(Schema):
    """One column."""

    name = text_field(MAX_NAME_CHARACTERS, required=True)
    field_type = fields.String(
        required=True, validate=validate.OneOf(FIELD_TYPES, error="must be one of {choices}")
    )


class ExportBody(Schema):
    """What to export."""

    website_id = UuidText(required=True, metadata={"description": "The app ID."})
    audience_id = UuidText(required=True, metadata={"description": "Whose profiles."})
    columns = fields.List(
        fields.Nested(ColumnFields),
        required=True,
        validate=validate.Length(0, MAX_COLUMNS, error=f"may have at most {MAX_COLUMNS} entries"),
        metadata={"description": "In this order; [] means every custom attribute, by name."},
    )
    format = fields.String(
        load_default=CSV, validate=validate.OneOf((CSV, JSON), error="must be one of {choices}")
    )
    formula_guard = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=True,
        metadata={
            "description": "Put an apostrophe before a text that a spreadsheet would run as a "
            "formula; only in CSV."
        },
    )
