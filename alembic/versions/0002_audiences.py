"""audiences."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Audiences."""
    op.add_column(
        "apps", sa.Column("timezone", sa.Text(), server_default=sa.text("'UTC'"), nullable=False)
    )
    op.add_column("apps", sa.Column("audiences_revision", sa.Uuid(), nullable=True))
    op.add_column(
        "apps",
        sa.Column(
            "purged_audience_ids",
            postgresql.ARRAY(sa.Uuid()),
            server_default=sa.text("'{}'::uuid[]"),
            nullable=False,
        ),
    )
    op.add_column(
        "profiles",
        sa.Column(
            "consents",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
    )
    op.add_column("profiles", sa.Column("consents_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "audience_members", sa.Column("matched_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.create_table(
        "audiences",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("audience_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("membership_duration_days", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_filling", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "fill_keeps_stays", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("fill_cursor", sa.Uuid(), nullable=True),
        sa.Column("fill_done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("fill_total", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("fill_timezone", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "membership_duration_days BETWEEN 1 AND 540", name=op.f("ck__audiences__duration")
        ),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.app_id"], name=op.f("fk__audiences__apps"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("app_id", "audience_id", name=op.f("pk__audiences")),
    )
    op.create_index(
        "ix__audiences__is_filling",
        "audiences",
        ["is_filling"],
        unique=False,
        postgresql_where=sa.text("is_filling"),
    )
    op.create_table(
        "audience_count_snapshots",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("audience_id", sa.Uuid(), nullable=False),
        sa.Column("counted_on", sa.Date(), nullable=False),
        sa.Column("member_count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "audience_id"],
            ["audiences.app_id", "audiences.audience_id"],
            name=op.f("fk__audience_count_snapshots__audiences"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "app_id", "audience_id", "counted_on", name=op.f("pk__audience_count_snapshots")
        ),
    )
    op.create_index(
        "ix__audience_count_snapshots__counted_on",
        "audience_count_snapshots",
        ["counted_on"],
        unique=False,
    )
    op.create_table(
        "profile_reevaluations",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("profile_id", sa.Uuid(), nullable=False),
        sa.Column("changes_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id", "profile_id"],
            ["profiles.app_id", "profiles.profile_id"],
            name=op.f("fk__profile_reevaluations__profiles"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", "profile_id", name=op.f("pk__profile_reevaluations")),
    )
    op.create_index(
        "ix__profile_reevaluations__changes_at",
        "profile_reevaluations",
        ["changes_at"],
        unique=False,
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("profile_reevaluations")
    op.drop_table("audience_count_snapshots")
    op.drop_table("audiences")
    op.drop_column("audience_members", "matched_at")
    op.drop_column("profiles", "consents_at")
    op.drop_column("profiles", "consents")
    op.drop_column("apps", "purged_audience_ids")
    op.drop_column("apps", "audiences_revision")
    op.drop_column("apps", "timezone")
