"""Data subject requests, their history, proofs, mails and settings."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Data subject requests."""
    op.create_table(
        "data_subject_requests",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("request_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("visitor_id", sa.Uuid(), nullable=True),
        sa.Column("analytics_visitor_id", sa.Text(), nullable=True),
        sa.Column(
            "identities",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("hostname", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("assignee", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), server_default=sa.text("'en'"), nullable=False),
        sa.Column("verified_by", sa.Text(), nullable=True),
        sa.Column("verification_reason", sa.Text(), nullable=True),
        sa.Column("extension_reason", sa.Text(), nullable=True),
        sa.Column("leader_id", sa.Uuid(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("extended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("content_erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "request_type IN ('view_data', 'change_data', 'delete_data')",
            name=op.f("ck__data_subject_requests__request_type"),
        ),
        sa.CheckConstraint(
            "status IN ('unverified', 'to_do', 'in_progress', 'resolved', 'rejected', 'cancelled', 'duplicate')",
            name=op.f("ck__data_subject_requests__status"),
        ),
        sa.CheckConstraint(
            "verified_at IS NOT NULL OR status NOT IN ('to_do', 'in_progress', 'resolved')",
            name=op.f("ck__data_subject_requests__verified"),
        ),
        sa.ForeignKeyConstraint(
            ["app_id"],
            ["apps.app_id"],
            name=op.f("fk__data_subject_requests__apps"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", "request_id", name=op.f("pk__data_subject_requests")),
    )
    op.create_index(
        "ix__data_subject_requests__email", "data_subject_requests", ["email"], unique=False
    )
    op.create_index(
        "ix__data_subject_requests__request_id",
        "data_subject_requests",
        ["request_id"],
        unique=False,
    )
    op.create_table(
        "data_subject_settings",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=False),
        sa.Column("unverified_retention_days", sa.Integer(), nullable=False),
        sa.Column("reminder_days", sa.Integer(), nullable=False),
        sa.Column("team_email", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"],
            ["apps.app_id"],
            name=op.f("fk__data_subject_settings__apps"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", name=op.f("pk__data_subject_settings")),
    )
    op.create_table(
        "mails",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("mail_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column(
            "parameters",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("try_count", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.app_id"], name=op.f("fk__mails__apps"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("app_id", "mail_id", name=op.f("pk__mails")),
    )
    op.create_index("ix__mails__next_try_at", "mails", ["next_try_at"], unique=False)
    op.create_table(
        "data_subject_request_events",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id", "request_id"],
            ["data_subject_requests.app_id", "data_subject_requests.request_id"],
            name=op.f("fk__data_subject_request_events__data_subject_requests"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "app_id", "request_id", "event_id", name=op.f("pk__data_subject_request_events")
        ),
    )
    op.create_table(
        "data_subject_verifications",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("link_hash", sa.LargeBinary(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries_left", sa.SmallInteger(), nullable=False),
        sa.Column("mail_count", sa.SmallInteger(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id", "request_id"],
            ["data_subject_requests.app_id", "data_subject_requests.request_id"],
            name=op.f("fk__data_subject_verifications__data_subject_requests"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "app_id", "request_id", name=op.f("pk__data_subject_verifications")
        ),
    )
    op.create_index(
        "ix__data_subject_verifications__link_hash",
        "data_subject_verifications",
        ["link_hash"],
        unique=False,
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index(
        "ix__data_subject_verifications__link_hash", table_name="data_subject_verifications"
    )
    op.drop_table("data_subject_verifications")
    op.drop_table("data_subject_request_events")
    op.drop_index("ix__mails__next_try_at", table_name="mails")
    op.drop_table("mails")
    op.drop_table("data_subject_settings")
    op.drop_index("ix__data_subject_requests__request_id", table_name="data_subject_requests")
    op.drop_index("ix__data_subject_requests__email", table_name="data_subject_requests")
    op.drop_table("data_subject_requests")
