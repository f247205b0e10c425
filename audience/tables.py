"""Every table of the audience manager, SQLAlchemy Core, one MetaData.

A table that grows has `app_id` first in its primary key, and no second index starts with `app_id`:
such an index makes the planner scan a whole app that is younger than the table's statistics
(ARCHITECTURE.md, decision 4). Statements live in the features' `storage.py`.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "pk": "pk__%(table_name)s",
        "fk": "fk__%(table_name)s__%(referred_table_name)s",
        "uq": "uq__%(table_name)s__%(column_0_N_name)s",
        "ix": "ix__%(table_name)s__%(column_0_N_name)s",
        "ck": "ck__%(table_name)s__%(constraint_name)s",
    }
)

_EMPTY_OBJECT = text("'{}'::jsonb")
_EMPTY_ARRAY = text("'{}'::text[]")


def _moment(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _facts(name: str) -> Column[object]:
    return Column(name, JSONB, nullable=False, server_default=_EMPTY_OBJECT)


def _texts(name: str) -> Column[object]:
    return Column(name, ARRAY(Text), nullable=False, server_default=_EMPTY_ARRAY)


# One row is an owner of apps; a batch of writes never spans two (contract D1.11). Never deleted.
organizations = Table(
    "organizations",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    _moment("created_at"),
)

# One row is a site or application. Deleting it removes everything that is the app's.
apps = Table(
    "apps",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("organization_id", Uuid, ForeignKey("organizations.organization_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("is_audience_manager_enabled", Boolean, nullable=False, server_default=text("true")),
    Column("is_demo", Boolean, nullable=False, server_default=text("false")),
    _texts("blocked_identifier_values"),
    _moment("created_at"),
    Index("ix__apps__is_demo", "is_demo", unique=True, postgresql_where=text("is_demo")),
)

# One row is an attribute name of an app with its type; made by the first write of the name or by
# declaring it (value_type is null until the first value). Deleted with its app.
attribute_definitions = Table(
    "attribute_definitions",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("field_type", Text, primary_key=True),
    Column("attribute_name", Text, primary_key=True),
    Column("value_type", Text),
    _moment("first_seen_at"),
    CheckConstraint("field_type IN ('attributes', 'analytics')", name="field_type"),
    CheckConstraint("value_type IN ('text', 'numeric')", name="value_type"),
)

# One row lets the public API show one attribute of an app; without a row nothing is shown. A table
# of its own, so that a public read touches only what it may show. Deleted by `deny`, with the app.
attribute_whitelist = Table(
    "attribute_whitelist",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("field_type", Text, primary_key=True),
    Column("attribute_name", Text, primary_key=True),
    _moment("allowed_at"),
    CheckConstraint("field_type IN ('attributes', 'analytics')", name="field_type"),
)

# One row is a visitor with everything known of it; see `profiles/profile.py` for the shapes. The
# identifiers are repeated here so that one look-up loads a whole profile. Deleted by a merge (it is
# then in profile_merges), by an erasure or with its app. Many updates: pages keep room for them.
profiles = Table(
    "profiles",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("profile_id", Uuid, primary_key=True),
    _moment("created_at"),
    _moment("updated_at"),
    Column("user_id", Text),
    Column("email", Text),
    Column("email_as_given", Text),
    _texts("device_ids"),
    _texts("analytics_visitor_ids"),
    Column("analytics_visitor_id", Text),
    _moment("analytics_visitor_seen_at", nullable=True),
    _facts("attributes"),
    _facts("attribute_written_at"),
    _facts("forms"),
    _facts("analytics"),
    _moment("analytics_at", nullable=True),
    _facts("visits"),
    _facts("goals"),
    _facts("ecommerce"),
    _facts("generic"),
    postgresql_with={"fillfactor": 80},
)

# One row says which profile holds an identifier; the primary key is the last guard against two
# profiles for one. Moved by a merge, deleted with its profile.
profile_identifiers = Table(
    "profile_identifiers",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("identifier_name", Text, primary_key=True),
    Column("identifier_value", Text, primary_key=True),
    Column("profile_id", Uuid, nullable=False),
    _moment("first_seen_at"),
    ForeignKeyConstraint(
        ["app_id", "profile_id"], ["profiles.app_id", "profiles.profile_id"], ondelete="CASCADE"
    ),
    CheckConstraint(
        "identifier_name IN ('user_id', 'email', 'device_id', 'analytics_visitor_id')",
        name="identifier_name",
    ),
    Index("ix__profile_identifiers__profile_id", "profile_id"),
)

# One row is a merge: who stayed, who went, why, and both documents as they were (so that it can be
# explained and undone). Rows stay after an undo; deleted by an erasure or with the app.
profile_merges = Table(
    "profile_merges",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("merge_id", Uuid, primary_key=True),
    Column("survivor_profile_id", Uuid, nullable=False),
    Column("absorbed_profile_id", Uuid, nullable=False),
    Column("identifiers", JSONB, nullable=False),
    Column("survivor_before", JSONB, nullable=False),
    Column("absorbed_before", JSONB, nullable=False),
    _moment("merged_at"),
    _moment("undone_at", nullable=True),
    Index("ix__profile_merges__survivor_profile_id", "survivor_profile_id"),
    Index("ix__profile_merges__absorbed_profile_id", "absorbed_profile_id"),
)

# One row is a merge (or an attachment: other_profile_id is the profile itself) that was refused,
# with how often it was asked for. Deleted with the profile or the app.
merge_refusals = Table(
    "merge_refusals",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("profile_id", Uuid, primary_key=True),
    Column("other_profile_id", Uuid, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("refused_count", Integer, nullable=False),
    _moment("first_refused_at"),
    _moment("last_refused_at"),
    ForeignKeyConstraint(
        ["app_id", "profile_id"], ["profiles.app_id", "profiles.profile_id"], ondelete="CASCADE"
    ),
)

# One row: this profile is in this audience. Written in the transaction that changes the profile,
# deleted when it leaves, with the profile or with the app.
audience_members = Table(
    "audience_members",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("audience_id", Uuid, primary_key=True),
    Column("profile_id", Uuid, primary_key=True),
    _moment("member_since"),
    ForeignKeyConstraint(
        ["app_id", "profile_id"], ["profiles.app_id", "profiles.profile_id"], ondelete="CASCADE"
    ),
    Index("ix__audience_members__profile_id", "profile_id"),
)
