"""Tables of profile imports."""

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from audience.tables.columns import metadata, moment

# One row is a file of profiles that was taken in: how many rows it had, how many are applied, what
# was wrong with the first ones that were not. finished_at: nothing is left to do. Deleted 90 days
# after that and with the app.
profile_imports = Table(
    "profile_imports",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("import_id", Uuid, primary_key=True),
    Column("author", Text, nullable=False),
    Column("row_count", Integer, nullable=False),
    Column("applied_count", Integer, nullable=False, server_default=text("0")),
    Column("refused_count", Integer, nullable=False, server_default=text("0")),
    Column("error_count", Integer, nullable=False, server_default=text("0")),
    Column("errors", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("failure", Text),
    moment("created_at"),
    moment("started_at", nullable=True),
    moment("finished_at", nullable=True),
    # The background job looks for work in all apps at once.
    Index(
        "ix__profile_imports__created_at",
        "created_at",
        postgresql_where=text("finished_at IS NULL"),
    ),
)

# One row is some rows of an import that are not applied yet, as items of the write path. Deleted in
# the transaction that applies them.
profile_import_chunks = Table(
    "profile_import_chunks",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("import_id", Uuid, primary_key=True),
    Column("chunk_number", Integer, primary_key=True),
    Column("items", JSONB, nullable=False),
    ForeignKeyConstraint(
        ["app_id", "import_id"],
        ["profile_imports.app_id", "profile_imports.import_id"],
        ondelete="CASCADE",
    ),
)
