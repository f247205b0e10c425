"""Statistics of attributes know how many profiles' values were forgotten."""

import sqlalchemy as sa

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_LATER = ("profile_count", "refreshed_at", "due_at")


def upgrade() -> None:
    """Add the number; an app may have one before it is first counted."""
    op.add_column(
        "attribute_counts",
        sa.Column("forgotten_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    for column in _LATER:
        op.alter_column("attribute_counts", column, nullable=True)


def downgrade() -> None:
    """Take it back."""
    op.execute("DELETE FROM attribute_counts WHERE refreshed_at IS NULL")
    for column in _LATER:
        op.alter_column("attribute_counts", column, nullable=False)
    op.drop_column("attribute_counts", "forgotten_count")
