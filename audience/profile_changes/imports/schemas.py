"""Shapes of imports in the authorized API."""

from marshmallow import Schema, fields

from audience.profiles.authorized.schemas import WebsiteQuery
from audience.server.schema_fields import PageQuery, QueryBoolean

MAX_MAPPING_CHARACTERS = 256 * 1024


class ImportQuery(WebsiteQuery):
    """How to import."""

    dry_run = QueryBoolean(
        load_default=False, metadata={"description": "Only tell what is wrong with the rows."}
    )
    mapping = fields.String(
        metadata={
            "description": "JSON: {column: {identifier: name} | {attribute: name, type: "
            "text|numeric} | null}; may be a part of a form instead. Columns it leaves out are "
            "identifiers by their names, else attributes."
        }
    )


class ImportsQuery(PageQuery, WebsiteQuery):
    """Which part of the app's imports."""


class RowProblem(Schema):
    """What is wrong with a row."""

    row = fields.Integer(metadata={"description": "1 is the header."})
    column = fields.String()
    problem = fields.String()


class ImportAttributes(Schema):
    """An import."""

    state = fields.String(
        metadata={"description": "dry_run, waiting, running, done or failed."},
    )
    rows = fields.Integer()
    rows_applied = fields.Integer()
    rows_refused = fields.Integer()
    progress_percent = fields.Integer()
    error_count = fields.Integer()
    errors = fields.List(fields.Nested(RowProblem), metadata={"description": "The first 1,000."})
    failure = fields.String()
    author = fields.String()
    created_at = fields.String()
    started_at = fields.String()
    finished_at = fields.String()
