"""Signing with keys that live in the database, so that every process signs alike.

Source: issue "Audiences and the authorized API", Access. RSA, 2,048 bits, RS256 (contract D4.4).
"""

import asyncio
import json
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.apps.signing import storage
from audience.apps.signing.storage import SigningKey
from audience.server.clock import new_id

ALGORITHM = "RS256"
_KEY_BITS = 2048
_PUBLIC_EXPONENT = 65537
_MAX_KEY_ID_CHARACTERS = 64


async def sign(conn: AsyncConnection, claims: dict[str, Any], now: datetime, *, kind: str) -> str:
    """The claims as a compact JWS, signed with the active key (made when there is none).

    kind: the `typ` of the header, which tells access tokens from receipts.
    """
    key = await active_key(conn, now)
    headers = {"typ": kind, "kid": key.key_id}
    return jwt.encode(claims, private_key(key), algorithm=ALGORITHM, headers=headers)


async def verify(conn: AsyncConnection, token: str, *, kind: str = "JWT") -> dict[str, Any]:
    """The claims of a JWS that one of our keys signed; what they mean is the caller's business.

    Errors: jwt.InvalidTokenError for anything else: another algorithm, key, kind or signature.
    """
    if not token.isascii():
        message = "a token is ASCII"
        raise jwt.InvalidTokenError(message)
    header = jwt.get_unverified_header(token)
    key_id = header.get("kid")
    if header.get("typ") != kind or not isinstance(key_id, str):
        message = "no token of this kind"
        raise jwt.InvalidTokenError(message)
    found = None
    if len(key_id) <= _MAX_KEY_ID_CHARACTERS and key_id.isascii() and key_id.isprintable():
        found = await storage.find_public_key(conn, key_id)
    if found is None:
        message = "unknown key"
        raise jwt.InvalidTokenError(message)
    options: Any = {"verify_exp": False, "verify_aud": False, "verify_iat": False}
    claims: dict[str, Any] = jwt.decode(
        token, jwt.PyJWK(found), algorithms=[ALGORITHM], options=options
    )
    return claims


async def rotate_signing_key(conn: AsyncConnection, now: datetime) -> str:
    """Sign with a new key from now on; its id. What the old one signed stays valid."""
    await storage.lock_signing_keys(conn)
    await storage.retire_active_key(conn, now)
    return (await _make_key(conn, now)).key_id


async def list_public_keys(conn: AsyncConnection, now: datetime) -> dict[str, Any]:
    """The JWK set of every key that signs or signed."""
    await active_key(conn, now)
    return {"keys": await storage.list_public_keys(conn)}


async def active_key(conn: AsyncConnection, now: datetime) -> SigningKey:
    """The key that signs; made when there is none."""
    found = await storage.find_active_key(conn)
    if found is not None:
        return found
    await storage.lock_signing_keys(conn)
    # Somebody may have made it while this one waited.
    return await storage.find_active_key(conn) or await _make_key(conn, now)


def private_key(found: SigningKey) -> rsa.RSAPrivateKey:
    """The key to sign with.  Errors: TypeError for one of another kind."""
    # Whether its primes are primes would take a hundred times as long as signing, each time; this
    # service made them.
    key = serialization.load_pem_private_key(
        found.private_key.encode(), None, unsafe_skip_rsa_key_validation=True
    )
    if not isinstance(key, rsa.RSAPrivateKey):
        message = f"the signing key {found.key_id} is no RSA key"
        raise TypeError(message)
    return key


async def _make_key(conn: AsyncConnection, now: datetime) -> SigningKey:
    # Takes some hundred milliseconds of computing.
    private = await asyncio.to_thread(
        rsa.generate_private_key, public_exponent=_PUBLIC_EXPONENT, key_size=_KEY_BITS
    )
    key = SigningKey(
        new_id(),
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )
    public = json.loads(RSAAlgorithm.to_jwk(private.public_key()))
    await storage.insert_key(
        conn,
        key,
        {"kty": "RSA", "n": public["n"], "e": public["e"]}
        | {"use": "sig", "alg": ALGORITHM, "kid": key.key_id},
        now,
    )
    return key
