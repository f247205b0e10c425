"""Fields that many schemas of the authorized API share (marshmallow)."""

from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from audience.uuid_text import UUID_PATTERN

DEFAULT_LIMIT, MAX_LIMIT = 10, 100
MAX_OFFSET = 1_000_000
_TRUE, _FALSE = {"true", "1"}, {"false", "0"}


class UuidText(fields.String):
    """A UUID in its 36-character form; loaded lower-cased."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not UUID_PATTERN.fullmatch(text):
            message = "must be a UUID like 01234567-89ab-cdef-0123-456789abcdef"
            raise ValidationError(message)
        return text.lower()


class Moment(fields.Field[datetime]):
    """A time in RFC 3339 form; without an offset it is UTC (contract B17)."""

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002 - marshmallow's signature
        data: Any,  # noqa: ARG002
        **_kwargs: Any,
    ) -> datetime:
        message = "must be a time like 2026-01-31T12:30:00Z"
        if not isinstance(value, str):
            raise ValidationError(message)
        try:
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            # OverflowError: at an end of the calendar that lies beyond it in UTC.
            raise ValidationError(message) from None


class QueryInteger(fields.Integer):
    """A whole number of a query, in decimal digits."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str) or not value.lstrip("-").isdecimal() or len(value) > 10:  # noqa: PLR2004
            message = "must be a whole number"
            raise ValidationError(message)
        return super()._deserialize(value, attr, data, **kwargs)


class QueryBoolean(fields.Field[bool]):
    """true, false, 1 or 0 in any case (contract D3.1b)."""

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002 - marshmallow's signature
        data: Any,  # noqa: ARG002
        **_kwargs: Any,
    ) -> bool:
        lowered = value.lower() if isinstance(value, str) else None
        if lowered not in _TRUE | _FALSE:
            message = "must be true or false"
            raise ValidationError(message)
        return lowered in _TRUE


def text_field(longest: int, *, shortest: int = 1, **options: Any) -> fields.String:
    """A string of so many characters that PostgreSQL can hold."""

    def holdable(value: str) -> None:
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            message = "must not contain NUL or half of a surrogate pair"
            raise ValidationError(message)

    expected = f"must have {shortest} to {longest} characters"
    length = validate.Length(shortest, longest, error=expected)
    return fields.String(validate=[length, holdable], **options)


class PageQuery(Schema):
    """limit and offset of a list."""

    limit = QueryInteger(
        load_default=DEFAULT_LIMIT,
        validate=validate.Range(1, MAX_LIMIT, error=f"must be from 1 to {MAX_LIMIT}"),
        metadata={"description": f"At most so many, 1 to {MAX_LIMIT}."},
    )
    offset = QueryInteger(
        load_default=0,
        validate=validate.Range(0, MAX_OFFSET, error=f"must be from 0 to {MAX_OFFSET}"),
        metadata={"description": "Leave out so many at the beginning."},
    )


class VisitorQuery(Schema):
    """The app that a visitor is asked about."""

    website_id = UuidText(required=True, metadata={"description": "The app ID."})


class MembershipQuery(VisitorQuery):
    """The audience that a visitor is asked about."""

    audience_id = UuidText(required=True)


class PublicAttribute(Schema):
    """An attribute that the public may read."""

    name = fields.String()
    value = fields.Raw()
    field_type = fields.String(validate=validate.OneOf(["attributes", "analytics"]))


class MembershipAnswer(Schema):
    """Whether the visitor is in the audience."""

    result = fields.Boolean()
