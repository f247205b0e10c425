"""Shapes of the public writes, for the description of the API only.

The bodies are checked by `items.py`, which is thirty times as fast; `tests/api` keeps both alike.
"""

from marshmallow import Schema, fields, validate

from audience.profiles.actions import ACTIONS
from audience.server.schema_fields import UuidText, text_field

_MAX_NAME_CHARACTERS = 255
_MAX_URL_CHARACTERS = 2048
_MAX_IDENTIFIER_CHARACTERS = 512


class AttributeEntry(Schema):
    """One attribute action."""

    name = text_field(_MAX_NAME_CHARACTERS, required=True)
    value = fields.Raw(
        metadata={
            "description": "A string, a number or an array of strings; `add` takes a number and "
            "needs none, the list actions take a string."
        }
    )
    action = fields.String(validate=validate.OneOf(ACTIONS), load_default="set")


class AttributesItem(Schema):
    """The attributes of one visitor; at least one identifier is needed."""

    website_id = UuidText(required=True, metadata={"description": "The app ID."})
    user_id = text_field(_MAX_IDENTIFIER_CHARACTERS)
    email = text_field(_MAX_IDENTIFIER_CHARACTERS)
    device_id = text_field(_MAX_IDENTIFIER_CHARACTERS)
    analytics_visitor_id = fields.String(
        validate=validate.Regexp("^[0-9a-fA-F]{16}$"), metadata={"description": "16 hex digits."}
    )
    attributes = fields.List(fields.Nested(AttributeEntry), required=True)


class FormItem(AttributesItem):
    """A submitted form."""

    form_id = text_field(_MAX_NAME_CHARACTERS, required=True)
    url = text_field(_MAX_URL_CHARACTERS, required=True)


class SkippedEntry(Schema):
    """An entry that was not applied."""

    item = fields.Integer()
    entry = fields.Integer()
    name = fields.String()
    reason = fields.String()


class SkippedEntries(Schema):
    """What was not applied; an answer without content says that everything was."""

    skipped = fields.List(fields.Nested(SkippedEntry))
