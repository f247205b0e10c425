"""Table of orders and goal conversions that were counted."""

from sqlalchemy import Column, ForeignKey, LargeBinary, Table, Uuid

from audience.tables.columns import metadata, moment

# One row: this order or goal conversion of the app was counted, so that a repeated fact adds
# nothing, whichever profile it lands on by then. The key is a digest and names no profile: it
# outlives merges and erasures. Deleted with the app.
counted_events = Table(
    "counted_events",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("event_key", LargeBinary, primary_key=True),
    moment("counted_at"),
)
