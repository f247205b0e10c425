"""How the authorized API is told of an identifier of a requester."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from audience import public
from audience.server.schema_fields import text_field

MAX_IDENTIFIER_CHARACTERS = 512


def identifier_name() -> fields.String:
    """The kind of an identifier."""
    expected = f"must be one of {', '.join(public.IDENTIFIER_NAMES)}"
    return fields.String(
        required=True, validate=validate.OneOf(public.IDENTIFIER_NAMES, error=expected)
    )


class NamedIdentifier(Schema):
    """Name and value of an identifier; loaded in its normal form.

    Errors: a value that can't be of that kind.
    """

    identifier_name = identifier_name()
    identifier_value = text_field(MAX_IDENTIFIER_CHARACTERS, required=True)

    @post_load
    def normalise(self, data: dict[str, Any], **_options: Any) -> dict[str, str]:
        """As profiles have it, so that the two can be compared."""
        name = data["identifier_name"]
        identifier = public.parse_identifier(name, data["identifier_value"])
        if identifier is None:
            message = f"can't be a value of {name}"
            raise ValidationError(message, "identifier_value")
        return dict(identifier._asdict())
