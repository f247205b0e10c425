"""The secrets of a proof and what a try at them comes to. Pure: standard library only.

The link's secret has 256 bits: its hash needs no salt. The code has six digits, which a hash alone
would not hide: it is keyed with the link's secret, which is not stored.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

VALID_MINUTES = 10
TRIES = 3
#: How many mails the requester may have sent for one request.
MAX_MAILS = 3

VERIFIED = "verified"
WRONG_CODE = "wrong_code"
LOCKED = "locked"
EXPIRED = "expired"
USED = "used"
WAITING = "waiting"
UNKNOWN = "unknown"

_SECRET_BYTES = 32
_CODE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a mail says; never stored."""

    link: str
    code: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What is stored of the secrets, and how it was used."""

    app_id: str
    request_id: str
    link_hash: bytes
    code_hash: bytes
    expires_at: datetime
    tries_left: int = TRIES
    mail_count: int = 1
    used_at: datetime | None = None


def new_secrets() -> Secrets:
    """A link and a code that nobody can guess."""
    code = secrets.randbelow(10**_CODE_DIGITS)
    return Secrets(secrets.token_urlsafe(_SECRET_BYTES), f"{code:0{_CODE_DIGITS}}")


def new_proof(
    app_id: str, request_id: str, made: Secrets, now: datetime, *, mail_count: int
) -> Proof:
    """The proof to store for the secrets."""
    return Proof(
        app_id,
        request_id,
        hash_link(made.link),
        hash_code(made.link, made.code),
        now + timedelta(minutes=VALID_MINUTES),
        mail_count=mail_count,
    )


def state_of(proof: Proof, now: datetime) -> str:
    """USED, LOCKED, EXPIRED or WAITING for the code."""
    if proof.used_at is not None:
        return USED
    if proof.tries_left <= 0:
        return LOCKED
    return EXPIRED if now >= proof.expires_at else WAITING


def try_code(proof: Proof, link: str, code: str, now: datetime) -> str:
    """What a try comes to: VERIFIED, WRONG_CODE, or why it was too late for one."""
    state = state_of(proof, now)
    if state != WAITING:
        return state
    digits = "".join(code.split())
    is_right = hmac.compare_digest(hash_code(link, digits), proof.code_hash)
    return VERIFIED if is_right else WRONG_CODE


def hash_link(link: str) -> bytes:
    """What of the link's secret is stored."""
    return hashlib.sha256(link.encode()).digest()


def hash_code(link: str, code: str) -> bytes:
    """What of the code is stored."""
    return hmac.digest(link.encode(), code.encode("utf-8", "replace"), "sha256")
