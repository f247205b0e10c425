"""OpenDSR requests that have not ended are found by an index."""

import sqlalchemy as sa

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index what the background job looks at every few seconds."""
    op.create_index(
        "ix__opendsr_requests__reported_status",
        "opendsr_requests",
        ["reported_status"],
        unique=False,
        postgresql_where=sa.text("reported_status IN ('pending', 'in_progress')"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix__opendsr_requests__reported_status", table_name="opendsr_requests")
