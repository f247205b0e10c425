"""Making, listing and revoking credentials; exchanging them for access tokens; checking tokens.

Source: contract D4; issue "Audiences and the authorized API", Access.
"""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.apps import storage as app_storage
from audience.apps.access import Caller, check_scopes
from audience.apps.credentials import storage
from audience.apps.credentials.storage import Credential
from audience.apps.operations import check_name
from audience.apps.signing import operations as signing
from audience.errors import Invalid, NotFound, Unauthenticated
from audience.uuid_text import UUID_PATTERN

TOKEN_LIFETIME_SECONDS = 1800
#: Clocks of two machines may differ by so much.
LEEWAY_SECONDS = 10
#: How exactly `last_used_at` is kept: each use would cost a write.
_USE_NOTED_EVERY = timedelta(seconds=60)
_SECRET_BYTES = 32

_NOT_AUTHORIZED = "access token not authorized"


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What is shown once."""

    client_id: str
    client_secret: str


async def create_credential(
    conn: AsyncConnection,
    *,
    name: str,
    organization: str,
    scopes: Collection[str],
    ids: tuple[str, str],
    now: datetime,
) -> NewCredential:
    """A new credential; its secret is nowhere else from now on.

    ids: for the credential, and for the organization when it does not exist yet.
    Errors: Invalid for the name, the organization or a scope.
    """
    for field, value in (("name", name), ("organization", organization)):
        check_name(field, value)
    try:
        granted = check_scopes(scopes)
    except ValueError as error:
        raise Invalid(str(error), path="scope") from None
    owner = await app_storage.ensure_organization(conn, ids[1], organization, now)
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    new = Credential(
        ids[0], name, str(owner), organization, _hash(secret), tuple(sorted(granted)), now
    )
    await storage.insert_credential(conn, new)
    return NewCredential(ids[0], secret)


async def revoke_credential(conn: AsyncConnection, client_id: str, now: datetime) -> None:
    """End the credential and all its tokens.  Errors: NotFound."""
    if not await storage.revoke_credential(conn, client_id, now):
        message = f"there is no live credential {client_id}; `credentials list` shows all"
        raise NotFound(message, path="client_id")


async def issue_token(
    conn: AsyncConnection,
    *,
    client_id: str,
    client_secret: str,
    issuer: str,
    origin: str,
    token_id: str,
    now: datetime,
) -> str:
    """An access token of 1,800 seconds: RS256, claims of contract D4.4.

    Errors: Unauthenticated("invalid_client"), the same in form and time for every reason.
    """
    credential = None
    if UUID_PATTERN.fullmatch(client_id):
        credential = await storage.find_credential(conn, client_id)
    stored = credential.secret_hash if credential is not None else _hash("")
    is_right = hmac.compare_digest(stored, _hash(client_secret))
    if credential is None or not is_right or credential.revoked_at is not None:
        message = "Client authentication failed"
        raise Unauthenticated(message, code="invalid_client")
    await storage.save_credential_use(conn, credential.credential_id, now)
    issued = int(now.timestamp())
    claims = {
        "iss": issuer,
        "aud": f"{origin}/settings",
        "sub": credential.credential_id,
        "org": credential.organization,
        "scope": " ".join(credential.scopes),
        "iat": issued,
        "exp": issued + TOKEN_LIFETIME_SECONDS,
        "jti": token_id,
    }
    return await signing.sign(conn, claims, now, kind="JWT")


async def authenticate(
    conn: AsyncConnection, authorization: str | None, issuer: str, now: datetime
) -> Caller:
    """The caller that an Authorization header names.

    The credential is looked up each time, so that revoking it ends its tokens at once.
    Errors: Unauthenticated with the documented texts (contract D4.6, D4.8).
    """
    if authorization is None:
        message = "JWT not found"
        raise Unauthenticated(message)
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(_NOT_AUTHORIZED)
    claims = await _verified_claims(conn, token.strip(), issuer, now)
    credential = await storage.find_credential(conn, claims["sub"])
    if credential is None or credential.revoked_at is not None:
        raise Unauthenticated(_NOT_AUTHORIZED)
    if credential.last_used_at is None or now - credential.last_used_at > _USE_NOTED_EVERY:
        await storage.save_credential_use(conn, credential.credential_id, now)
    return caller_with(credential)


async def _verified_claims(
    conn: AsyncConnection, token: str, issuer: str, now: datetime
) -> dict[str, Any]:
    try:
        claims = await signing.verify(conn, token)
    except jwt.InvalidTokenError:
        raise Unauthenticated(_NOT_AUTHORIZED) from None
    expires, subject = claims.get("exp"), claims.get("sub")
    # Receipts are signed with the same keys: only an access token has all of these.
    if (
        claims.get("iss") != issuer
        or not isinstance(expires, int)
        or not isinstance(subject, str)
        or not UUID_PATTERN.fullmatch(subject)
        or "scope" not in claims
    ):
        raise Unauthenticated(_NOT_AUTHORIZED)
    if now.timestamp() >= expires + LEEWAY_SECONDS:
        message = "Expired JWT Token"
        raise Unauthenticated(message)
    return claims


def caller_with(credential: Credential) -> Caller:
    """The caller that a live credential stands for."""
    return Caller(
        credential.credential_id,
        credential.name,
        credential.organization_id,
        credential.organization,
        frozenset(credential.scopes),
    )


def _hash(secret: str) -> str:
    # The secret is 256 random bits: nothing could be guessed that a slow hash would protect.
    return hashlib.sha256(secret.encode()).hexdigest()
