"""Shapes of requests in the authorized API."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from audience.server.schema_fields import Moment, PageQuery, QueryBoolean, UuidText, text_field
from consent.data_subject_requests.identifier_schema import NamedIdentifier
from consent.data_subject_requests.intake.received import (
    MAX_CONTENT_CHARACTERS,
    MAX_EMAIL_CHARACTERS,
)
from consent.data_subject_requests.lifecycle import REQUEST_TYPES, STATUSES
from consent.data_subject_requests.texts import LANGUAGES

CHANNELS = ("form", "letter", "mail", "phone", "other", "opendsr")
#: How a request can have reached the team.
NOTED_CHANNELS = ("letter", "mail", "phone", "other")
ORDERS = ("received_at", "-received_at", "due_at", "-due_at")
MAX_REASON_CHARACTERS = 1000
MAX_NAME_CHARACTERS = 200
MAX_IDENTITIES = 20


def _one_of(names: tuple[str, ...]) -> validate.OneOf:
    return validate.OneOf(names, error=f"must be one of {', '.join(names)}")


class Identity(NamedIdentifier):
    """An identifier that the requester names."""


class RequestCreation(Schema):
    """A request that came by letter, mail or telephone."""

    website_id = UuidText(required=True, metadata={"description": "The app ID."})
    request_type = fields.String(required=True, validate=_one_of(REQUEST_TYPES))
    channel = fields.String(load_default="letter", validate=_one_of(NOTED_CHANNELS))
    email = text_field(MAX_EMAIL_CHARACTERS)
    identities = fields.List(
        fields.Nested(Identity),
        load_default=list,
        validate=validate.Length(
            0, MAX_IDENTITIES, error=f"may have at most {MAX_IDENTITIES} entries"
        ),
        metadata={"description": "Identifiers that the requester names beside the e-mail."},
    )
    content = text_field(MAX_CONTENT_CHARACTERS, shortest=0)
    language = fields.String(load_default="en", validate=_one_of(LANGUAGES))
    received_at = Moment(
        metadata={"description": "When it arrived, at most a year ago; now when left out."}
    )
    asks_for_proof = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=False,
        metadata={"description": "Send link and code to the e-mail."},
    )

    @validates_schema
    def check_person(self, data: dict[str, Any], **_options: Any) -> None:
        """A request must say whose data it is about."""
        if not data.get("email") and not data.get("identities"):
            message = "email or identities is required: whose data is it about?"
            raise ValidationError(message, "email")
        if data.get("asks_for_proof") and not data.get("email"):
            message = "is required to send a link and a code"
            raise ValidationError(message, "email")


class RequestChange(Schema):
    """What the team may change of a request."""

    status = fields.String(validate=_one_of(STATUSES))
    reason = text_field(
        MAX_REASON_CHARACTERS,
        metadata={
            "description": "Why the status changes; told to the requester when it is `rejected`."
        },
    )
    leader_id = UuidText(
        metadata={
            "description": "With status `duplicate`: the open request that is worked on instead."
        }
    )
    note = text_field(MAX_CONTENT_CHARACTERS, shortest=0, allow_none=True)
    assignee = text_field(MAX_NAME_CHARACTERS, shortest=0, allow_none=True)


class Verification(Schema):
    """Proof by hand, or one more mail."""

    method = fields.String(
        load_default="hand",
        validate=_one_of(("hand", "mail")),
        metadata={"description": "`hand`: the team checked; `mail`: send link and code (again)."},
    )
    reason = text_field(
        MAX_REASON_CHARACTERS,
        metadata={"description": "How the identity was checked; required for `hand`."},
    )


class Extension(Schema):
    """Two more months."""

    reason = text_field(
        MAX_REASON_CHARACTERS,
        required=True,
        metadata={"description": "Why it takes longer; the requester is told."},
    )


class HistoryEntry(Schema):
    """Something that happened to a request."""

    occurred_at = fields.String()
    actor = fields.String(
        metadata={"description": "`requester`, `system` or the name of a credential."}
    )
    event = fields.String()
    from_status = fields.String()
    to_status = fields.String()
    detail = fields.String()


class RequestAnswer(Schema):
    """A request as it is shown; history and duplicates only when it is asked for alone."""

    website_id = fields.String()
    request_type = fields.String()
    status = fields.String(validate=validate.OneOf(STATUSES))
    channel = fields.String(validate=validate.OneOf(CHANNELS))
    email = fields.String()
    identities = fields.List(fields.Nested(Identity))
    content = fields.String()
    visitor_id = fields.String()
    analytics_visitor_id = fields.String()
    hostname = fields.String()
    language = fields.String()
    note = fields.String()
    assignee = fields.String()
    received_at = fields.String()
    due_at = fields.String()
    days_left = fields.Integer()
    is_overdue = fields.Boolean()
    is_verified = fields.Boolean()
    verified_at = fields.String()
    verified_by = fields.String(validate=validate.OneOf(["mail", "hand", "opendsr"]))
    verification_reason = fields.String()
    extended_at = fields.String()
    extension_reason = fields.String()
    leader_id = fields.String(
        metadata={"description": "The request that is worked on in place of this duplicate."}
    )
    closed_at = fields.String()
    content_erased_at = fields.String()
    history = fields.List(fields.Nested(HistoryEntry))
    duplicates = fields.List(fields.String(), metadata={"description": "Ids of its duplicates."})
    consents = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={"description": "What the visitor who sent it agrees to now, {type: status}."},
    )


class RequestsQuery(PageQuery):
    """Which requests."""

    website_id = UuidText(metadata={"description": "Only requests to this app."})
    request_type = fields.String(
        data_key="type", validate=_one_of(REQUEST_TYPES), metadata={"description": "Only these."}
    )
    status = fields.String(validate=_one_of(STATUSES))
    overdue = QueryBoolean(
        metadata={
            "description": "true: past its date and to_do or in_progress, or unverified and not "
            "from the form; false: all others."
        }
    )
    email = fields.String(validate=validate.Length(1, MAX_EMAIL_CHARACTERS))
    order_by = fields.String(load_default="-received_at", validate=_one_of(ORDERS))
