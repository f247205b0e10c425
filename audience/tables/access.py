"""Tables of API credentials, signing keys and the audit log."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from audience.tables.columns import metadata, moment, texts

# One row is a client of the authorized API: its client_id is credential_id, of the secret only a
# hash is kept. Revoking marks it; never deleted, so that the audit log can name it.
api_credentials = Table(
    "api_credentials",
    metadata,
    Column("credential_id", Uuid, primary_key=True),
    Column("organization_id", Uuid, ForeignKey("organizations.organization_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_hash", Text, nullable=False),
    texts("scopes"),
    moment("created_at"),
    moment("last_used_at", nullable=True),
    moment("revoked_at", nullable=True),
)

# One row is a key pair that signs (or signed) access tokens and receipts. Exactly one is not
# retired. Retired ones stay: receipts must be verifiable for as long as somebody keeps them.
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("private_key", Text),
    Column("public_key", JSONB, nullable=False),
    moment("created_at"),
    moment("retired_at", nullable=True),
    Index(
        "ix__signing_keys__active",
        text("(retired_at IS NULL)"),
        unique=True,
        postgresql_where=text("retired_at IS NULL"),
    ),
)

# One row says who did (or was refused) what, when, on what; never the values. details: what a
# correction changed, values only as keyed hashes. Deleted by nobody.
audit_entries = Table(
    "audit_entries",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("entry_id", Uuid, primary_key=True),
    moment("occurred_at"),
    Column("credential_id", Uuid),
    Column("actor", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("app_id", Uuid),
    Column("target_type", Text),
    Column("target_id", Text),
    Column("details", JSONB),
    CheckConstraint("outcome IN ('done', 'refused')", name="outcome"),
)
