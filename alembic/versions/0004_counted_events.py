"""Counted events."""

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Counted events."""
    op.create_table(
        "counted_events",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("event_key", sa.LargeBinary(), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"],
            ["apps.app_id"],
            name=op.f("fk__counted_events__apps"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("app_id", "event_key", name=op.f("pk__counted_events")),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("counted_events")
