"""Requests that name the same user are found by their identities."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_INDEX, _TABLE = "ix__data_subject_requests__identities", "data_subject_requests"


def upgrade() -> None:
    """Add the index."""
    op.create_index(
        _INDEX,
        _TABLE,
        ["identities"],
        postgresql_using="gin",
        postgresql_ops={"identities": "jsonb_path_ops"},
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index(_INDEX, table_name=_TABLE)
