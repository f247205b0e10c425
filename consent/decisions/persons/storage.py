"""SQL of one person's consents: visitors, their decisions, the texts they saw."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

import asyncpg

#: No place in a chain comes after this one.
LAST_SEQUENCE = 2**63 - 1

LOCK_CONSENTS = "SELECT pg_advisory_xact_lock($1)"

# LATERAL with LIMIT makes the planner look each key up, whatever it believes about the app.
FIND_VISITORS = """
SELECT v.visitor_id::text AS visitor_id
FROM unnest($2::text[]) AS wanted(analytics_visitor_id)
CROSS JOIN LATERAL (
    SELECT f.visitor_id FROM consent_visitors f
    WHERE f.analytics_visitor_id = wanted.analytics_visitor_id AND f.app_id = $1 LIMIT $4
) v
UNION
SELECT known.visitor_id::text
FROM unnest($3::uuid[]) AS known(visitor_id)
WHERE EXISTS (
        SELECT FROM consent_visitors f WHERE f.app_id = $1 AND f.visitor_id = known.visitor_id
    )
    OR EXISTS (
        SELECT FROM consent_visitor_keys k WHERE k.app_id = $1 AND k.visitor_id = known.visitor_id
    )
ORDER BY visitor_id LIMIT $4
"""

GET_VISITOR = """
SELECT k.hash_key, v.analytics_visitor_id, v.state::text AS state, v.last_decided_at, v.created_at
FROM (SELECT $1::uuid AS app_id, $2::uuid AS visitor_id) wanted
LEFT JOIN consent_visitor_keys k
    ON k.app_id = wanted.app_id AND k.visitor_id = wanted.visitor_id
LEFT JOIN consent_visitors v ON v.app_id = wanted.app_id AND v.visitor_id = wanted.visitor_id
"""

LIST_DECISIONS = """
SELECT sequence, decision_id::text AS decision_id, decided_at, received_at,
    consents::text AS consents, hostname, consent_scope, consent_action, method, consent_source,
    language, is_late
FROM consent_decisions
WHERE visitor_hash = $2 AND app_id = $1 AND sequence > $3
ORDER BY sequence LIMIT $4
"""

# LATERAL makes the planner look each visitor up, whatever it believes about the app. OFFSET 0: by
# the hash, not in the app's chain, of which it may believe that nothing comes after $3.
COUNT_DECISIONS = """
SELECT wanted.visitor_hash, counted.decisions
FROM unnest($2::bytea[]) AS wanted(visitor_hash)
CROSS JOIN LATERAL (
    SELECT count(*) AS decisions
    FROM (
        SELECT d.app_id FROM consent_decisions d
        WHERE d.visitor_hash = wanted.visitor_hash AND d.sequence > $3 AND d.sequence <= $4
        OFFSET 0
    ) own
    WHERE own.app_id = $1
) counted
"""

LIST_KEYS = """
SELECT visitor_id::text AS visitor_id, hash_key FROM consent_visitor_keys
WHERE app_id = $1 AND visitor_id = ANY($2::uuid[])
"""

LIST_TEXTS = """
SELECT history_id::text AS history_id, language, text_key, content::text AS content,
    content_sha256, published_at
