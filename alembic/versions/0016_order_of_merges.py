"""Merges know their order, whatever the clocks of the processes say."""

import sqlalchemy as sa

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Number the merges; those that are there in the order of their times."""
    op.add_column(
        "profile_merges", sa.Column("sequence", sa.BigInteger(), sa.Identity(), nullable=False)
    )
    op.execute(
        """
        UPDATE profile_merges m SET sequence = ordered.place FROM (
            SELECT app_id, merge_id, row_number() OVER (ORDER BY merged_at, merge_id) AS place
            FROM profile_merges
        ) ordered
        WHERE m.app_id = ordered.app_id AND m.merge_id = ordered.merge_id
        """
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_column("profile_merges", "sequence")
