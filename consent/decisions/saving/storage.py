"""SQL of writing a batch: one statement for everything it decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from audience.public import blocked_visitor_condition
from consent.decisions.chain import Link
from consent.decisions.decide import VisitorState

_IS_BLOCKED = blocked_visitor_condition("new.app_id", "new.analytics_visitor_id", "$1")

# Everything a batch decided, in one statement that commits itself outside a transaction. A visitor
# is not tied to the analytics ID of somebody who was erased just now.
SAVE_BATCH = f"""
WITH keys AS (
    INSERT INTO consent_visitor_keys (app_id, visitor_id, hash_key, created_at)
    SELECT app_id, visitor_id, hash_key, $1
    FROM unnest($2::uuid[], $3::uuid[], $4::bytea[]) AS new(app_id, visitor_id, hash_key)
    ON CONFLICT (app_id, visitor_id) DO NOTHING
), visitors AS (
    INSERT INTO consent_visitors AS stored (app_id, visitor_id, analytics_visitor_id, state,
        last_statuses, last_decided_at, last_received_at, created_at)
    SELECT app_id, visitor_id,
        CASE WHEN {_IS_BLOCKED} THEN NULL ELSE analytics_visitor_id END,
        state, last_statuses, last_decided_at, last_received_at, $1
    FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::jsonb[], $9::text[], $10::timestamptz[],
        $11::timestamptz[]) AS new(app_id, visitor_id, analytics_visitor_id, state, last_statuses,
        last_decided_at, last_received_at)
    ON CONFLICT (app_id, visitor_id) DO UPDATE SET
        analytics_visitor_id = excluded.analytics_visitor_id, state = excluded.state,
        last_statuses = excluded.last_statuses, last_decided_at = excluded.last_decided_at,
        last_received_at = excluded.last_received_at, is_expired = false
), decisions AS (
    INSERT INTO consent_decisions (app_id, sequence, decision_id, visitor_hash, decided_at,
        received_at, consents, hostname, consent_scope, consent_action, method, consent_source,
        language, is_late, previous_hash, row_hash)
    SELECT *
    FROM unnest($12::uuid[], $13::bigint[], $14::uuid[], $15::bytea[], $16::timestamptz[],
        $17::timestamptz[], $18::jsonb[], $19::text[], $20::smallint[], $21::smallint[],
        $22::text[], $23::smallint[], $24::text[], $25::boolean[], $26::bytea[], $27::bytea[])
), counters AS (
    INSERT INTO consent_counters AS stored (app_id, counted_hour, event_type, hostname,
        consent_source, consent_form_button, consent_scope, consent_action, types, event_count)
    SELECT *
    FROM unnest($28::uuid[], $29::timestamptz[], $30::smallint[], $31::text[], $32::smallint[],
        $33::smallint[], $34::smallint[], $35::smallint[], $36::text[], $37::bigint[])
    ON CONFLICT (app_id, counted_hour, event_type, hostname, consent_source, consent_form_button,
        consent_scope, consent_action, types)
        DO UPDATE SET event_count = stored.event_count + excluded.event_count
), hostnames AS (
    INSERT INTO consent_hostnames (app_id, hostname, first_seen_at)
    SELECT *, $1 FROM unnest($38::uuid[], $39::text[])
    ON CONFLICT (app_id, hostname) DO NOTHING
), days AS (
    INSERT INTO consent_day_visitors AS stored (app_id, day, visitor_digest, hostname, has_decided)
    SELECT * FROM unnest($40::uuid[], $41::date[], $42::bytea[], $43::text[], $44::boolean[])
    ON CONFLICT (app_id, day, visitor_digest)
        DO UPDATE SET has_decided = stored.has_decided OR excluded.has_decided
)
INSERT INTO consent_chains (app_id, last_sequence, last_hash)
SELECT * FROM unnest($45::uuid[], $46::bigint[], $47::bytea[])
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

    days: {(app_id, day, digest): (hostname, has_decided)}; ends: {app_id: (sequence, hash)}.
    """

    new_keys: dict[tuple[str, str], bytes] = field(default_factory=dict)
    visitors: dict[tuple[str, str], VisitorState] = field(default_factory=dict)
    links: list[tuple[str, Link]] = field(default_factory=list)
    counters: dict[CounterKey, int] = field(default_factory=dict)
    hostnames: set[tuple[str, str]] = field(default_factory=set)
    days: dict[tuple[str, date, bytes], tuple[str, bool]] = field(default_factory=dict)
    ends: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def is_empty(self) -> bool:
        """True when there is nothing to write."""
        return not (self.visitors or self.links or self.counters or self.days)


async def save_batch(conn: asyncpg.Connection, batch: Batch, now: datetime) -> None:
    """Write everything; one statement, needs the locks of the apps."""
    visitors = list(batch.visitors.items())
    days = list(batch.days.items())
    await conn.execute(
        SAVE_BATCH,
        now,
        *_columns(((*key, value) for key, value in batch.new_keys.items()), 3),
        *_columns(((*key, *_visitor_row(state)) for key, state in visitors), 7),
        *_columns((_link_row(app_id, link) for app_id, link in batch.links), 16),
        *_columns(((*key, count) for key, count in batch.counters.items()), 10),
        *_columns(batch.hostnames, 2),
        *_columns(((*key, *value) for key, value in days), 5),
        *_columns(((app_id, *end) for app_id, end in batch.ends.items()), 3),
    )


def _visitor_row(visitor: VisitorState) -> Sequence[Any]:
    state = {
        name: [one.status, (one.decided_at - _EPOCH) // _MICROSECOND, one.history_id, one.is_gpc]
        for name, one in visitor.types.items()
    }
    return (
        visitor.analytics_visitor_id,
        orjson.dumps(state).decode(),
        visitor.last_statuses,
        visitor.last_decided_at,
        visitor.last_received_at,
    )


def _link_row(app_id: str, link: Link) -> Sequence[Any]:
    row = link.row
    return (
        app_id,
        link.sequence,
        row.decision_id,
        row.visitor_hash,
        row.decided_at,
        row.received_at,
        orjson.dumps(row.consents).decode(),
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
