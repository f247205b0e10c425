"""Shapes of history in the authorized API."""

from marshmallow import Schema, fields, validate

from audience.server.schema_fields import Moment, PageQuery, UuidText
from consent.forms.schemas import AppQuery

CSV, JSON = "csv", "json"
_PAIR = {"description": "[id, label], null where it does not apply."}


class HistoryQuery(PageQuery, AppQuery):
    """Which decisions of a visitor."""


class ReceiptQuery(AppQuery):
    """Which decision's receipt."""

    decision_id = UuidText(
        load_default=None, metadata={"description": "The newest decision when left out."}
    )


class HistoryExportQuery(AppQuery):
    """Which decisions of an app, and in which form."""

    format = fields.String(load_default=CSV, validate=validate.OneOf((CSV, JSON)))
    received_from = Moment(load_default=None)
    received_before = Moment(load_default=None)


class ConsentDecisionAnswer(Schema):
    """A decision as it arrived."""

    sequence = fields.Integer(metadata={"description": "Its place in the app's chain."})
    decided_at = fields.String()
    received_at = fields.String()
    consents = fields.Dict(
        metadata={"description": "{type: {status, historyId, isUnknown, gpc}}, and `intro`."}
    )
    hostname = fields.String()
    consent_scope = fields.List(fields.Raw(), allow_none=True, metadata=_PAIR)
    consent_action = fields.List(fields.Raw(), allow_none=True, metadata=_PAIR)
    consent_source = fields.List(fields.Raw(), allow_none=True, metadata=_PAIR)
    method = fields.String(allow_none=True)
    language = fields.String(allow_none=True)
    is_late = fields.Boolean(metadata={"description": "It came after a newer one."})
    visitor_hash = fields.String()
    row_hash = fields.String()


class ConsentStateAnswer(Schema):
    """What a visitor agreed to now."""

    consents = fields.Dict(
        metadata={"description": "{type: {status, decided_at, history_id, is_gpc}}"}
    )
    expired = fields.List(
        fields.String(), metadata={"description": "Types whose decision is too old to count."}
    )
    analytics_visitor_id = fields.String(allow_none=True)
    last_decided_at = fields.String(allow_none=True)


class ConsentReceiptAnswer(Schema):
    """A signed receipt."""

    jws = fields.String(metadata={"description": "To be verified with /auth/jwks.json."})
    receipt = fields.Dict(metadata={"description": "Its claims: ISO/IEC TS 27560."})
