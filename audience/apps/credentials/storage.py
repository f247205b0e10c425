"""All SQL of API credentials."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.tables import api_credentials, organizations


@dataclass(frozen=True, slots=True)
class Credential:
    """One client of the authorized API; organization is the organization's name."""

    credential_id: str
    name: str
    organization_id: str
    organization: str
    secret_hash: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


async def insert_credential(conn: AsyncConnection, credential: Credential) -> None:
    """Store a new credential."""
    await conn.execute(
        insert(api_credentials).values(
            credential_id=UUID(credential.credential_id),
            organization_id=UUID(credential.organization_id),
            name=credential.name,
            secret_hash=credential.secret_hash,
            scopes=list(credential.scopes),
            created_at=credential.created_at,
        )
    )


async def find_credential(conn: AsyncConnection, credential_id: str) -> Credential | None:
    """The credential, revoked or not, or None."""
    rows = await conn.execute(_SELECT.where(api_credentials.c.credential_id == UUID(credential_id)))
    row = rows.one_or_none()
    return None if row is None else _credential(row)


async def list_credentials(conn: AsyncConnection) -> list[Credential]:
    """Every credential, oldest first."""
    rows = await conn.execute(
        _SELECT.order_by(api_credentials.c.created_at, api_credentials.c.credential_id)
    )
    return [_credential(row) for row in rows]


async def save_credential_use(conn: AsyncConnection, credential_id: str, now: datetime) -> None:
    """Note that the credential was used."""
    await conn.execute(
        update(api_credentials)
        .where(api_credentials.c.credential_id == UUID(credential_id))
        .values(last_used_at=now)
    )


async def revoke_credential(conn: AsyncConnection, credential_id: str, now: datetime) -> bool:
    """Mark the credential as revoked; False when there is no live one."""
    result = await conn.execute(
        update(api_credentials)
        .where(
            api_credentials.c.credential_id == UUID(credential_id),
            api_credentials.c.revoked_at.is_(None),
        )
        .values(revoked_at=now)
    )
    return result.rowcount == 1


_SELECT = select(api_credentials, organizations.c.name.label("organization")).join_from(
    api_credentials, organizations
)


def _credential(row: object) -> Credential:
    return Credential(
        credential_id=str(row.credential_id),  # type: ignore[attr-defined]
        name=row.name,  # type: ignore[attr-defined]
        organization_id=str(row.organization_id),  # type: ignore[attr-defined]
        organization=row.organization,  # type: ignore[attr-defined]
        secret_hash=row.secret_hash,  # type: ignore[attr-defined]
        scopes=tuple(row.scopes),  # type: ignore[attr-defined]
        created_at=row.created_at,  # type: ignore[attr-defined]
        last_used_at=row.last_used_at,  # type: ignore[attr-defined]
        revoked_at=row.revoked_at,  # type: ignore[attr-defined]
    )
