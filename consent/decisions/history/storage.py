"""All SQL of reading history. Statements run on an asyncpg connection."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import orjson

from consent.decisions.chain import DecisionRow, Link
from consent.decisions.decide import VisitorState
from consent.decisions.storage import state_of

_COLUMNS = """sequence, decision_id, visitor_hash, decided_at, received_at,
    consents::text AS consents, hostname, consent_scope, consent_action, method, consent_source,
    language, is_late, previous_hash, row_hash"""

FIND_VISITOR = """
SELECT k.hash_key, v.state::text AS state, v.last_statuses, v.last_decided_at, v.last_received_at,
    v.analytics_visitor_id
FROM (SELECT) AS one
LEFT JOIN consent_visitor_keys k ON k.app_id = $1 AND k.visitor_id = $2
LEFT JOIN consent_visitors v ON v.app_id = $1 AND v.visitor_id = $2
"""

LIST_DECISIONS_OF_VISITOR = f"""
SELECT {_COLUMNS} FROM consent_decisions WHERE visitor_hash = $2 AND app_id = $1
ORDER BY sequence DESC LIMIT $3 OFFSET $4
"""  # noqa: S608 - the column list is a constant

FIND_DECISION_OF_VISITOR = f"""
SELECT {_COLUMNS} FROM consent_decisions
WHERE decision_id = $3 AND app_id = $1 AND visitor_hash = $2
"""  # noqa: S608

LIST_DECISIONS = f"""
SELECT {_COLUMNS} FROM consent_decisions WHERE app_id = $1 AND sequence > $2
ORDER BY sequence LIMIT $3
"""  # noqa: S608

FIND_END = "SELECT last_sequence, last_hash FROM consent_chains WHERE app_id = $1"


class StoredVisitor(NamedTuple):
    """A consent visitor. hash_key: None when nothing was decided, or the key was deleted.

    state: None when the visitor is unknown or was erased.
    """

    hash_key: bytes | None
    state: VisitorState | None


async def find_visitor(conn: asyncpg.Connection, app_id: str, visitor_id: str) -> StoredVisitor:
    """The visitor's key and state, as far as there are any."""
    row = await conn.fetchrow(FIND_VISITOR, app_id, visitor_id)
    state = None
    if row["state"] is not None:
        state = VisitorState(
            state_of(row["state"]),
            row["last_statuses"],
            row["last_decided_at"],
            row["last_received_at"],
            row["analytics_visitor_id"],
        )
    return StoredVisitor(row["hash_key"], state)


async def list_decisions_of_visitor(
    conn: asyncpg.Connection, app_id: str, visitor_hash: bytes, *, limit: int, offset: int
) -> list[Link]:
    """The visitor's decisions, newest first."""
    rows = await conn.fetch(LIST_DECISIONS_OF_VISITOR, app_id, visitor_hash, limit, offset)
    return [link_of(row) for row in rows]


async def find_decision_of_visitor(
    conn: asyncpg.Connection, app_id: str, visitor_hash: bytes, decision_id: str
) -> Link | None:
    """That decision when it is the visitor's, or None."""
    row = await conn.fetchrow(FIND_DECISION_OF_VISITOR, app_id, visitor_hash, decision_id)
    return None if row is None else link_of(row)


async def list_decisions(
    conn: asyncpg.Connection, app_id: str, after: int, limit: int
) -> Sequence[Link]:
    """The app's decisions after a sequence number, in the order of the chain."""
    return [link_of(row) for row in await conn.fetch(LIST_DECISIONS, app_id, after, limit)]


async def find_end(conn: asyncpg.Connection, app_id: str) -> tuple[int, bytes] | None:
    """(number, hash) of the last decision that was written, None before the first."""
    row = await conn.fetchrow(FIND_END, app_id)
    return None if row is None else (row[0], row[1])


def link_of(row: Any) -> Link:
    """The link of a row with the columns above."""
    decided_at: datetime = row["decided_at"]
    decision = DecisionRow(
        str(row["decision_id"]),
        row["visitor_hash"],
        decided_at,
        row["received_at"],
        orjson.loads(row["consents"]),
        row["hostname"],
        row["consent_scope"],
        row["consent_action"],
        row["method"],
        row["consent_source"],
        row["language"],
        row["is_late"],
    )
    return Link(row["sequence"], row["previous_hash"], row["row_hash"], decision)
