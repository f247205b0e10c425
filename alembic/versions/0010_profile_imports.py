"""Profile imports."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Profile imports."""
    op.create_table(
        "profile_imports",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("applied_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("refused_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "errors",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.app_id"], name=op.f("fk__profile_imports__apps"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("app_id", "import_id", name=op.f("pk__profile_imports")),
    )
    op.create_index(
        "ix__profile_imports__created_at",
        "profile_imports",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "profile_import_chunks",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("chunk_number", sa.Integer(), nullable=False),
        sa.Column("items", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "import_id"],
            ["profile_imports.app_id", "profile_imports.import_id"],
            name=op.f("fk__profile_import_chunks__profile_imports"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "app_id", "import_id", "chunk_number", name=op.f("pk__profile_import_chunks")
        ),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("profile_import_chunks")
    op.drop_index(
        "ix__profile_imports__created_at",
        table_name="profile_imports",
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.drop_table("profile_imports")
