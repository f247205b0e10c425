"""Tables of audiences and who is in them."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, Table, Uuid

from audience.tables.columns import metadata, moment

# One row: this profile is in this audience. Written in the transaction that changes the profile,
# deleted when it leaves, with the profile or with the app.
audience_members = Table(
    "audience_members",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("audience_id", Uuid, primary_key=True),
    Column("profile_id", Uuid, primary_key=True),
    moment("member_since"),
    ForeignKeyConstraint(
        ["app_id", "profile_id"], ["profiles.app_id", "profiles.profile_id"], ondelete="CASCADE"
    ),
    Index("ix__audience_members__profile_id", "profile_id"),
)
