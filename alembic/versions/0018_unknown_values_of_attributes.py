"""Statistics of attributes know how many forgotten profiles may have been counted with anything."""

import sqlalchemy as sa

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the number; it begins anew with the next count."""
    op.add_column(
        "attribute_counts",
        sa.Column("unknown_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_column("attribute_counts", "unknown_count")