FROM consent_texts WHERE app_id = $1 AND history_id = ANY($2::uuid[]) ORDER BY history_id
"""

COUNT_VISITORS = """
SELECT count(*) FROM consent_visitors WHERE app_id = $1 AND visitor_id = ANY($2::uuid[])
"""

DELETE_KEYS = """
DELETE FROM consent_visitor_keys WHERE app_id = $1 AND visitor_id = ANY($2::uuid[])
RETURNING visitor_id::text AS visitor_id, hash_key
"""

DELETE_VISITORS = """
DELETE FROM consent_visitors WHERE app_id = $1 AND visitor_id = ANY($2::uuid[])
"""

LIST_DAY_KEYS = """
SELECT day, hash_key FROM consent_day_keys WHERE app_id = $1 AND length(hash_key) > 0
"""

REPLACE_DIGESTS = """
UPDATE consent_day_visitors v SET visitor_digest = gone.replacement
FROM unnest($2::date[], $3::bytea[], $4::bytea[]) AS gone(day, visitor_digest, replacement)
WHERE v.app_id = $1 AND v.day = gone.day AND v.visitor_digest = gone.visitor_digest
"""


async def lock_consents(conn: asyncpg.Connection, key: int) -> None:
    """Wait until this transaction is the only one that writes consents of the app.

    Without it a decision that is being stored would bring a state back without its key.
    """
    await conn.fetch(LOCK_CONSENTS, key)


async def find_visitor_ids(
    conn: asyncpg.Connection,
    app_id: str,
    analytics_visitor_ids: Collection[str],
    visitor_ids: Collection[str],
    most: int,
) -> list[str]:
    """Consent visitors tied to one of the analytics IDs, and those of visitor_ids that exist."""
    rows = await conn.fetch(
        FIND_VISITORS, app_id, list(analytics_visitor_ids), list(visitor_ids), most
    )
    return [row["visitor_id"] for row in rows]


async def get_visitor(conn: asyncpg.Connection, app_id: str, visitor_id: str) -> asyncpg.Record:
    """hash_key, analytics_visitor_id, state, last_decided_at, created_at; null where unknown."""
    return await conn.fetchrow(GET_VISITOR, app_id, visitor_id)


async def list_decisions(
    conn: asyncpg.Connection, app_id: str, visitor_hash: bytes, after: int, limit: int
) -> list[dict[str, Any]]:
    """Decisions of one visitor after the given place in the chain, in order."""
    rows = await conn.fetch(LIST_DECISIONS, app_id, visitor_hash, after, limit)
    return [dict(row) for row in rows]


async def list_keys(
    conn: asyncpg.Connection, app_id: str, visitor_ids: Collection[str]
) -> dict[str, bytes]:
    """{visitor_id: the key of its hash} of those that have one."""
    rows = await conn.fetch(LIST_KEYS, app_id, list(visitor_ids))
    return {row["visitor_id"]: row["hash_key"] for row in rows}


async def count_decisions(
    conn: asyncpg.Connection,
    app_id: str,
    visitor_hashes: Collection[bytes],
    after: int = 0,
    until: int = LAST_SEQUENCE,
) -> dict[bytes, int]:
    """{visitor hash: how many decisions}, of the places in the chain after and until the given."""
    rows = await conn.fetch(COUNT_DECISIONS, app_id, list(visitor_hashes), after, until)
    return dict(rows)


async def count_visitors(
    conn: asyncpg.Connection, app_id: str, visitor_ids: Collection[str]
) -> int:
    """How many of the visitors have a current state."""
    count: int = await conn.fetchval(COUNT_VISITORS, app_id, list(visitor_ids))
    return count


async def list_texts(
    conn: asyncpg.Connection, app_id: str, history_ids: Collection[str]
) -> list[dict[str, Any]]:
    """The versions of texts with these ids."""
    return [dict(row) for row in await conn.fetch(LIST_TEXTS, app_id, list(history_ids))]


async def delete_visitors(
    conn: asyncpg.Connection, app_id: str, visitor_ids: Collection[str]
) -> tuple[dict[str, bytes], int]:
    """Delete keys and current states; ({visitor_id: key}, states).  Needs the consent lock."""
    keys = await conn.fetch(DELETE_KEYS, app_id, list(visitor_ids))
    states: str = await conn.execute(DELETE_VISITORS, app_id, list(visitor_ids))
    return dict(keys), int(states.removeprefix("DELETE "))


async def list_day_keys(conn: asyncpg.Connection, app_id: str) -> list[tuple[date, bytes]]:
    """(day, its key) of the days that are not added up yet."""
    return [tuple(row) for row in await conn.fetch(LIST_DAY_KEYS, app_id)]


async def replace_digests(
    conn: asyncpg.Connection, app_id: str, replacements: Sequence[tuple[date, bytes, bytes]]
) -> None:
    """Write another digest in place of a day's visitor's.  Needs the app's consent lock.

    replacements: (day, digest, the other one).
    """
    columns = [[row[column] for row in replacements] for column in range(3)]
    await conn.execute(REPLACE_DIGESTS, app_id, *columns)
