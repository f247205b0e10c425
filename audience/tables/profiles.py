"""Tables of profiles, their identifiers and the merge ledger."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from audience.tables.columns import facts, metadata, moment, texts

# One row is a visitor with everything known of it; see `profiles/profile.py` for the shapes. The
# identifiers are repeated here so that one look-up loads a whole profile. Deleted by a merge (it is
# then in profile_merges), by an erasure or with its app. Many updates: pages keep room for them.
profiles = Table(
    "profiles",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("profile_id", Uuid, primary_key=True),
    moment("created_at"),
    moment("updated_at"),
    Column("user_id", Text),
    Column("email", Text),
    Column("email_as_given", Text),
    texts("device_ids"),
    texts("analytics_visitor_ids"),
    Column("analytics_visitor_id", Text),
    moment("analytics_visitor_seen_at", nullable=True),
    facts("attributes"),
    facts("attribute_written_at"),
    facts("forms"),
    facts("analytics"),
    moment("analytics_at", nullable=True),
    facts("visits"),
    facts("goals"),
    facts("ecommerce"),
    facts("generic"),
    facts("consents"),
    moment("consents_at", nullable=True),
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
    moment("first_seen_at"),
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
# explained and undone). sequence: its place among the merges of an app, which clocks that differ or
# are set back can't tell. Rows stay after an undo; deleted by an erasure or with the app.
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
    moment("merged_at"),
    Column("sequence", BigInteger, Identity(), nullable=False),
    moment("undone_at", nullable=True),
    Index("ix__profile_merges__survivor_profile_id", "survivor_profile_id"),
    Index("ix__profile_merges__absorbed_profile_id", "absorbed_profile_id"),
)

# One row is an identifier that left a profile of the merge ledger other than by a merge, so that an
# erasure finds the ledger's documents that still tell of it. is_erased: its holder was erased, the
# documents are being cleaned; then the row goes. Deleted with the former profile and with the app.
moved_identifiers = Table(
    "moved_identifiers",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("identifier_name", Text, primary_key=True),
    Column("identifier_value", Text, primary_key=True),
    Column("former_profile_id", Uuid, primary_key=True),
    Column("is_erased", Boolean, nullable=False),
    Index("ix__moved_identifiers__former_profile_id", "former_profile_id"),
    # The background job looks for work in all apps at once.
    Index(
        "ix__moved_identifiers__is_erased",
        "former_profile_id",
        postgresql_where=text("is_erased"),
    ),
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
    moment("first_refused_at"),
    moment("last_refused_at"),
    ForeignKeyConstraint(
        ["app_id", "profile_id"], ["profiles.app_id", "profiles.profile_id"], ondelete="CASCADE"
    ),
    # An erasure looks for it.
    Index("ix__merge_refusals__other_profile_id", "other_profile_id"),
)
