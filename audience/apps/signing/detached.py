"""Detached signatures with the active key, and the certificate that verifies them.

For protocols that sign the bytes of an answer instead of sending a JWS (OpenDSR).
"""

import asyncio
import hashlib
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import NameOID
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.apps.signing import storage
from audience.apps.signing.operations import active_key, private_key

_VALID_DAYS = 3650


async def sign_bytes(conn: AsyncConnection, content: bytes, now: datetime) -> bytes:
    """RSA signature (PKCS #1 v1.5) of the content's SHA-256, with the active key."""
    key = private_key(await active_key(conn, now))
    return await asyncio.to_thread(key.sign, content, padding.PKCS1v15(), hashes.SHA256())


async def make_certificate(conn: AsyncConnection, domain: str, now: datetime) -> bytes:
    """The X.509 certificate of the active key in PEM form, signed with the key itself.

    On repeat: the same bytes, until the key is rotated.
    """
    found = await active_key(conn, now)
    key = private_key(found)
    since = (await storage.get_creation(conn, found.key_id)).replace(microsecond=0)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain[:64])])
    serial = int.from_bytes(hashlib.sha256(found.key_id.encode()).digest()[:16], "big") | 1
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)
