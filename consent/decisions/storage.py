"""SQL of collecting: the apps' locks and what a batch must know; `saving/` writes what it decided.

Statements run on an asyncpg connection, prepared once. A batch holds the consent locks of its apps
for the session, so the usual batch is two statements: one that reads, one that writes everything
and commits itself. Where visitors are tied to visitors of analytics it also holds the locks of the
apps' profiles, so that no profile appears unseen; whoever needs both takes those last.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

import asyncpg
import orjson

from audience.server.array_parameters.storage import row_parameters, rows_sql
from consent.decisions.decide import TypeState, VisitorState

# A batch reads in one statement what it must know: a row per app, then one per known visitor (with
# the profile it is tied to, if there is one), known decision, known text, host name, and analytics
# visitor with a profile. What nothing is asked of is left out: each part has costs of its own.
# LATERAL with LIMIT 1 (or OFFSET 0) makes the planner look each key up, whatever it believes about
# the app.
_LOADS: dict[str, tuple[str, str]] = {
    "app": (
        "app_id uuid",
        """
SELECT 'app' AS kind, a.app_id::text AS app_id, a.consent_settings::text AS app_settings,
    a.timezone AS name, s.settings AS settings, c.last_sequence AS number, c.last_hash AS key,
    NULL::uuid AS id, a.created_at AS decided_at, NULL::timestamptz AS received_at,
    a.attribute_consent_type AS gate, a.erasure_key IS NOT NULL AS has_erased
FROM ({rows}) AS asked
CROSS JOIN LATERAL (
    SELECT * FROM apps WHERE app_id = asked.app_id AND deleted_at IS NULL LIMIT 1
) a
LEFT JOIN LATERAL (
    SELECT to_jsonb(found)::text AS settings FROM consent_settings found
    WHERE found.app_id = asked.app_id LIMIT 1
) s ON true
LEFT JOIN LATERAL (
    SELECT * FROM consent_chains found WHERE found.app_id = asked.app_id LIMIT 1
) c ON true
""",
    ),
    "visitor": (
        "app_id uuid, visitor_id uuid",
        """
SELECT 'visitor', wanted.app_id::text, v.state::text, v.analytics_visitor_id, v.last_statuses,
    NULL, k.hash_key, wanted.visitor_id, v.last_decided_at, v.last_received_at,
    CASE WHEN v.analytics_visitor_id IS NOT NULL THEN (
        SELECT i.profile_id::text FROM profile_identifiers i
        WHERE i.app_id = wanted.app_id AND i.identifier_name = 'analytics_visitor_id'
            AND i.identifier_value = v.analytics_visitor_id LIMIT 1
    ) END, NULL
FROM ({rows}) AS wanted
LEFT JOIN LATERAL (
    SELECT * FROM consent_visitors found
    WHERE found.app_id = wanted.app_id AND found.visitor_id = wanted.visitor_id LIMIT 1
) v ON true
LEFT JOIN LATERAL (
    SELECT * FROM consent_visitor_keys found
    WHERE found.app_id = wanted.app_id AND found.visitor_id = wanted.visitor_id LIMIT 1
) k ON true
WHERE v.visitor_id IS NOT NULL OR k.visitor_id IS NOT NULL
""",
    ),
    "decision": (
        "app_id uuid, decision_id uuid",
        """
SELECT 'decision', wanted.app_id::text, NULL, NULL, NULL, NULL, NULL, wanted.decision_id, NULL,
    NULL, NULL, NULL
FROM ({rows}) AS wanted
CROSS JOIN LATERAL (
    SELECT FROM consent_decisions found
    WHERE found.decision_id = wanted.decision_id AND found.app_id = wanted.app_id LIMIT 1
) d
""",
    ),
    "text": (
        "app_id uuid, history_id uuid",
        """
SELECT 'text', wanted.app_id::text, NULL, NULL, NULL, NULL, NULL, wanted.history_id, NULL, NULL,
    NULL, NULL
