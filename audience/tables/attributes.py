"""Tables of attribute definitions and the attribute whitelist."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text, Uuid

from audience.tables.columns import metadata, moment

# One row is an attribute name of an app with its type; made by the first write of the name or by
# declaring it (value_type is null until the first value). Deleted with its app.
attribute_definitions = Table(
    "attribute_definitions",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("field_type", Text, primary_key=True),
    Column("attribute_name", Text, primary_key=True),
    Column("value_type", Text),
    moment("first_seen_at"),
    CheckConstraint("field_type IN ('attributes', 'analytics')", name="field_type"),
    CheckConstraint("value_type IN ('text', 'numeric')", name="value_type"),
)

# One row lets the public API show one attribute of an app; without a row nothing is shown. A table
# of its own, so that a public read touches only what it may show. Deleted by `deny`, with the app.
attribute_whitelist = Table(
    "attribute_whitelist",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("field_type", Text, primary_key=True),
    Column("attribute_name", Text, primary_key=True),
    moment("allowed_at"),
    CheckConstraint("field_type IN ('attributes', 'analytics')", name="field_type"),
)
