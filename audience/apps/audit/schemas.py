"""Shapes of the audit log's query and answer."""

from marshmallow import Schema, fields, validate

from audience.server.schema_fields import Moment, PageQuery, UuidText


class AuditQuery(PageQuery):
    """Which entries, newest first."""

    website_id = UuidText(metadata={"description": "Only entries about this app."})
    operation = fields.String(
        validate=validate.Length(1, 100),
        metadata={"description": "Only this operation, e.g. `delete_profile`."},
    )
    since = Moment(metadata={"description": "Only entries from this time on."})
    until = Moment(metadata={"description": "Only entries before this time."})


class AuditEntry(Schema):
    """One entry."""

    occurred_at = fields.String()
    actor = fields.String(metadata={"description": "Name of the credential, or `operator`."})
    credential_id = fields.String()
    operation = fields.String()
    outcome = fields.String(validate=validate.OneOf(["done", "refused"]))
    website_id = fields.String()
    target_type = fields.String()
    target_id = fields.String()
    details = fields.Dict(
        metadata={"description": "What a correction changed; values only as keyed hashes."}
    )
