"""Tables of erased profiles: what is remembered so that nothing of them comes back."""

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Index, LargeBinary, Table, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from audience.tables.columns import metadata, moment

# One row is the erasure of one profile. hash_key, value_digests: keyed digests of its attribute
# values and forms (8 bytes each), so that a late retry of an old batch is told from a new write.
# pending_profile_ids: the profile and all it had absorbed, while the merge ledger still has rows of
# them; empty when it has none. Deleted some days after the erasure, and with the app.
erasures = Table(
    "erasures",
    metadata,
    Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True),
    Column("erasure_id", Uuid, primary_key=True),
    Column("hash_key", LargeBinary, nullable=False),
    Column("value_digests", LargeBinary, nullable=False),
    Column("pending_profile_ids", ARRAY(Uuid), nullable=False),
    moment("erased_at"),
    moment("remembered_until"),
    # The background job looks for work in all apps at once.
    Index("ix__erasures__remembered_until", "remembered_until"),
)

# One row is an identifier of an erased profile, by its hash with `apps.erasure_key`. blocked_until:
# until then no write may name it (visitor IDs of the analytics system). Deleted with its erasure.
erased_identifiers = Table(
    "erased_identifiers",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("identifier_hash", LargeBinary, primary_key=True),
    Column("erasure_id", Uuid, primary_key=True),
    moment("blocked_until", nullable=True),
    ForeignKeyConstraint(
        ["app_id", "erasure_id"], ["erasures.app_id", "erasures.erasure_id"], ondelete="CASCADE"
    ),
    Index("ix__erased_identifiers__erasure_id", "erasure_id"),
)