FROM ({rows}) AS wanted
CROSS JOIN LATERAL (
    SELECT FROM consent_texts found
    WHERE found.app_id = wanted.app_id AND found.history_id = wanted.history_id LIMIT 1
) t
""",
    ),
    "hostname": (
        "app_id uuid",
        """
SELECT 'hostname', wanted.app_id::text, NULL, h.hostname, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL
FROM ({rows}) AS wanted
CROSS JOIN LATERAL (
    SELECT hostname FROM consent_hostnames found WHERE found.app_id = wanted.app_id OFFSET 0
) h
""",
    ),
    "holder": (
        "app_id uuid, analytics_visitor_id text",
        """
SELECT 'holder', wanted.app_id::text, NULL, wanted.analytics_visitor_id, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL
FROM ({rows}) AS wanted
CROSS JOIN LATERAL (
    SELECT FROM profile_identifiers i
    WHERE i.app_id = wanted.app_id AND i.identifier_name = 'analytics_visitor_id'
        AND i.identifier_value = wanted.analytics_visitor_id
    LIMIT 1
) h
""",
    ),
}

ENSURE_DAY_KEY = """
INSERT INTO consent_day_keys AS stored (app_id, day, hash_key) VALUES ($1, $2, $3)
ON CONFLICT (app_id, day) DO UPDATE SET hash_key = stored.hash_key
RETURNING hash_key
"""

# The newest state of each analytics visitor ID: a browser whose consent cookie was deleted comes
# back as another consent visitor.
FIND_BY_ANALYTICS_ID = """
SELECT v.analytics_visitor_id, CASE WHEN v.is_expired THEN '{}' ELSE v.state::text END AS state,
    v.last_decided_at
FROM unnest($2::text[]) AS wanted(analytics_visitor_id)
CROSS JOIN LATERAL (
    SELECT * FROM consent_visitors found
    WHERE found.analytics_visitor_id = wanted.analytics_visitor_id AND found.app_id = $1
    ORDER BY found.last_decided_at DESC LIMIT 1
) v
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NOTHING = VisitorState()


@dataclass(slots=True)
class Wanted:
    """What a batch asks for: pairs (app_id, other id); hostnames_of: apps."""

    app_ids: set[str] = field(default_factory=set)
    visitors: set[tuple[str, str]] = field(default_factory=set)
    decision_ids: set[tuple[str, str]] = field(default_factory=set)
    history_ids: set[tuple[str, str]] = field(default_factory=set)
    analytics_ids: set[tuple[str, str]] = field(default_factory=set)
    hostnames_of: set[str] = field(default_factory=set)


class Visitor(NamedTuple):
    """A consent visitor in a batch. hash_key: None while there is none.

    is_new: no row is stored; has_new_key: the key is not.
    """

    state: VisitorState
    hash_key: bytes | None
    is_new: bool
    has_new_key: bool


_NEW_VISITOR = Visitor(_NOTHING, hash_key=None, is_new=True, has_new_key=False)


@dataclass(slots=True)
class LoadedApp:
    """What a batch must know of an app. app_settings, settings: as JSON text, None without any.

    has_erased: it remembers erased persons.
    """

    app_settings: str
    settings: str | None
    timezone: str
    last_sequence: int
    last_hash: bytes | None
    gate_consent_type: str | None
    created_at: datetime
    has_erased: bool


@dataclass(slots=True)
class Loaded:
    """What a batch has read; keys are (app_id, other id). visitors: all that were asked for.

    held_visitor_ids: the analytics visitor IDs of which a profile exists.
    """

    apps: dict[str, LoadedApp] = field(default_factory=dict)
    visitors: dict[tuple[str, str], Visitor] = field(default_factory=dict)
    decision_ids: set[tuple[str, str]] = field(default_factory=set)
    history_ids: set[tuple[str, str]] = field(default_factory=set)
    hostnames: set[tuple[str, str]] = field(default_factory=set)
    held_visitor_ids: set[tuple[str, str]] = field(default_factory=set)


