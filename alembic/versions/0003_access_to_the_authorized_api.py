"""access to the authorized API."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Access to the authorized API."""
    op.create_table(
        "audit_entries",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("credential_id", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Uuid(), nullable=True),
        sa.Column("target_type", sa.Text(), nullable=True),
        sa.Column("target_id", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('done', 'refused')", name=op.f("ck__audit_entries__outcome")
        ),
        sa.PrimaryKeyConstraint("organization_id", "entry_id", name=op.f("pk__audit_entries")),
    )
    op.create_table(
        "signing_keys",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("private_key", sa.Text(), nullable=True),
        sa.Column("public_key", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk__signing_keys")),
    )
    op.create_index(
        "ix__signing_keys__active",
        "signing_keys",
        [sa.literal_column("(retired_at IS NULL)")],
        unique=True,
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_table(
        "api_credentials",
        sa.Column("credential_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column(
            "scopes",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.organization_id"],
            name=op.f("fk__api_credentials__organizations"),
        ),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("pk__api_credentials")),
    )
    op.add_column(
        "apps",
        sa.Column(
            "urls",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
    )
    op.add_column(
        "apps", sa.Column("currency", sa.Text(), server_default=sa.text("'USD'"), nullable=False)
    )
    op.add_column(
        "apps",
        sa.Column(
            "consent_settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
    )
    op.add_column("apps", sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE apps SET updated_at = created_at")
    op.alter_column("apps", "updated_at", nullable=False)
    op.add_column("apps", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("apps", "deleted_at")
    op.drop_column("apps", "updated_at")
    op.drop_column("apps", "consent_settings")
    op.drop_column("apps", "currency")
    op.drop_column("apps", "urls")
    op.drop_table("api_credentials")
    op.drop_index(
        "ix__signing_keys__active",
        table_name="signing_keys",
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.drop_table("signing_keys")
    op.drop_table("audit_entries")
