"""Shapes of profiles in the authorized API (contract B, D3.3)."""

from marshmallow import Schema, fields, validate

from audience.profiles.identifiers import IDENTIFIER_NAMES, MAX_IDENTIFIER_CHARACTERS
from audience.server.schema_fields import PageQuery, QueryInteger, UuidText, text_field

MAX_FOUND = 1000
DEFAULT_FOUND = 10


class WebsiteQuery(Schema):
    """Which app the profiles are of."""

    website_id = UuidText(required=True, metadata={"description": "The app ID."})


class FindQuery(WebsiteQuery):
    """The identifier to look for."""

    identifier = fields.String(
        required=True,
        validate=validate.OneOf(IDENTIFIER_NAMES, error="must be one of {choices}"),
        metadata={"description": "Kind of the identifier."},
    )
    value = text_field(
        MAX_IDENTIFIER_CHARACTERS,
        required=True,
        metadata={"description": "The identifier itself."},
    )
    limit = QueryInteger(
        load_default=DEFAULT_FOUND,
        validate=validate.Range(1, MAX_FOUND, error=f"must be from 1 to {MAX_FOUND}"),
        metadata={"description": f"At most so many, 1 to {MAX_FOUND}."},
    )


class MergesQuery(PageQuery, WebsiteQuery):
    """Which part of a profile's merges."""


class ProfileAttributes(Schema):
    """A profile; what it does not have is left out."""

    website_id = fields.String()
    user_id = fields.String()
    email = fields.String()
    analytics_visitor_id = fields.String(metadata={"description": "The one seen last."})
    analytics_visitor_ids = fields.List(fields.String())
    device_ids = fields.List(fields.String())
    attributes = fields.Dict(metadata={"description": "Custom attributes by name."})
    forms = fields.Dict(metadata={"description": "The last {timestamp, url} by form id."})
    analytics = fields.Dict(metadata={"description": "Analytics attributes by name."})
    visits = fields.Dict(metadata={"description": "first_visit and last_visit."})
    goals = fields.Dict(metadata={"description": "Conversions by goal id; `all` has the sums."})
    ecommerce = fields.Dict(metadata={"description": "Orders and their revenue."})
    generic = fields.Dict(metadata={"description": "total_revenue of goals and orders."})
    updated_at = fields.String()
    attributes_count = fields.Integer()


class ProfileResource(Schema):
    """A profile as a resource."""

    type = fields.String()
    id = fields.String()
    attributes = fields.Nested(ProfileAttributes)


class ProfileAnswer(Schema):
    """The answer to an action whose body is plain JSON."""

    data = fields.Nested(ProfileResource)


class ProfileDocument(ProfileAttributes):
    """A profile with its id among the members."""

    id = fields.String()


class IdentifierFields(Schema):
    """One identifier of a person."""

    identifier = fields.String(
        required=True, validate=validate.OneOf(IDENTIFIER_NAMES, error="must be one of {choices}")
    )
    value = text_field(MAX_IDENTIFIER_CHARACTERS, required=True)


class MergeAttributes(Schema):
    """One merge, with both profiles as they were before."""

    survivor_profile_id = fields.String()
    absorbed_profile_id = fields.String()
    identifiers = fields.List(
        fields.Nested(IdentifierFields),
        metadata={"description": "What the request named; empty for a merge by hand."},
    )
    merged_at = fields.String()
    undone_at = fields.String(metadata={"description": "Only of a merge that was taken back."})
    survivor_before = fields.Nested(ProfileDocument)
    absorbed_before = fields.Nested(ProfileDocument)
