"""All SQL of proofs by mail."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.data_subject_requests.verification.proof import Proof
from consent.tables_requests import data_subject_verifications


async def save_proof(conn: AsyncConnection, proof: Proof) -> None:
    """Store the proof in the place of the request's last one."""
    values = {
        "link_hash": proof.link_hash,
        "code_hash": proof.code_hash,
        "expires_at": proof.expires_at,
        "tries_left": proof.tries_left,
        "mail_count": proof.mail_count,
        "used_at": proof.used_at,
    }
    await conn.execute(
        insert(data_subject_verifications)
        .values(app_id=UUID(proof.app_id), request_id=UUID(proof.request_id), **values)
        .on_conflict_do_update(index_elements=["app_id", "request_id"], set_=values)
    )


async def find_proof_of_request(
    conn: AsyncConnection, app_id: str, request_id: str
) -> Proof | None:
    """The request's proof, its row locked, or None before the first mail."""
    column = data_subject_verifications.c
    wanted = (column.app_id == UUID(app_id)) & (column.request_id == UUID(request_id))
    rows = await conn.execute(_SELECT_PROOF.where(wanted).with_for_update())
    return _proof(rows.one_or_none())


async def find_proof(conn: AsyncConnection, link_hash: bytes) -> Proof | None:
    """The proof behind a link, or None."""
    rows = await conn.execute(
        _SELECT_PROOF.where(data_subject_verifications.c.link_hash == link_hash)
    )
    return _proof(rows.one_or_none())


_SELECT_PROOF = select(data_subject_verifications)


def _proof(row: Any) -> Proof | None:
    if row is None:
        return None
    return Proof(
        str(row.app_id),
        str(row.request_id),
        row.link_hash,
        row.code_hash,
        row.expires_at,
        row.tries_left,
        row.mail_count,
        row.used_at,
    )
