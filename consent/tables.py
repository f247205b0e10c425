"""Every table of the consent service, on the one MetaData of `audience.tables`.

A table that grows has `app_id` first in its primary key, and no second index starts with `app_id`
(ARCHITECTURE.md, decision 4). Statements live in the features' `storage.py`. Tables with a row per
visitor or decision have no foreign key to `apps`: it would be checked for each row, and an app's
many rows are deleted in steps anyway (`erasing/`).

`consent_decisions` and `consent_texts` are proof: the service's own database role may only add rows
to the first and read and add to the second. It owns the tables, so it can give itself the right to
delete again; only the removal of a whole app does that, for one transaction.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from audience.tables import metadata
from audience.tables.columns import facts, moment, texts


def _app_id() -> Column[object]:
    return Column("app_id", Uuid, ForeignKey("apps.app_id", ondelete="CASCADE"), primary_key=True)


def _switch(name: str, *, is_on: bool) -> Column[object]:
    return Column(name, Boolean, nullable=False, server_default=text(str(is_on).lower()))


# One row is what an app has set about consent, beside what `apps.consent_settings` has (contract
# H8); no row means the defaults of `forms/settings.py`. Deleted with its app.
consent_settings = Table(
    "consent_settings",
    metadata,
    _app_id(),
    texts("consent_types"),
    Column("position", Text, nullable=False, server_default=text("'popup'")),
    _switch("has_reminder", is_on=True),
    _switch("is_reminder_kept", is_on=True),
    Column("stale_period_seconds", Integer, nullable=False, server_default=text("-1")),
    Column("decision_period_seconds", Integer, nullable=False, server_default=text("31536000")),
    _switch("is_gpc_honoured", is_on=True),
    moment("gpc_changed_at", nullable=True),
    _switch("has_consent_mode", is_on=False),
    Column("languages", JSONB, nullable=False, server_default=text("'[\"en\"]'::jsonb")),
    Column("default_language", Text, nullable=False, server_default=text("'en'")),
    Column("privacy_policy_url", Text),
    texts("origins"),
    _switch("is_erased_on_withdrawal", is_on=False),
    facts("controller"),
    moment("updated_at"),
    CheckConstraint("position IN ('popup', 'bar')", name="position"),
)

# One row is one version of one text in one language: what a visitor could read. Never changed;
# deleted only with its app. origin: published by somebody, or ready-made and shown.
consent_texts = Table(
    "consent_texts",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("history_id", Uuid, primary_key=True),
    Column("language", Text, nullable=False),
    Column("text_key", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("content_sha256", Text, nullable=False),
    Column("origin", Text, nullable=False),
    moment("published_at"),
    CheckConstraint("origin IN ('published', 'ready_made')", name="origin"),
)

# One row says which published version of a text an app shows now, and since when decisions on it
# are asked for again. Replaced by the next publication, deleted with the app.
consent_current_texts = Table(
    "consent_current_texts",
    metadata,
    _app_id(),
    Column("language", Text, primary_key=True),
    Column("text_key", Text, primary_key=True),
    Column("history_id", Uuid, nullable=False),
    moment("asks_again_at", nullable=True),
)

# One row is the key that turns a consent visitor's id into the hash of the visitor's decisions.
# Deleting it makes those decisions anonymous without touching them. Deleted by an erasure and with
# its app.
consent_visitor_keys = Table(
    "consent_visitor_keys",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("visitor_id", Uuid, primary_key=True),
    Column("hash_key", LargeBinary, nullable=False),
    moment("created_at"),
)

# One row is what a consent visitor agreed to now; see `decisions/decide.py` for `state`.
# analytics_visitor_id ties it to a profile. is_expired: it is older than the app's period, and the
# profile has been told. Deleted by an erasure and with its app.
consent_visitors = Table(
    "consent_visitors",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("visitor_id", Uuid, primary_key=True),
    Column("analytics_visitor_id", Text),
    facts("state"),
    Column("last_statuses", Text, nullable=False),
    moment("last_decided_at"),
    moment("last_received_at"),
    moment("created_at"),
    _switch("is_expired", is_on=False),
    Index("ix__consent_visitors__analytics_visitor_id", "analytics_visitor_id"),
    Index(
        "ix__consent_visitors__last_decided_at",
        "last_decided_at",
        "app_id",
        postgresql_where=text("NOT is_expired"),
    ),
    Index(
        "ix__consent_visitors__expired",
        "app_id",
        "last_decided_at",
        postgresql_where=text("is_expired"),
    ),
    postgresql_with={"fillfactor": 80},
)

# One row is a decision as it arrived: the proof. sequence: its place in the app's chain; row_hash
# covers the row and previous_hash, see `decisions/chain.py`. Only ever added; deleted with the app.
consent_decisions = Table(
    "consent_decisions",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("decision_id", Uuid, nullable=False),
    Column("visitor_hash", LargeBinary, nullable=False),
    moment("decided_at"),
    moment("received_at"),
    Column("consents", JSONB, nullable=False),
    Column("hostname", Text, nullable=False),
    Column("consent_scope", SmallInteger),
    Column("consent_action", SmallInteger),
    Column("method", Text),
    Column("consent_source", SmallInteger),
    Column("language", Text),
    Column("is_late", Boolean, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("row_hash", LargeBinary, nullable=False),
    Index("ix__consent_decisions__decision_id", "decision_id", "app_id", unique=True),
    Index("ix__consent_decisions__visitor_hash", "visitor_hash", "sequence"),
)

# One row is the end of an app's chain of decisions. Deleted with its app.
consent_chains = Table(
    "consent_chains",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("last_sequence", BigInteger, nullable=False),
    Column("last_hash", LargeBinary, nullable=False),
)

# One row counts what happened in one hour (its beginning, in the app's timezone) with one set of
# dimensions; 0 stands for a dimension that does not apply. types: one character per consent type,
# in their order: 0, 1, or - when it was not decided. Deleted with the app.
consent_counters = Table(
    "consent_counters",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("counted_hour", DateTime(timezone=True), primary_key=True),
    Column("event_type", SmallInteger, primary_key=True),
    Column("hostname", Text, primary_key=True),
    Column("consent_source", SmallInteger, primary_key=True),
    Column("consent_form_button", SmallInteger, primary_key=True),
    Column("consent_scope", SmallInteger, primary_key=True),
    Column("consent_action", SmallInteger, primary_key=True),
    Column("types", Text, primary_key=True),
    Column("event_count", BigInteger, nullable=False),
)

# One row is a host name that the app's counters have; there are at most 1,000 of an app, so that
# made-up names fill no table. Deleted with the app.
consent_hostnames = Table(
    "consent_hostnames",
    metadata,
    _app_id(),
    Column("hostname", Text, primary_key=True),
    moment("first_seen_at"),
)

# One row is the key of one day of an app: it turns consent visitors into the digests below. Deleted
# when the day has been counted, which makes them anonymous.
consent_day_keys = Table(
    "consent_day_keys",
    metadata,
    _app_id(),
    Column("day", Date, primary_key=True),
    Column("hash_key", LargeBinary, nullable=False),
)

# One row is a consent visitor who saw the form or decided on a day, by a digest with that day's
# key. A day that is over is added up into consent_counters, and its rows are deleted.
consent_day_visitors = Table(
    "consent_day_visitors",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("visitor_digest", LargeBinary, primary_key=True),
    Column("hostname", Text, nullable=False),
    Column("has_decided", Boolean, nullable=False),
)
