"""Access tokens: POST /auth/token and the public keys (contract D4)."""

import base64
import binascii
from typing import Any

import orjson
from aiohttp import web

from audience.apps.credentials.operations import TOKEN_LIFETIME_SECONDS, issue_token
from audience.apps.signing.operations import list_public_keys
from audience.apps.tokens.schemas import TokenAnswer, TokenRequest
from audience.errors import DomainError, Invalid, Unauthenticated
from audience.server import clock
from audience.server.error_response import add_retry_after, status_of
from audience.server.keys import DATABASE, SETTINGS
from audience.server.openapi import described
from audience.server.request_body import read_form, read_json

_GRANT = "client_credentials"
_FORM = "application/x-www-form-urlencoded"
_MAX_FIELD_CHARACTERS = 1024


@described(body=TokenRequest, answer=TokenAnswer)
async def create_token(request: web.Request) -> web.Response:
    """POST /auth/token -> 200 {"token_type", "expires_in", "access_token"}.

    Body: JSON or form-encoded grant_type (client_credentials), client_id, client_secret; the last
    two may come as HTTP Basic instead. 401 invalid_client, 400 invalid_request or
    unsupported_grant_type, as OAuth 2 JSON.  Source: contract D4.1, D4.5; RFC 6749.
    """
    given = await _read_fields(request)
    if given["grant_type"] != _GRANT:
        message = f"grant_type must be {_GRANT}"
        raise Invalid(message, code="unsupported_grant_type")
    now = clock.now()
    settings = request.app[SETTINGS]
    async with request.app[DATABASE].transaction() as conn:
        token = await issue_token(
            conn,
            client_id=given["client_id"].lower(),
            client_secret=given["client_secret"],
            issuer=settings.token_issuer,
            origin=f"{request.scheme}://{request.host}{settings.root_path}",
            token_id=clock.new_id(),
            now=now,
        )
    body = {"token_type": "Bearer", "expires_in": TOKEN_LIFETIME_SECONDS, "access_token": token}
    return _json(200, body)


async def show_public_keys(request: web.Request) -> web.Response:
    """GET /auth/jwks.json -> 200, the JWK set that verifies access tokens and receipts."""
    async with request.app[DATABASE].transaction() as conn:
        keys = await list_public_keys(conn, clock.now())
    return _json(200, keys)


def oauth_error(error: DomainError) -> web.Response:
    """A refusal as OAuth 2 has it (RFC 6749, 5.2)."""
    status = status_of(error)
    code = error.code
    if isinstance(error, Invalid) and code == Invalid.code:
        code = "invalid_request"
    response = _json(status, {"error": code, "error_description": error.message})
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = 'Basic realm="audience-consent"'
    return add_retry_after(response, error)


def oauth_failure(status: int, code: str, description: str) -> web.Response:
    """A failure that is none of the domain's, in the same form."""
    return _json(status, {"error": code, "error_description": description})


async def _read_fields(request: web.Request) -> dict[str, str]:
    given: Any = None
    if request.content_type == _FORM:
        given = await read_form(request)
    else:
        given = await read_json(request)
    if not isinstance(given, dict):
        message = "the body must be a JSON object or form-encoded"
        raise Invalid(message)
    fields: dict[str, Any] = {**_basic(request.headers.get("Authorization", "")), **given}
    for name in ("grant_type", "client_id", "client_secret"):
        value = fields.get(name)
        if not isinstance(value, str) or not 1 <= len(value) <= _MAX_FIELD_CHARACTERS:
            message = f"{name} is required, a string of at most {_MAX_FIELD_CHARACTERS} characters"
            raise Invalid(message)
    return fields


def _basic(authorization: str) -> dict[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return {}
    client_id, _, secret = decoded.partition(":")
    return {"client_id": client_id, "client_secret": secret}


def _json(status: int, document: object) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(document),
        headers={"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"},
    )
