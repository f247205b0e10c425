"""Expired consents are found that count again, because their app has made its period longer."""

import sqlalchemy as sa

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_INDEX, _TABLE = "ix__consent_visitors__expired", "consent_visitors"


def upgrade() -> None:
    """Add the index."""
    op.create_index(
        _INDEX, _TABLE, ["app_id", "last_decided_at"], postgresql_where=sa.text("is_expired")
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index(_INDEX, table_name=_TABLE)
