"""Tables of audiences, who is in them, and how many were."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from audience.tables.columns import metadata, moment

# One row is an audience. fill_*: how far its members have been worked out since the definition last
# changed: is_filling until all profiles are done, in the order of their ids, up to fill_cursor;
# fill_timezone: the app's time zone they were worked out in. fill_keeps_stays: the fill is of an
# unchanged definition, members who stay for their duration keep staying. Deleting only marks it;
# the row goes with the app.
audiences = Table(
    "audiences",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("audience_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("definition", JSONB, nullable=False),
    Column("membership_duration_days", Integer),
    Column("version", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("is_deleted", Boolean, nullable=False, server_default=text("false")),
    moment("created_at"),
    moment("updated_at"),
    Column("is_filling", Boolean, nullable=False, server_default=text("false")),
    Column("fill_keeps_stays", Boolean, nullable=False, server_default=text("false")),
    Column("fill_cursor", Uuid),
    Column("fill_done", BigInteger, nullable=False, server_default=text("0")),
    Column("fill_total", BigInteger, nullable=False, server_default=text("0")),
    Column("fill_timezone", Text),
    CheckConstraint("membership_duration_days BETWEEN 1 AND 540", name="duration"),
    # The background job looks for work in all apps at once.
    Index("ix__audiences__is_filling", "is_filling", postgresql_where=text("is_filling")),
)

# One row: this profile is in this audience. Written in the transaction that changes the profile,
# deleted when it leaves, with the profile or with the app. matched_at, only in audiences with a
# duration: the last update at which the profile matched; null while it does (then that is the
# profile's updated_at).
audience_members = Table(
    "audience_members",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("audience_id", Uuid, primary_key=True),
    Column("profile_id", Uuid, primary_key=True),
    moment("member_since"),
    moment("matched_at", nullable=True),
    ForeignKeyConstraint(
        ["app_id", "profile_id"], ["profiles.app_id", "profiles.profile_id"], ondelete="CASCADE"
    ),
    # Both columns: else a generic plan may look through the primary key, audience by audience.
    Index("ix__audience_members__profile_id__app_id", "profile_id", "app_id"),
)

# One row: the profile's memberships may change by time alone at that moment, hardly later and
# perhaps earlier. Replaced when it is re-evaluated, deleted when nothing can change any more, with
# the profile or with the app.
profile_reevaluations = Table(
    "profile_reevaluations",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("profile_id", Uuid, primary_key=True),
    moment("changes_at"),
    ForeignKeyConstraint(
        ["app_id", "profile_id"], ["profiles.app_id", "profiles.profile_id"], ondelete="CASCADE"
    ),
    Index("ix__profile_reevaluations__changes_at", "changes_at"),
)

# One row is how many members an audience had at the beginning of a UTC day. Deleted after 60 days
# and with the app.
audience_count_snapshots = Table(
    "audience_count_snapshots",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("audience_id", Uuid, primary_key=True),
    Column("counted_on", Date, primary_key=True),
    Column("member_count", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["app_id", "audience_id"], ["audiences.app_id", "audiences.audience_id"], ondelete="CASCADE"
    ),
    Index("ix__audience_count_snapshots__counted_on", "counted_on"),
)
