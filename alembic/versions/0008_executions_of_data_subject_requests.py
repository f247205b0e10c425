"""executions of data subject requests."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Executions of data subject requests."""
    op.create_table(
        "data_subject_executions",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column(
            "cursor",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "counts",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "instructions",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("hash_key", sa.LargeBinary(), nullable=False),
        sa.Column(
            "started_by",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("try_count", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_step_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id", "request_id"],
            ["data_subject_requests.app_id", "data_subject_requests.request_id"],
            name=op.f("fk__data_subject_executions__data_subject_requests"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", "request_id", name=op.f("pk__data_subject_executions")),
    )
    op.create_index(
        "ix__data_subject_executions__next_step_at",
        "data_subject_executions",
        ["next_step_at"],
        unique=False,
        postgresql_where=sa.text("completed_at IS NULL"),
    )
    op.create_table(
        "data_subject_export_parts",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("section", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "request_id"],
            ["data_subject_requests.app_id", "data_subject_requests.request_id"],
            name=op.f("fk__data_subject_export_parts__data_subject_requests"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "app_id",
            "request_id",
            "section",
            "position",
            name=op.f("pk__data_subject_export_parts"),
        ),
    )
    op.create_table(
        "data_subject_exports",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("link_hash", sa.LargeBinary(), nullable=True),
        sa.Column("download_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_downloaded_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id", "request_id"],
            ["data_subject_requests.app_id", "data_subject_requests.request_id"],
            name=op.f("fk__data_subject_exports__data_subject_requests"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", "request_id", name=op.f("pk__data_subject_exports")),
    )
    op.create_index(
        "ix__data_subject_exports__expires_at", "data_subject_exports", ["expires_at"], unique=False
    )
    op.create_index(
        "ix__data_subject_exports__link_hash", "data_subject_exports", ["link_hash"], unique=False
    )
    op.add_column(
        "audit_entries",
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_column("audit_entries", "details")
    op.drop_index("ix__data_subject_exports__link_hash", table_name="data_subject_exports")
    op.drop_index("ix__data_subject_exports__expires_at", table_name="data_subject_exports")
    op.drop_table("data_subject_exports")
    op.drop_table("data_subject_export_parts")
    op.drop_index(
        "ix__data_subject_executions__next_step_at",
        table_name="data_subject_executions",
        postgresql_where=sa.text("completed_at IS NULL"),
    )
    op.drop_table("data_subject_executions")
