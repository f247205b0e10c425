"""One person's consents: what an access export shows of them, and making them anonymous.

Source: issue "Data subject requests", item 4; architecture: the visitor in history is a keyed hash.
"""

import secrets
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.server.database import raw
from audience.uuid_text import UUID_PATTERN
from consent.decisions.app_batch import visitor_hash
from consent.decisions.counting import visitor_digest
from consent.decisions.history.storage import find_end
from consent.decisions.persons import storage
from consent.decisions.storage import consent_lock_key, state_of

#: Consent visitors of one person: browsers and devices, and whatever lost its cookie.
MAX_VISITORS = 10_000


class DecisionsPage(NamedTuple):
    """decisions: in order; after: where the next page begins, None after the last one.

    history_ids: versions of texts that the decisions name.
    """

    decisions: list[dict[str, Any]]
    after: int | None
    history_ids: set[str]


async def lock_consents(conn: AsyncConnection, app_id: str) -> None:
    """Wait until this transaction is the only one that writes the app's consents.

    To be taken before the lock of the app's profiles by whoever needs both.
    """
    await storage.lock_consents(await raw(conn), consent_lock_key(app_id))


async def find_consent_visitors(
    conn: AsyncConnection,
    app_id: str,
    analytics_visitor_ids: Collection[str],
    visitor_ids: Collection[str],
) -> list[str]:
    """The consent visitors of a person: tied by an analytics ID, or known by their own id."""
    return await storage.find_visitor_ids(
        await raw(conn), app_id, analytics_visitor_ids, visitor_ids, MAX_VISITORS
    )


async def count_consents(
    conn: AsyncConnection, app_id: str, visitor_ids: Collection[str]
) -> dict[str, int]:
    """{table: rows of these visitors}; the decisions are those that would become anonymous."""
    driver = await raw(conn)
    keys = await storage.list_keys(driver, app_id, visitor_ids)
    decisions = await storage.count_decisions(driver, app_id, _hashes(keys))
    return {
        "consent_visitors": await storage.count_visitors(driver, app_id, visitor_ids),
        "consent_visitor_keys": len(keys),
        "consent_decisions": sum(decisions.values()),
    }


async def export_visitor(conn: AsyncConnection, app_id: str, visitor_id: str) -> dict[str, Any]:
    """The visitor's current state; null where nothing is known.

    {"visitor_id", "analytics_visitor_id", "consents": {type: {"status", "decided_at",
    "history_id"}}, "last_decided_at"}
    """
    row = await storage.get_visitor(await raw(conn), app_id, visitor_id)
    types = {} if row["state"] is None else state_of(row["state"])
    return {
        "visitor_id": visitor_id,
        "analytics_visitor_id": row["analytics_visitor_id"],
        "consents": {
            name: {
                "status": one.status,
                "decided_at": one.decided_at.isoformat(),
                "history_id": one.history_id,
            }
            for name, one in types.items()
        },
        "last_decided_at": _moment(row["last_decided_at"]),
    }


async def export_decisions(
    conn: AsyncConnection, app_id: str, visitor_id: str, after: int, limit: int
) -> DecisionsPage:
    """A page of the visitor's decisions as they are in the history.  after: 0 for the first."""
    driver = await raw(conn)
    keys = await storage.list_keys(driver, app_id, [visitor_id])
    if visitor_id not in keys:
        return DecisionsPage([], None, set())
    hashed = visitor_hash(keys[visitor_id], visitor_id)
    rows = await storage.list_decisions(driver, app_id, hashed, after, limit)
    found: set[str] = set()
    decisions = []
    for row in rows:
        consents = orjson.loads(row["consents"])
        shown = [one.get("historyId") for one in consents.values() if isinstance(one, dict)]
        found |= {one.lower() for one in shown if one and UUID_PATTERN.fullmatch(one)}
        moments = {name: _moment(row[name]) for name in ("decided_at", "received_at")}
        decisions.append({"visitor_id": visitor_id, **row, **moments, "consents": consents})
    is_last = len(rows) < limit
    return DecisionsPage(decisions, None if is_last else rows[-1]["sequence"], found)


async def export_texts(
    conn: AsyncConnection, app_id: str, history_ids: Collection[str]
) -> list[dict[str, Any]]:
    """The wording of these versions; ids of unknown ones are left out."""
    return [
        {
            **row,
            "content": orjson.loads(row["content"]),
            "published_at": _moment(row["published_at"]),
        }
        for row in await storage.list_texts(await raw(conn), app_id, history_ids)
    ]


async def erase_visitors(
    conn: AsyncConnection, app_id: str, visitor_ids: Collection[str]
) -> dict[str, int]:
    """Delete the visitors' keys and current states; {table: rows}, with decisions made anonymous.

    What they decided stays in the history, untouched and anonymous; on the days that are still to
    be added up they stay counted, as nobody. Takes the app's consent lock.
    On repeat: nothing is left to delete.
    """
    driver = await raw(conn)
    # However many there are: counted before others have to wait. Then only what came meanwhile is
    # left to be counted; places in the chain are taken under the lock.
    end = await find_end(driver, app_id)
    last = 0 if end is None else end[0]
    known = await storage.list_keys(driver, app_id, visitor_ids)
    before = await storage.count_decisions(driver, app_id, _hashes(known), until=last)
    await lock_consents(conn, app_id)
    keys, states = await storage.delete_visitors(driver, app_id, visitor_ids)
    # Of the keys that went now: another erasure may have taken some, and counts for them.
    since = await storage.count_decisions(driver, app_id, _hashes(keys), after=last)
    decisions = sum(before.get(one, 0) + count for one, count in since.items())
    replacements = []
    for day, day_key in await storage.list_day_keys(driver, app_id):
        for visitor_id in visitor_ids:
            digest = visitor_digest(day_key, visitor_id)
            replacements.append((day, digest, secrets.token_bytes(len(digest))))
    await storage.replace_digests(driver, app_id, replacements)
    return {
        "consent_visitors": states,
        "consent_visitor_keys": len(keys),
        "consent_decisions": decisions,
    }


def _hashes(keys: Mapping[str, bytes]) -> list[bytes]:
    """What stands for the visitors in history."""
    return [visitor_hash(key, visitor_id) for visitor_id, key in keys.items()]


def _moment(value: Any) -> str | None:
    return None if value is None else value.isoformat()
