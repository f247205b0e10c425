"""Tables of attribute definitions, the whitelist, statistics and conversions."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

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

# One row is what the values of an attribute were when they were last counted. Replaced by the next
# count, deleted with the app.
attribute_statistics = Table(
    "attribute_statistics",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("field_type", Text, primary_key=True),
    Column("attribute_name", Text, primary_key=True),
    Column("profile_count", BigInteger, nullable=False),
    Column("distinct_count", BigInteger, nullable=False),
    Column("most_common", JSONB, nullable=False),
)

# One row is when an app's attributes were last counted, over how many profiles, and how long that
# took, which says when it is worth to be done again. forgotten_count: profiles whose values were
# forgotten, ever; a count that it grew under leaves out what may be theirs. unknown_count: those of
# them since the last count of which it is not known what they were counted with. Deleted with the
# app.
attribute_counts = Table(
    "attribute_counts",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("profile_count", BigInteger, nullable=True),
    moment("refreshed_at", nullable=True),
    moment("due_at", nullable=True),
    Column("forgotten_count", BigInteger, nullable=False, server_default=text("0")),
    Column("unknown_count", BigInteger, nullable=False, server_default=text("0")),
    Index("ix__attribute_counts__due_at", "due_at"),
)

# One row is the last conversion of an attribute to another type: the profiles are gone through in
# the order of their ids, up to cursor_profile_id, and again until a pass changes nothing.
# Replaced by the next conversion, deleted with the app.
attribute_conversions = Table(
    "attribute_conversions",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("attribute_name", Text, primary_key=True),
    Column("value_type", Text, nullable=False),
    Column("cursor_profile_id", Uuid),
    Column("converted_count", BigInteger, nullable=False, server_default=text("0")),
    Column("removed_count", BigInteger, nullable=False, server_default=text("0")),
    moment("requested_at"),
    moment("finished_at", nullable=True),
    CheckConstraint("value_type IN ('text', 'numeric')", name="value_type"),
    # The background job looks for work in all apps at once.
    Index(
        "ix__attribute_conversions__requested_at",
        "requested_at",
        postgresql_where=text("finished_at IS NULL"),
    ),
)
