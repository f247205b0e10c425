"""SQL of writing a batch: one statement for everything it decided."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

import asyncpg
import orjson

from audience.public import blocked_visitor_condition
from audience.server.array_parameters.storage import row_parameters, rows_sql
from consent.decisions.chain import Link
from consent.decisions.day_visitors import DayVisitors
from consent.decisions.storage import Visitor


class _Part(NamedTuple):
    """A statement of a batch. text: `{rows}` stands for a SELECT of rows with these columns."""

    text: str
    columns: str = ""


_IS_BLOCKED = blocked_visitor_condition("new.app_id", "new.analytics_visitor_id", "$1")

_VISITOR_COLUMNS = """app_id, visitor_id, analytics_visitor_id, state, last_statuses,
        last_decided_at, last_received_at, created_at"""
_UNBLOCKED_ID = f"CASE WHEN {_IS_BLOCKED} THEN NULL ELSE analytics_visitor_id END"
_VISITOR_VALUES = """app_id, visitor_id, {analytics_id}, state, last_statuses, last_decided_at,
        last_received_at, $1"""

# Everything a batch decided, in one statement that commits itself outside a transaction. A visitor
# is not tied to the analytics ID of somebody who was erased just now; that is looked up only where
# an app remembers somebody, and under its lock it is known whether it does. So is who is new: their
# rows need no look for a conflict, which costs about as much as the row.
_GIVEN = _Part(
    "{rows}",
    "app_id uuid, visitor_id uuid, is_new boolean, new_key bytea(32), analytics_visitor_id text,"
    "state jsonb, last_statuses text, last_decided_at timestamptz, last_received_at timestamptz",
)
_KEYS = _Part(
    """INSERT INTO consent_visitor_keys (app_id, visitor_id, hash_key, created_at)
    SELECT app_id, visitor_id, new_key, $1 FROM given WHERE new_key IS NOT NULL"""
)
_NEW_VISITORS = _Part(
    f"""INSERT INTO consent_visitors ({_VISITOR_COLUMNS})
    SELECT {_VISITOR_VALUES} FROM given new WHERE is_new"""  # noqa: S608 - constants
)
_KNOWN_VISITORS = _Part(
    f"""INSERT INTO consent_visitors AS stored ({_VISITOR_COLUMNS})
    SELECT {_VISITOR_VALUES} FROM given new WHERE NOT is_new
    ON CONFLICT (app_id, visitor_id) DO UPDATE SET
        analytics_visitor_id = excluded.analytics_visitor_id, state = excluded.state,
        last_statuses = excluded.last_statuses, last_decided_at = excluded.last_decided_at,
        last_received_at = excluded.last_received_at,
        is_expired = stored.is_expired
            AND stored.last_decided_at = excluded.last_decided_at"""  # noqa: S608
)
_DECISIONS = _Part(
    """INSERT INTO consent_decisions (app_id, sequence, decision_id, visitor_hash, decided_at,
        received_at, consents, hostname, consent_scope, consent_action, method, consent_source,
        language, is_late, previous_hash, row_hash)
    SELECT app_id, sequence, decision_id, visitor_hash, decided_at, $1, consents, hostname, scope,
        action, method, source, language, is_late, previous_hash, row_hash
    FROM ({rows}) AS new""",
    "app_id uuid, sequence bigint, decision_id uuid, visitor_hash bytea(32),"
    "decided_at timestamptz, consents jsonb, hostname text, scope smallint, action smallint,"
    "method text, source smallint, language text, is_late boolean, previous_hash bytea(32),"
    "row_hash bytea(32)",
)
_COUNTERS = _Part(
    """INSERT INTO consent_counters AS stored (app_id, counted_hour, event_type, hostname,
        consent_source, consent_form_button, consent_scope, consent_action, types, event_count)
    {rows}
    ON CONFLICT (app_id, counted_hour, event_type, hostname, consent_source, consent_form_button,
        consent_scope, consent_action, types)
        DO UPDATE SET event_count = stored.event_count + excluded.event_count""",
    "app_id uuid, counted_hour timestamptz, event_type smallint, hostname text, source smallint,"
    "button smallint, scope smallint, action smallint, types text, event_count bigint",
)
_HOSTNAMES = _Part(
    """INSERT INTO consent_hostnames (app_id, hostname, first_seen_at)
    SELECT *, $1 FROM ({rows}) AS new
    ON CONFLICT (app_id, hostname) DO NOTHING""",
    "app_id uuid, hostname text",
)
_DAYS = _Part(
    """INSERT INTO consent_day_visitors AS stored (app_id, day, visitor_digest, hostname,
        has_decided)
    {rows}
    ON CONFLICT (app_id, day, visitor_digest)
        DO UPDATE SET has_decided = stored.has_decided OR excluded.has_decided""",
    "app_id uuid, day date, visitor_digest bytea(16), hostname text, has_decided boolean",
)
# LATERAL with LIMIT 1 makes the planner look each one up, whatever it believes about the table.
_DECIDED = _Part(
    """UPDATE consent_day_visitors AS stored SET has_decided = true
    FROM ({rows}) AS wanted
    CROSS JOIN LATERAL (
        SELECT ctid FROM consent_day_visitors found
        WHERE found.app_id = wanted.app_id AND found.day = wanted.day
            AND found.visitor_digest = wanted.visitor_digest AND NOT found.has_decided
        LIMIT 1
    ) AS undecided
    WHERE stored.ctid = undecided.ctid""",
    "app_id uuid, day date, visitor_digest bytea(16)",
)
_ENDS = _Part(
    """INSERT INTO consent_chains (app_id, last_sequence, last_hash)
    {rows}
    ON CONFLICT (app_id) DO UPDATE SET
        last_sequence = excluded.last_sequence, last_hash = excluded.last_hash""",
    "app_id uuid, last_sequence bigint, last_hash bytea(32)",
)
_PARTS = {
    "given": _GIVEN,
    "keys": _KEYS,
    "new_visitors": _NEW_VISITORS,
    "known_visitors": _KNOWN_VISITORS,
    "decisions": _DECISIONS,
    "counters": _COUNTERS,
    "hostnames": _HOSTNAMES,
    "days": _DAYS,
    "decided": _DECIDED,
    "ends": _ENDS,
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: (app_id, hour, event type, hostname, source, button, scope, action, types)
CounterKey = tuple[str, datetime, int, str, int, int, int, int, str]


@dataclass(slots=True)
class Batch:
    """What a batch writes; keys are (app_id, other id).

    links: (app_id, row, its consents as JSON). ends: {app_id: (sequence, hash)}. is_one_app: all
    of it is one app's. has_erased: one of its apps remembers erased persons.
    """

    is_one_app: bool = False
    has_erased: bool = True
    visitors: dict[tuple[str, str], Visitor] = field(default_factory=dict)
    links: list[tuple[str, Link, str]] = field(default_factory=list)
    counters: dict[CounterKey, int] = field(default_factory=dict)
    hostnames: set[tuple[str, str]] = field(default_factory=set)
    days: DayVisitors = field(default_factory=DayVisitors)
    ends: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def is_empty(self) -> bool:
        """True when there is nothing to write."""
        return not (self.visitors or self.links or self.counters or self.days.noted)


async def save_batch(conn: asyncpg.Connection, batch: Batch, now: datetime) -> None:
    """Write everything; one statement, needs the locks of the apps.  now: when it was received."""
    visitors = batch.visitors.values()
    rows: dict[str, list[Sequence[Any]]] = {
        "given": [(*key, *_visitor_row(one)) for key, one in batch.visitors.items()],
        "decisions": [_link_row(*one) for one in batch.links],
        "counters": [(*key, count) for key, count in batch.counters.items()],
        "hostnames": [*batch.hostnames],
        "days": [(*key, *value) for key, value in batch.days.noted.items()],
        "decided": [*batch.days.decided],
        "ends": [(app_id, *end) for app_id, end in batch.ends.items()],
    }
    has_rows = {
        "keys": any(one.has_new_key for one in visitors),
        "new_visitors": any(one.is_new for one in visitors),
        "known_visitors": not all(one.is_new for one in visitors),
    }
    # A part without rows has costs too.
    names = tuple([name for name in _PARTS if rows.get(name) or has_rows.get(name)])
    is_one_app, has_erased = batch.is_one_app, batch.has_erased
    parameters: list[Any] = []
    for name in names:
        if name in rows:
            parameters += row_parameters(_PARTS[name].columns, rows[name], is_one_app=is_one_app)
    await conn.execute(_statement(names, is_one_app, has_erased), now, *parameters)


@lru_cache
def _statement(names: Sequence[str], is_one_app: bool, has_erased: bool) -> str:  # noqa: FBT001
    """These parts as one statement. The parameters are $1, the moment, and each part's rows."""
    numbers = count(2)
    analytics_id = _UNBLOCKED_ID if has_erased else "analytics_visitor_id"
    parts = []
    for name in names:
        text, columns = _PARTS[name]
        rows = rows_sql(columns, numbers, is_one_app=is_one_app) if columns else ""
        parts.append(f"{name} AS ({text.format(rows=rows, analytics_id=analytics_id)})")
    return f"WITH {', '.join(parts)} SELECT $1::timestamptz"


def _visitor_row(visitor: Visitor) -> Sequence[Any]:
    state = visitor.state
    # Nearly always all types were decided at once.
    known, microseconds = None, 0
    types = {}
    for name, (status, decided_at, history_id, is_gpc) in state.types.items():
        if decided_at is not known:
            known, microseconds = decided_at, (decided_at - _EPOCH) // _MICROSECOND
        types[name] = (status, microseconds, history_id, is_gpc)
    return (
        visitor.is_new,
        visitor.hash_key if visitor.has_new_key else None,
        state.analytics_visitor_id,
        orjson.dumps(types).decode(),
        state.last_statuses,
        state.last_decided_at,
        state.last_received_at,
    )


def _link_row(app_id: str, link: Link, consents: str) -> Sequence[Any]:
    row = link.row
    return (
        app_id,
        link.sequence,
        row.decision_id,
        row.visitor_hash,
        row.decided_at,
        consents,
        row.hostname,
        row.consent_scope,
        row.consent_action,
        row.method,
        row.consent_source,
        row.language,
        row.is_late,
        link.previous_hash,
        link.row_hash,
    )
