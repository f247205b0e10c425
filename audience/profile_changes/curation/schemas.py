"""Shapes of changes by hand."""

from marshmallow import Schema, fields, validate

from audience.profiles.authorized.schemas import IdentifierFields
from audience.server.schema_fields import UuidText

MAX_SPLIT_IDENTIFIERS = 150


class MergeBody(Schema):
    """Which profile to absorb."""

    profile_id = UuidText(
        required=True, metadata={"description": "The profile to absorb into the one of the path."}
    )
    force = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=False,
        metadata={
            "description": "Merge although the e-mails differ: the survivor keeps its own. "
            "Different user IDs can't be forced."
        },
    )


class SplitBody(Schema):
    """What to take out of the profile."""

    identifiers = fields.List(
        fields.Nested(IdentifierFields),
        required=True,
        validate=validate.Length(
            1, MAX_SPLIT_IDENTIFIERS, error=f"must have 1 to {MAX_SPLIT_IDENTIFIERS} entries"
        ),
        metadata={"description": "Identifiers of the profile that belong to somebody else."},
    )
