"""What the team may say when it executes a request."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from audience import public
from audience.server.schema_fields import text_field
from consent.data_subject_requests.identifier_schema import (
    MAX_IDENTIFIER_CHARACTERS,
    NamedIdentifier,
    identifier_name,
)

MAX_CHANGES = 100
MAX_VALUE_CHARACTERS = 1024
MAX_NAME_CHARACTERS = 255


def _many(schema: type[Schema], **options: Any) -> Any:
    return fields.List(
        fields.Nested(schema),
        load_default=list,
        validate=validate.Length(0, MAX_CHANGES, error=f"may have at most {MAX_CHANGES} entries"),
        **options,
    )


def is_attribute_value(value: Any) -> None:
    """Refuse what no attribute can hold."""
    elements = value if isinstance(value, list) and value else [value]
    for element in elements:
        is_number = type(element) in (int, float) and not isinstance(value, list)
        is_text = isinstance(element, str) and len(element) <= MAX_VALUE_CHARACTERS
        if not is_number and not (is_text and "\x00" not in element):
            message = (
                f"must be a number, a string of at most {MAX_VALUE_CHARACTERS} characters, a list "
                "of such strings, or null to remove the attribute"
            )
            raise ValidationError(message)


class ConfirmedIdentifier(NamedIdentifier):
    """An identifier of which the team has checked that it is the requester's."""


class AttributeCorrection(Schema):
    """The right value of an attribute."""

    name = text_field(MAX_NAME_CHARACTERS, required=True)
    value = fields.Raw(required=True, allow_none=True, validate=is_attribute_value)


class IdentifierCorrection(Schema):
    """An identifier that is replaced, added (no old_value) or taken away (no new_value)."""

    identifier_name = identifier_name()
    old_value = text_field(MAX_IDENTIFIER_CHARACTERS, allow_none=True, load_default=None)
    new_value = text_field(MAX_IDENTIFIER_CHARACTERS, allow_none=True, load_default=None)

    @validates_schema
    def check_values(self, data: dict[str, Any], **_options: Any) -> None:
        """One of the two is needed, and each must be a value of its kind."""
        if not data.get("old_value") and not data.get("new_value"):
            message = "old_value or new_value is required"
            raise ValidationError(message, "new_value")
        for member in ("old_value", "new_value"):
            value, name = data.get(member), data.get("identifier_name", "")
            if value and public.parse_identifier(name, value) is None:
                message = f"can't be a value of {name}"
                raise ValidationError(message, member)


class ExecutionInstructions(Schema):
    """What to do; everything is optional but for change_data, which needs a correction."""

    confirmed_identifiers = _many(
        ConfirmedIdentifier,
        metadata={
            "description": "Identifiers beside the e-mail that are proved to be the requester's."
        },
    )
    attributes = _many(AttributeCorrection, metadata={"description": "Only for change_data."})
    identifiers = _many(IdentifierCorrection, metadata={"description": "Only for change_data."})
