"""Shapes of OpenDSR for the description of the API; `wire.py` checks the bodies."""

from marshmallow import Schema, fields, validate

from consent.data_subject_requests.opendsr.wire import IDENTITIES, RAW, REGULATIONS, REQUEST_TYPES


class OpendsrIdentity(Schema):
    """Who the request is about."""

    identity_type = fields.String(required=True, validate=validate.OneOf(list(IDENTITIES)))
    identity_value = fields.String(required=True)
    identity_format = fields.String(required=True, validate=validate.OneOf([RAW]))


class OpendsrRequest(Schema):
    """A controller's request."""

    regulation = fields.String(validate=validate.OneOf(REGULATIONS))
    subject_request_id = fields.UUID(required=True)
    subject_request_type = fields.String(
        required=True, validate=validate.OneOf(list(REQUEST_TYPES))
    )
    subject_identities = fields.List(fields.Nested(OpendsrIdentity), required=True)
    submitted_time = fields.String(required=True, metadata={"description": "RFC 3339."})
    property_id = fields.String(
        metadata={
            "description": "The app ID; may also stand in the extension of our domain, and be left "
            "out by an organization with one app."
        }
    )
    status_callback_urls = fields.List(fields.String())
    extensions = fields.Dict()
    api_version = fields.String()


class OpendsrReceived(Schema):
    """A request was taken."""

    controller_id = fields.String()
    expected_completion_time = fields.String()
    received_time = fields.String()
    encoded_request = fields.String()
    subject_request_id = fields.String()
    api_version = fields.String()


class OpendsrStatus(Schema):
    """How a request stands."""

    controller_id = fields.String()
    expected_completion_time = fields.String()
    subject_request_id = fields.String()
    request_status = fields.String()
    results_url = fields.String()
    api_version = fields.String()


class OpendsrCancelled(Schema):
    """A cancellation was taken."""

    controller_id = fields.String()
    subject_request_id = fields.String()
    received_time = fields.String()
    api_version = fields.String()


class OpendsrDiscovery(Schema):
    """What the service can do."""

    api_version = fields.String()
    supported_identities = fields.List(fields.Dict())
    supported_subject_request_types = fields.List(fields.String())
    processor_certificate = fields.String()
