"""SQL of writing a batch: one statement for everything it decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from audience.public import blocked_visitor_condition
from consent.decisions.chain import Link
from consent.decisions.storage import Visitor

_IS_BLOCKED = blocked_visitor_condition("new.app_id", "new.analytics_visitor_id", "$1")

_VISITOR_COLUMNS = """app_id, visitor_id, analytics_visitor_id, state, last_statuses,
        last_decided_at, last_received_at, created_at"""
_VISITOR_VALUES = f"""app_id, visitor_id,
        CASE WHEN {_IS_BLOCKED} THEN NULL ELSE analytics_visitor_id END, state, last_statuses,
        last_decided_at, last_received_at, $1"""

# Everything a batch decided, in one statement that commits itself outside a transaction. A visitor
# is not tied to the analytics ID of somebody who was erased just now. Under the app's lock it is
# known who is new: their rows need no look for a conflict, which costs about as much as the row.
SAVE_BATCH = f"""
WITH given AS (
    SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::boolean[], $5::bytea[], $6::text[],
        $7::jsonb[], $8::text[], $9::timestamptz[], $10::timestamptz[]) AS new(app_id, visitor_id,
        is_new, new_key, analytics_visitor_id, state, last_statuses, last_decided_at,
        last_received_at)
), keys AS (
    INSERT INTO consent_visitor_keys (app_id, visitor_id, hash_key, created_at)
    SELECT app_id, visitor_id, new_key, $1 FROM given WHERE new_key IS NOT NULL
), new_visitors AS (
    INSERT INTO consent_visitors ({_VISITOR_COLUMNS})
    SELECT {_VISITOR_VALUES} FROM given new WHERE is_new
), visitors AS (
    INSERT INTO consent_visitors AS stored ({_VISITOR_COLUMNS})
    SELECT {_VISITOR_VALUES} FROM given new WHERE NOT is_new
    ON CONFLICT (app_id, visitor_id) DO UPDATE SET
        analytics_visitor_id = excluded.analytics_visitor_id, state = excluded.state,
        last_statuses = excluded.last_statuses, last_decided_at = excluded.last_decided_at,
        last_received_at = excluded.last_received_at, is_expired = false
), decisions AS (
    INSERT INTO consent_decisions (app_id, sequence, decision_id, visitor_hash, decided_at,
        received_at, consents, hostname, consent_scope, consent_action, method, consent_source,
        language, is_late, previous_hash, row_hash)
    SELECT app_id, sequence, decision_id, visitor_hash, decided_at, $1, consents, hostname, scope,
        action, method, source, language, is_late, previous_hash, row_hash
    FROM unnest($11::uuid[], $12::bigint[], $13::uuid[], $14::bytea[], $15::timestamptz[],
        $16::jsonb[], $17::text[], $18::smallint[], $19::smallint[], $20::text[], $21::smallint[],
        $22::text[], $23::boolean[], $24::bytea[], $25::bytea[]) AS new(app_id, sequence,
        decision_id, visitor_hash, decided_at, consents, hostname, scope, action, method, source,
        language, is_late, previous_hash, row_hash)
), counters AS (
    INSERT INTO consent_counters AS stored (app_id, counted_hour, event_type, hostname,
        consent_source, consent_form_button, consent_scope, consent_action, types, event_count)
    SELECT *
    FROM unnest($26::uuid[], $27::timestamptz[], $28::smallint[], $29::text[], $30::smallint[],
        $31::smallint[], $32::smallint[], $33::smallint[], $34::text[], $35::bigint[])
    ON CONFLICT (app_id, counted_hour, event_type, hostname, consent_source, consent_form_button,
        consent_scope, consent_action, types)
        DO UPDATE SET event_count = stored.event_count + excluded.event_count
), hostnames AS (
    INSERT INTO consent_hostnames (app_id, hostname, first_seen_at)
    SELECT *, $1 FROM unnest($36::uuid[], $37::text[])
    ON CONFLICT (app_id, hostname) DO NOTHING
), days AS (
    INSERT INTO consent_day_visitors AS stored (app_id, day, visitor_digest, hostname, has_decided)
    SELECT * FROM unnest($38::uuid[], $39::date[], $40::bytea[], $41::text[], $42::boolean[])
    ON CONFLICT (app_id, day, visitor_digest)
        DO UPDATE SET has_decided = stored.has_decided OR excluded.has_decided
)
INSERT INTO consent_chains (app_id, last_sequence, last_hash)
SELECT * FROM unnest($43::uuid[], $44::bigint[], $45::bytea[])
ON CONFLICT (app_id) DO UPDATE SET
    last_sequence = excluded.last_sequence, last_hash = excluded.last_hash
"""  # noqa: S608 - the condition has no values

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: (app_id, hour, event type, hostname, source, button, scope, action, types)
CounterKey = tuple[str, datetime, int, str, int, int, int, int, str]


@dataclass(slots=True)
class Batch:
    """What a batch writes; keys are (app_id, other id).

    links: (app_id, row, its consents as JSON). days: {(app_id, day, digest): (hostname,
    has_decided)}; ends: {app_id: (sequence, hash)}.
    """

    visitors: dict[tuple[str, str], Visitor] = field(default_factory=dict)
    links: list[tuple[str, Link, str]] = field(default_factory=list)
    counters: dict[CounterKey, int] = field(default_factory=dict)
    hostnames: set[tuple[str, str]] = field(default_factory=set)
    days: dict[tuple[str, date, bytes], tuple[str, bool]] = field(default_factory=dict)
    ends: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def is_empty(self) -> bool:
        """True when there is nothing to write."""
        return not (self.visitors or self.links or self.counters or self.days)


async def save_batch(conn: asyncpg.Connection, batch: Batch, now: datetime) -> None:
    """Write everything; one statement, needs the locks of the apps.  now: when it was received."""
    visitors, days = batch.visitors.items(), batch.days.items()
    await conn.execute(
        SAVE_BATCH,
        now,
        *_columns(((*key, *_visitor_row(one)) for key, one in visitors), 9),
        *_columns((_link_row(*one) for one in batch.links), 15),
        *_columns(((*key, count) for key, count in batch.counters.items()), 10),
        *_columns(batch.hostnames, 2),
        *_columns(((*key, *value) for key, value in days), 5),
        *_columns(((app_id, *end) for app_id, end in batch.ends.items()), 3),
    )


def _visitor_row(visitor: Visitor) -> Sequence[Any]:
    state = visitor.state
    types = {
        name: [one.status, (one.decided_at - _EPOCH) // _MICROSECOND, one.history_id, one.is_gpc]
        for name, one in state.types.items()
    }
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


def _columns(rows: Iterable[Sequence[Any]], count: int) -> list[list[Any]]:
    """One list per parameter; `count` empty ones when there is no row."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(count)]
