"""Memberships of a profile."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Memberships of a profile."""
    op.create_index(
        "ix__audience_members__profile_id__app_id",
        "audience_members",
        ["profile_id", "app_id"],
        unique=False,
    )
    op.drop_index("ix__audience_members__profile_id", table_name="audience_members")


def downgrade() -> None:
    """Take it back."""
    op.create_index(
        "ix__audience_members__profile_id", "audience_members", ["profile_id"], unique=False
    )
    op.drop_index("ix__audience_members__profile_id__app_id", table_name="audience_members")
