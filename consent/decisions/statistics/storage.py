"""All SQL of statistics, on an asyncpg connection.

What a statement is put together from are the names of metrics and dimensions, never a value.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from consent.decisions.counting import NO_DECISION
from consent.decisions.statistics.metrics import (
    COUNTED,
    HOSTNAME,
    LABELS,
    NO_DECISION_METRIC,
    TYPE_DIMENSIONS,
    TYPE_METRICS,
)
from consent.decisions.storage import consent_lock_key
from consent.forms.consent_types import CONSENT_TYPES

_PLACE = {name: number for number, name in enumerate(CONSENT_TYPES, 1)}

# Closed days are in the counters; of the others the visitors are counted now. Hours are added up to
# periods first: the metrics are many, the combinations of a day few.
_SOURCE = f"""
    SELECT {{period}} AS period, event_type, hostname, consent_source, consent_form_button,
        consent_scope, consent_action, types, sum(event_count) AS event_count
    FROM consent_counters
    WHERE app_id = $1 AND counted_hour >= $2 AND counted_hour < $3 AND $4::text IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    UNION ALL
    SELECT {{day}}, {NO_DECISION}, v.hostname, 0, 0, 0, 0, '', count(*)
    FROM consent_day_keys k
    JOIN consent_day_visitors v ON v.app_id = k.app_id AND v.day = k.day AND NOT v.has_decided
    WHERE k.app_id = $1 AND length(k.hash_key) > 0
        AND k.day::timestamp AT TIME ZONE $4 >= $2 AND k.day::timestamp AT TIME ZONE $4 < $3
    GROUP BY v.day, v.hostname
"""  # noqa: S608 - a constant

FIND_DAY_TO_CLOSE = """
SELECT k.app_id::text, k.day, a.timezone FROM consent_day_keys k JOIN apps a USING (app_id)
WHERE k.day < (($1::timestamptz - interval '1 hour') AT TIME ZONE a.timezone)::date
LIMIT 1
"""

LOCK = "SELECT pg_advisory_xact_lock($1)"

ADD_UP_DAY = f"""
INSERT INTO consent_counters AS stored (app_id, counted_hour, event_type, hostname, consent_source,
    consent_form_button, consent_scope, consent_action, types, event_count)
SELECT $1, $2::date::timestamp AT TIME ZONE $3, {NO_DECISION}, hostname, 0, 0, 0, 0, '', count(*)
FROM consent_day_visitors WHERE app_id = $1 AND day = $2 AND NOT has_decided
GROUP BY hostname
ON CONFLICT (app_id, counted_hour, event_type, hostname, consent_source, consent_form_button,
    consent_scope, consent_action, types)
    DO UPDATE SET event_count = stored.event_count + excluded.event_count
"""  # noqa: S608 - a constant

# The key goes: whose rows these were nobody can tell any more. The row stays while they do.
FORGET_KEY = """
UPDATE consent_day_keys SET hash_key = ''
WHERE app_id = $1 AND day = $2 AND length(hash_key) > 0
"""

DELETE_SOME_VISITORS = """
DELETE FROM consent_day_visitors WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM consent_day_visitors WHERE app_id = $1 AND day = $2 LIMIT $3))
"""

DELETE_DAY_KEY = "DELETE FROM consent_day_keys WHERE app_id = $1 AND day = $2"


class Asked(NamedTuple):
    """What is asked of the counters. first, end: the time, end is not part of it."""

    app_id: str
    first: datetime
    end: datetime
    timezone: str
    is_by_day: bool
    dimensions: Sequence[str]
    hostname: str | None


async def count_events(conn: asyncpg.Connection, asked: Asked) -> list[dict[str, Any]]:
    """A dict for each period and set of dimensions that has anything, by period.

    period: a date by day, else the hour's beginning. consents_no_decision is None by hour.
    """
    statement = _statement(asked)
    values: list[Any] = [asked.app_id, asked.first, asked.end, asked.timezone]
    if asked.hostname is not None:
        values.append(asked.hostname)
    return [dict(row) for row in await conn.fetch(statement, *values)]


async def close_day(conn: asyncpg.Connection, now: datetime, most: int) -> bool:
    """One step of adding up a day that is over; False when there is none.  Safe to run twice.

    First the counters get what the day's visitors come to and its key is forgotten, under the
    app's consent lock; then its rows are deleted, `most` at a time. conn: with an open transaction.
    """
    found = await conn.fetchrow(FIND_DAY_TO_CLOSE, now)
    if found is None:
        return False
    app_id, day, timezone = found
    await conn.execute(LOCK, consent_lock_key(app_id))
    if await conn.execute(FORGET_KEY, app_id, day) != "UPDATE 0":
        await conn.execute(ADD_UP_DAY, app_id, day, timezone)
    if await conn.execute(DELETE_SOME_VISITORS, app_id, day, most) == "DELETE 0":
        await conn.execute(DELETE_DAY_KEY, app_id, day)
    return True


def _statement(asked: Asked) -> str:
    period, day = "counted_hour", "v.day::timestamp AT TIME ZONE $4"
    if asked.is_by_day:
        period, day = "(counted_hour AT TIME ZONE $4)::date", "v.day"
    source = _SOURCE.format(period=period, day=day)
    columns = ["period"]
    columns += [f"{_dimension(name)} AS {name}" for name in asked.dimensions]
    columns += [f"{_count(*rule)} AS {metric}" for metric, rule in COUNTED.items()]
    columns += [
        f"{_sum(f'event_type = 14 AND {_type_at(name)} = {chr(39)}1{chr(39)}')} AS {metric}"
        for name, metric in TYPE_METRICS.items()
    ]
    undecided = _sum(f"event_type = {NO_DECISION}") if asked.is_by_day else "NULL::bigint"
    columns.append(f"{undecided} AS {NO_DECISION_METRIC}")
    # Visitors of a day belong to no hour.
    conditions = ["true"]
    if not asked.is_by_day:
        conditions.append(f"event_type <> {NO_DECISION}")
    if asked.hostname is not None:
        conditions.append("hostname = $5")
    groups = ", ".join(str(number) for number in range(1, len(asked.dimensions) + 2))
    return (
        f"SELECT {', '.join(columns)} FROM ({source}) AS source "  # noqa: S608 - names only
        f"WHERE {' AND '.join(conditions)} GROUP BY {groups} ORDER BY {groups}"
    )


def _dimension(name: str) -> str:
    if name in LABELS or name == HOSTNAME:
        return name
    consent_type = next(key for key, value in TYPE_DIMENSIONS.items() if value == name)
    return _type_at(consent_type)


def _type_at(consent_type: str) -> str:
    return f"substr(types, {_PLACE[consent_type]}, 1)"


def _count(event_type: int, column: str | None, value: int | None) -> str:
    condition = f"event_type = {event_type}"
    return _sum(condition if column is None else f"{condition} AND {column} = {value}")


def _sum(condition: str) -> str:
    return f"coalesce(sum(event_count) FILTER (WHERE {condition}), 0)::bigint"
