"""Tables of data subject requests, on the one MetaData of `audience.tables`.

A table that grows has `app_id` first in its primary key, and no second index starts with `app_id`
(ARCHITECTURE.md, decision 4). Statements live in the features' `storage.py`.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
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


def _of_a_request() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["app_id", "request_id"],
        ["data_subject_requests.app_id", "data_subject_requests.request_id"],
        ondelete="CASCADE",
    )


# One row is what a person asks for about their data. email is proved once verified_at is set, by
# the means in verified_by; visitor_id, analytics_visitor_id and identities are only claimed by who
# sent the request, unless the team checked them. leader_id: the request of the same person that is
# worked on in place of this one. Deleted by nobody but with its app; its personal content (email
# to note, the reasons) goes with an erasure and after the app's retention: content_erased_at.
data_subject_requests = Table(
    "data_subject_requests",
    metadata,
    _app_id(),
    Column("request_id", Uuid, primary_key=True),
    Column("request_type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("email", Text),
    Column("content", Text),
    Column("visitor_id", Uuid),
    Column("analytics_visitor_id", Text),
    Column("identities", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("hostname", Text),
    Column("note", Text),
    Column("assignee", Text),
    Column("language", Text, nullable=False, server_default=text("'en'")),
    Column("verified_by", Text),
    Column("verification_reason", Text),
    Column("extension_reason", Text),
    Column("leader_id", Uuid),
    moment("received_at"),
    moment("due_at"),
    moment("verified_at", nullable=True),
    moment("extended_at", nullable=True),
    moment("reminded_at", nullable=True),
    moment("closed_at", nullable=True),
    moment("content_erased_at", nullable=True),
    CheckConstraint(
        "request_type IN ('view_data', 'change_data', 'delete_data')", name="request_type"
    ),
    CheckConstraint(
        "status IN ('unverified', 'to_do', 'in_progress', 'resolved', 'rejected', 'cancelled', "
        "'duplicate')",
        name="status",
    ),
    # The last line of defence: whatever the code does, nobody's data is worked on unproved.
    CheckConstraint(
        "verified_at IS NOT NULL OR status NOT IN ('to_do', 'in_progress', 'resolved')",
        name="verified",
    ),
    Index("ix__data_subject_requests__request_id", "request_id"),
    Index("ix__data_subject_requests__email", "email"),
    Index(
        "ix__data_subject_requests__identities",
        "identities",
        postgresql_using="gin",
        postgresql_ops={"identities": "jsonb_path_ops"},
    ),
)

# One row is something that happened to a request: who (requester, system or the name of an API
# credential) and when. detail: a reason; personal content, erased with the request's.
data_subject_request_events = Table(
    "data_subject_request_events",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("request_id", Uuid, primary_key=True),
    Column("event_id", Uuid, primary_key=True),
    moment("occurred_at"),
    Column("actor", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("from_status", Text),
    Column("to_status", Text),
    Column("detail", Text),
    _of_a_request(),
)

# One row is the proof by mail that a request waits for: hashes of the link's secret and, keyed
# with that secret, of the code. Replaced by the next mail; deleted with the request's content.
data_subject_verifications = Table(
    "data_subject_verifications",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("request_id", Uuid, primary_key=True),
    Column("link_hash", LargeBinary, nullable=False),
    Column("code_hash", LargeBinary, nullable=False),
    moment("expires_at"),
    Column("tries_left", SmallInteger, nullable=False),
    Column("mail_count", SmallInteger, nullable=False),
    moment("used_at", nullable=True),
    _of_a_request(),
    Index("ix__data_subject_verifications__link_hash", "link_hash"),
)

# One row is a mail that waits to be sent. What it says is composed when it is sent (by `purpose`),
# so that no secret of a link or code is ever stored. Deleted once it is sent or given up.
mails = Table(
    "mails",
    metadata,
    _app_id(),
    Column("mail_id", Uuid, primary_key=True),
    Column("request_id", Uuid),
    Column("purpose", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("language", Text, nullable=False),
    facts("parameters"),
    Column("try_count", SmallInteger, nullable=False, server_default=text("0")),
    moment("created_at"),
    moment("next_try_at"),
    Index("ix__mails__next_try_at", "next_try_at"),
)

# One row is what an app has set about data subject requests; no row means the defaults. Deleted
# with its app.
data_subject_settings = Table(
    "data_subject_settings",
    metadata,
    _app_id(),
    Column("retention_days", Integer, nullable=False),
    Column("unverified_retention_days", Integer, nullable=False),
    Column("reminder_days", Integer, nullable=False),
    Column("team_email", Text),
    Column("team_language", Text, nullable=False, server_default=text("'en'")),
    moment("updated_at"),
)

# One row is the execution of a request: how far it has come (phase, cursor) and what it did
# (counts: {table: rows}); completed_at is null while a job works on it. instructions and cursor
# hold personal content and are emptied when it is done. hash_key: keys the hashes of corrected
# values in the audit log; emptied by an erasure. Deleted with the request.
data_subject_executions = Table(
    "data_subject_executions",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("request_id", Uuid, primary_key=True),
    Column("phase", Text, nullable=False),
    facts("cursor"),
    facts("counts"),
    facts("instructions"),
    Column("hash_key", LargeBinary, nullable=False),
    facts("started_by"),
    Column("try_count", SmallInteger, nullable=False, server_default=text("0")),
    moment("started_at"),
    moment("next_step_at"),
    moment("completed_at", nullable=True),
    _of_a_request(),
    # The background job looks for work in all apps at once.
    Index(
        "ix__data_subject_executions__next_step_at",
        "next_step_at",
        postgresql_where=text("completed_at IS NULL"),
    ),
)

# One row is an access export that can be downloaded until expires_at; its content is in the parts.
# link_hash: of the secret in the link that was mailed last. Deleted when it has expired, by an
# erasure and with the request.
data_subject_exports = Table(
    "data_subject_exports",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("request_id", Uuid, primary_key=True),
    Column("link_hash", LargeBinary),
    Column("download_count", Integer, nullable=False, server_default=text("0")),
    moment("expires_at"),
    moment("last_downloaded_at", nullable=True),
    _of_a_request(),
    Index("ix__data_subject_exports__link_hash", "link_hash"),
    Index("ix__data_subject_exports__expires_at", "expires_at"),
)

# One row is a piece of an access export: a JSON array of records of one section, in order of
# position. Written step by step while the export is made; deleted before the export's row.
data_subject_export_parts = Table(
    "data_subject_export_parts",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("request_id", Uuid, primary_key=True),
    Column("section", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("content", Text, nullable=False),
    _of_a_request(),
)

# One row is how a controller's system named a request that it sent over OpenDSR, and where it wants
# to hear of changes. reported_status: what the callbacks have said last; body_sha256: tells a
# repetition from another request, emptied with the request's content. Deleted with its request.
opendsr_requests = Table(
    "opendsr_requests",
    metadata,
    Column("app_id", Uuid, primary_key=True),
    Column("request_id", Uuid, primary_key=True),
    Column("subject_request_id", Uuid, nullable=False),
    Column("controller_id", Uuid, nullable=False),
    Column("regulation", Text, nullable=False),
    Column("body_sha256", LargeBinary, nullable=False),
    Column("reported_status", Text, nullable=False),
    moment("submitted_at"),
    texts("callback_urls"),
    _of_a_request(),
    Index("ix__opendsr_requests__subject_request_id", "subject_request_id"),
    # The background job looks every few seconds at what has not ended yet.
    Index(
        "ix__opendsr_requests__reported_status",
        "reported_status",
        postgresql_where=text("reported_status IN ('pending', 'in_progress')"),
    ),
)

# One row is a callback that waits to be sent. Deleted once it is answered or given up.
opendsr_callbacks = Table(
    "opendsr_callbacks",
    metadata,
    _app_id(),
    Column("callback_id", Uuid, primary_key=True),
    Column("request_id", Uuid, nullable=False),
    Column("url", Text, nullable=False),
    Column("request_status", Text, nullable=False),
    Column("try_count", SmallInteger, nullable=False, server_default=text("0")),
    moment("created_at"),
    moment("next_try_at"),
    Index("ix__opendsr_callbacks__next_try_at", "next_try_at"),
)
