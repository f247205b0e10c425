"""Tables of organizations and apps."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from audience.tables.columns import facts, metadata, moment, texts

# One row is an owner of apps; a batch of writes never spans two (contract D1.11). Never deleted.
organizations = Table(
    "organizations",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    moment("created_at"),
)

# One row is a site or application. Deleting marks it, which hides it everywhere; a job then removes
# everything that is the app's, step by step, and the row at last.
# audiences_revision: another one after each change of an audience, null without audiences; so a
# writer sees under the app's lock whether the definitions it knows still hold.
# purged_audience_ids: deleted audiences that still have members; no read shows them.
# erasure_key: hashes the identifiers of erased profiles; null while none is remembered.
apps = Table(
    "apps",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("organization_id", Uuid, ForeignKey("organizations.organization_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("is_audience_manager_enabled", Boolean, nullable=False, server_default=text("true")),
    Column("is_demo", Boolean, nullable=False, server_default=text("false")),
    texts("blocked_identifier_values"),
    texts("urls"),
    Column("timezone", Text, nullable=False, server_default=text("'UTC'")),
    Column("currency", Text, nullable=False, server_default=text("'USD'")),
    # What differs from `apps/consent_settings.py`.
    facts("consent_settings"),
    # Attributes of a visitor without an approval of this consent type, not older than so many
    # seconds (0: however old), are refused; null: of nobody.
    Column("attribute_consent_type", Text),
    Column("attribute_consent_seconds", Integer, nullable=False, server_default=text("0")),
    Column("audiences_revision", Uuid),
    Column("erasure_key", LargeBinary),
    Column("purged_audience_ids", ARRAY(Uuid), nullable=False, server_default=text("'{}'::uuid[]")),
    moment("created_at"),
    moment("updated_at"),
    moment("deleted_at", nullable=True),
    Index("ix__apps__is_demo", "is_demo", unique=True, postgresql_where=text("is_demo")),
)
