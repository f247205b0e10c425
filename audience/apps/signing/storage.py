"""All SQL of signing keys."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.tables import signing_keys

#: Rotations wait for each other.
_ROTATION_LOCK = 4_707_114
LOCK_ROTATION = text("SELECT pg_advisory_xact_lock(:key)")


class SigningKey(NamedTuple):
    """The key that signs: its id and its private key in PEM form."""

    key_id: str
    private_key: str


async def lock_signing_keys(conn: AsyncConnection) -> None:
    """Wait until this transaction is the only one that makes or retires keys."""
    await conn.execute(LOCK_ROTATION, {"key": _ROTATION_LOCK})


async def find_active_key(conn: AsyncConnection) -> SigningKey | None:
    """The one key that signs, or None before the first one is made."""
    rows = await conn.execute(
        select(signing_keys.c.key_id, signing_keys.c.private_key).where(
            signing_keys.c.retired_at.is_(None)
        )
    )
    row = rows.one_or_none()
    return None if row is None else SigningKey(row.key_id, row.private_key)


async def get_creation(conn: AsyncConnection, key_id: str) -> datetime:
    """When a key was made; it must exist."""
    rows = await conn.execute(
        select(signing_keys.c.created_at).where(signing_keys.c.key_id == key_id)
    )
    created_at: datetime = rows.scalar_one()
    return created_at


async def insert_key(
    conn: AsyncConnection, key: SigningKey, public_key: dict[str, Any], now: datetime
) -> None:
    """Store a new key; there may be no other active one."""
    await conn.execute(
        insert(signing_keys).values(
            key_id=key.key_id,
            private_key=key.private_key,
            public_key=public_key,
            created_at=now,
        )
    )


async def retire_active_key(conn: AsyncConnection, now: datetime) -> None:
    """End the active key: its private half is gone, the public one keeps verifying."""
    await conn.execute(
        update(signing_keys)
        .where(signing_keys.c.retired_at.is_(None))
        .values(retired_at=now, private_key=None)
    )


async def find_public_key(conn: AsyncConnection, key_id: str) -> dict[str, Any] | None:
    """The public half of a key as JWK, retired or not, or None."""
    found: dict[str, Any] | None = await conn.scalar(
        select(signing_keys.c.public_key).where(signing_keys.c.key_id == key_id)
    )
    return found


async def list_public_keys(conn: AsyncConnection) -> list[dict[str, Any]]:
    """Every public key as JWK, newest first."""
    rows = await conn.execute(
        select(signing_keys.c.public_key).order_by(signing_keys.c.created_at.desc())
    )
    return [row.public_key for row in rows]
