"""Reading history: whose it is, what it proves, whether it is whole."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import NotFound
from audience.server.clock import new_id
from audience.server.database import raw
from audience.uuid_text import UUID_PATTERN
from consent.decisions.app_batch import visitor_hash
from consent.decisions.chain import Fault, Link, Verifier
from consent.decisions.decide import TypeState, VisitorState, valid_types
from consent.decisions.history import storage
from consent.decisions.history.receipt import RECEIPT_KIND, receipt_claims
from consent.forms.operations import get_settings
from consent.forms.storage import find_version
from consent.forms.texts import TextVersion

_WALKED_AT_ONCE = 2000


class CurrentState(NamedTuple):
    """A visitor's state; types: those that count, expired: those that are too old."""

    visitor: VisitorState
    types: dict[str, TypeState]
    expired: list[str]


class Verification(NamedTuple):
    """What walking a chain found. fault: None when it is whole."""

    decisions: int
    last_hash: bytes
    fault: Fault | None


async def get_state(
    conn: AsyncConnection, app_id: str, visitor_id: str, now: datetime
) -> CurrentState:
    """What the visitor agreed to; an expired decision counts as none.  Errors: NotFound."""
    settings = await get_settings(conn, app_id)
    found = (await storage.find_visitor(await raw(conn), app_id, visitor_id)).state
    if found is None:
        raise _unknown(visitor_id)
    types = valid_types(found.types, settings.valid_for, now)
    return CurrentState(found, types, sorted(found.types.keys() - types.keys()))


async def list_history(
    conn: AsyncConnection, app_id: str, visitor_id: str, *, limit: int, offset: int
) -> list[Link]:
    """The visitor's decisions, newest first; none for one who never decided or was erased."""
    driver = await raw(conn)
    hash_key = (await storage.find_visitor(driver, app_id, visitor_id)).hash_key
    if hash_key is None:
        return []
    digest = visitor_hash(hash_key, visitor_id)
    return await storage.list_decisions_of_visitor(
        driver, app_id, digest, limit=limit, offset=offset
    )


async def sign_receipt(
    conn: AsyncConnection,
    app_id: str,
    visitor_id: str,
    decision_id: str | None,
    *,
    issuer: str,
    now: datetime,
) -> tuple[dict[str, Any], str]:
    """(claims, JWS) of the receipt of a decision of the visitor, the newest one unless named.

    Errors: NotFound when the visitor made no such decision.
    """
    driver = await raw(conn)
    hash_key = (await storage.find_visitor(driver, app_id, visitor_id)).hash_key
    link = None
    if hash_key is not None:
        digest = visitor_hash(hash_key, visitor_id)
        if decision_id is None:
            found = await storage.list_decisions_of_visitor(
                driver, app_id, digest, limit=1, offset=0
            )
            link = found[0] if found else None
        else:
            link = await storage.find_decision_of_visitor(driver, app_id, digest, decision_id)
    if link is None:
        raise _unknown(visitor_id)
    claims = receipt_claims(
        link,
        visitor_id,
        await get_settings(conn, app_id),
        await _texts(conn, app_id, link.row.consents.values()),
        issuer=issuer,
        receipt_id=new_id(),
        now=now,
    )
    return claims, await public.sign(conn, claims, now, kind=RECEIPT_KIND)


async def verify_chain(conn: asyncpg.Connection, app_id: str) -> Verification:
    """Walk the app's decisions; memory does not grow with them.

    Decisions that are written meanwhile are walked too. conn: no statement of it may see an old
    moment (read committed).
    """
    verifier = Verifier(app_id)
    while True:
        links = await storage.list_decisions(conn, app_id, verifier.count, _WALKED_AT_ONCE)
        fault = verifier.walk(links)
        if fault is None and not links:
            end = await storage.find_end(conn, app_id) or (0, verifier.last_hash)
            if await storage.list_decisions(conn, app_id, verifier.count, 1):
                continue
            fault = verifier.end(*end)
            return Verification(verifier.count, verifier.last_hash, fault)
        if fault is not None:
            return Verification(verifier.count, verifier.last_hash, fault)


async def _texts(
    conn: AsyncConnection, app_id: str, entries: Iterable[dict[str, Any]]
) -> dict[str, TextVersion]:
    texts: dict[str, TextVersion] = {}
    for entry in entries:
        history_id = entry.get("historyId")
        if history_id is None or not UUID_PATTERN.fullmatch(history_id):
            continue
        found = await find_version(conn, app_id, history_id)
        if found is not None:
            texts[history_id.lower()] = found.version
    return texts


def _unknown(visitor_id: str) -> NotFound:
    return NotFound(f"there is no decision of a visitor {visitor_id}", path="visitor_id")
