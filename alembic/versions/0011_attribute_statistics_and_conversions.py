"""Attribute statistics and conversions."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Attribute statistics and conversions."""
    op.create_table(
        "attribute_conversions",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("attribute_name", sa.Text(), nullable=False),
        sa.Column("value_type", sa.Text(), nullable=False),
        sa.Column("cursor_profile_id", sa.Uuid(), nullable=True),
        sa.Column("converted_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("removed_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "value_type IN ('text', 'numeric')", name=op.f("ck__attribute_conversions__value_type")
        ),
        sa.ForeignKeyConstraint(
            ["app_id"],
            ["apps.app_id"],
            name=op.f("fk__attribute_conversions__apps"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", "attribute_name", name=op.f("pk__attribute_conversions")),
    )
    op.create_index(
        "ix__attribute_conversions__requested_at",
        "attribute_conversions",
        ["requested_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "attribute_counts",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("profile_count", sa.BigInteger(), nullable=False),
        sa.Column("refreshed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.app_id"], name=op.f("fk__attribute_counts__apps"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("app_id", name=op.f("pk__attribute_counts")),
    )
    op.create_index("ix__attribute_counts__due_at", "attribute_counts", ["due_at"], unique=False)
    op.create_table(
        "attribute_statistics",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("field_type", sa.Text(), nullable=False),
        sa.Column("attribute_name", sa.Text(), nullable=False),
        sa.Column("profile_count", sa.BigInteger(), nullable=False),
        sa.Column("distinct_count", sa.BigInteger(), nullable=False),
        sa.Column("most_common", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"],
            ["apps.app_id"],
            name=op.f("fk__attribute_statistics__apps"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "app_id", "field_type", "attribute_name", name=op.f("pk__attribute_statistics")
        ),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("attribute_statistics")
    op.drop_index("ix__attribute_counts__due_at", table_name="attribute_counts")
    op.drop_table("attribute_counts")
    op.drop_index(
        "ix__attribute_conversions__requested_at",
        table_name="attribute_conversions",
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.drop_table("attribute_conversions")
