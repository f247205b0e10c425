"""Requests over OpenDSR, and the language of reminders."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Requests over OpenDSR."""
    op.create_table(
        "opendsr_callbacks",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("callback_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("request_status", sa.Text(), nullable=False),
        sa.Column("try_count", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"],
            ["apps.app_id"],
            name=op.f("fk__opendsr_callbacks__apps"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", "callback_id", name=op.f("pk__opendsr_callbacks")),
    )
    op.create_index(
        "ix__opendsr_callbacks__next_try_at", "opendsr_callbacks", ["next_try_at"], unique=False
    )
    op.create_table(
        "opendsr_requests",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("subject_request_id", sa.Uuid(), nullable=False),
        sa.Column("controller_id", sa.Uuid(), nullable=False),
        sa.Column("regulation", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("reported_status", sa.Text(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "callback_urls",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["app_id", "request_id"],
            ["data_subject_requests.app_id", "data_subject_requests.request_id"],
            name=op.f("fk__opendsr_requests__data_subject_requests"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", "request_id", name=op.f("pk__opendsr_requests")),
    )
    op.create_index(
        "ix__opendsr_requests__subject_request_id",
        "opendsr_requests",
        ["subject_request_id"],
        unique=False,
    )
    op.add_column(
        "data_subject_settings",
        sa.Column("team_language", sa.Text(), server_default=sa.text("'en'"), nullable=False),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_column("data_subject_settings", "team_language")
    op.drop_index("ix__opendsr_requests__subject_request_id", table_name="opendsr_requests")
    op.drop_table("opendsr_requests")
    op.drop_index("ix__opendsr_callbacks__next_try_at", table_name="opendsr_callbacks")
    op.drop_table("opendsr_callbacks")
