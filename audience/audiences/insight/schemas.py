"""Shapes of previews and explanations in the authorized API."""

from marshmallow import Schema, fields, validate

from audience.audiences.definition_schema import definition_reference
from audience.profiles.identifiers import IDENTIFIER_NAMES, MAX_IDENTIFIER_CHARACTERS
from audience.server.schema_fields import text_field


class PreviewBody(Schema):
    """A definition to try out."""

    definition = fields.Raw(required=True, metadata=definition_reference("Who would be a member."))


class PreviewAnswer(Schema):
    """Whom a definition matches now. A membership duration plays no part."""

    count = fields.Integer(metadata={"description": "Profiles that match now, exact."})
    total = fields.Integer(metadata={"description": "All profiles of the app."})
    share = fields.Float(metadata={"description": "count / total, 0 without profiles."})
    sample_profile_ids = fields.List(
        fields.String(), metadata={"description": "At most 10 of them."}
    )


class ExplainBody(Schema):
    """Whom the explanation is about."""

    identifier = fields.String(required=True, validate=validate.OneOf(IDENTIFIER_NAMES))
    value = text_field(MAX_IDENTIFIER_CHARACTERS, required=True)


class ExplainAnswer(Schema):
    """Why a profile is a member or not."""

    profile_id = fields.String()
    is_member = fields.Boolean(metadata={"description": "As public reads answer now."})
    member_since = fields.String(allow_none=True)
    member_until = fields.String(
        allow_none=True,
        metadata={"description": "When it ends by time alone; null: not unless something changes."},
    )
    is_filling = fields.Boolean()
    tree = fields.Raw(
        metadata={
            "type": "object",
            "description": "The definition; each node with `is_met`, each condition with `seen`.",
        }
    )
