"""Shapes of the token request and its answer, for the description of the API."""

from marshmallow import Schema, fields, validate


class TokenRequest(Schema):
    """A client's id and secret; form-encoded works too."""

    grant_type = fields.String(required=True, validate=validate.OneOf(["client_credentials"]))
    client_id = fields.String(required=True)
    client_secret = fields.String(required=True)


class TokenAnswer(Schema):
    """An access token."""

    token_type = fields.String(validate=validate.OneOf(["Bearer"]))
    expires_in = fields.Integer(metadata={"description": "Seconds."})
    access_token = fields.String()