def consent_lock_key(app_id: str) -> int:
    """The advisory lock of the app's consents, another one than that of its profiles.

    Who holds it is the only one that writes consents of the app. Without it two sessions would give
    two decisions the same place in the chain, and one would fail.
    """
    digest = hashlib.sha256(f"consents of {app_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


async def load_batch(conn: asyncpg.Connection, wanted: Wanted) -> Loaded:
    """Everything a batch must know; one statement. Deleted apps count as unknown."""
    values: dict[str, list[tuple[str, ...]]] = {
        "app": [(app_id,) for app_id in wanted.app_ids],
        "visitor": [*wanted.visitors],
        "decision": [*wanted.decision_ids],
        "text": [*wanted.history_ids],
        "hostname": [(app_id,) for app_id in wanted.hostnames_of],
        "holder": [*wanted.analytics_ids],
    }
    names = tuple([name for name, found in values.items() if found])
    is_one_app = len(wanted.app_ids) == 1
    parameters: list[Any] = []
    for name in names:
        parameters += row_parameters(_LOADS[name][0], values[name], is_one_app=is_one_app)
    rows = await conn.fetch(_load_statement(names, is_one_app), *parameters)
    loaded = Loaded(visitors=dict.fromkeys(wanted.visitors, _NEW_VISITOR))
    named = {"hostname": loaded.hostnames, "holder": loaded.held_visitor_ids}
    others = {"decision": loaded.decision_ids, "text": loaded.history_ids}
    for row in rows:
        kind, app_id, first, name, text, number, key, other_id, decided_at, received_at, *more = row
        gate, has_erased = more
        if kind == "app":
            loaded.apps[app_id] = LoadedApp(
                first, text, name, number or 0, key, gate, decided_at, has_erased
            )
        elif kind == "visitor":
            is_new = first is None
            state = _NOTHING
            if not is_new:
                state = VisitorState(state_of(first), text, decided_at, received_at, name)
            loaded.visitors[app_id, str(other_id)] = Visitor(state, key, is_new, has_new_key=False)
            if gate is not None:
                loaded.held_visitor_ids.add((app_id, name))
        elif kind in named:
            named[kind].add((app_id, name))
        else:
            others[kind].add((app_id, str(other_id)))
    return loaded


async def ensure_day_key(conn: asyncpg.Connection, app_id: str, day: date, new_key: bytes) -> bytes:
    """The key of the app's day; the given one when there was none.  On repeat: the same key."""
    key: bytes = await conn.fetchval(ENSURE_DAY_KEY, app_id, day, new_key)
    return key


async def find_states_by_analytics_id(
    conn: asyncpg.Connection, app_id: str, analytics_visitor_ids: Collection[str]
) -> dict[str, tuple[dict[str, TypeState], datetime]]:
    """{analytics_visitor_id: (its newest state, when)}; those that never decided are left out.

    A state that has expired is empty.
    """
    rows = await conn.fetch(FIND_BY_ANALYTICS_ID, app_id, list(analytics_visitor_ids))
    return {row[0]: (state_of(row[1]), row[2]) for row in rows}


def state_of(text: str) -> dict[str, TypeState]:
    """The state in the column `state`: {type: [status, microseconds, history id, is GPC's]}."""
    stored: dict[str, list[Any]] = orjson.loads(text)
    return {
        name: TypeState(status, _EPOCH + decided_at * _MICROSECOND, history_id, is_gpc)
        for name, (status, decided_at, history_id, is_gpc) in stored.items()
    }


@lru_cache
def _load_statement(names: Sequence[str], is_one_app: bool) -> str:  # noqa: FBT001 - quicker so
    """These parts as one statement; its parameters are each part's rows."""
    numbers = count(1)
    return "UNION ALL".join(
        text.format(rows=rows_sql(columns, numbers, is_one_app=is_one_app))
        for columns, text in [_LOADS[name] for name in names]
    )
