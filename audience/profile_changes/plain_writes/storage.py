"""SQL of plain writes: find, check and save in one statement, for all apps of a batch.

Where audiences ask for the attributes, find and check in one; then the process decides about the
memberships and saves all in a second one, if the rows are still those that were read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any

import asyncpg
import orjson

from audience.audiences.memberships.decide import Differences
from audience.audiences.memberships.storage import membership_documents, saving_memberships
from audience.profile_changes.loaded_app import KnownApp
from audience.profile_changes.plain_writes.rows import FoundProfile, PlainWrite
from audience.profiles.profile import microseconds
from audience.profiles.touches.storage import REFUSE_CHANGED

#: Larger attributes go the usual way, which knows how large and how many they may get.
MOST_BYTES = 8000

# $1: [app_id, version of the app's row, writes], a write as `PlainWrite` and, to save it, then
# {attribute_name: microseconds since 1970}.
# The app's row is as it was when the process read it, or nothing of the app is found. LATERAL with
# LIMIT 1 makes the planner look each key up, as in `profiles/touches/storage.py`.
_FINDING = """jsonb_array_elements($1::jsonb) AS batch(part)
        CROSS JOIN LATERAL (
            SELECT a.app_id, a.erasure_key FROM apps a
            WHERE a.app_id = (batch.part ->> 0)::uuid AND a.xmin = (batch.part ->> 1)::xid
            LIMIT 1
        ) app
        CROSS JOIN LATERAL jsonb_array_elements(batch.part -> 2) AS given(write)
        CROSS JOIN LATERAL (
            SELECT i.profile_id FROM profile_identifiers i
            WHERE i.app_id = app.app_id AND i.identifier_name = given.write ->> 1
                AND i.identifier_value = given.write ->> 2
            LIMIT 1
        ) held"""

# The user ID is the strongest identifier: by it the profile was found.
_ALLOWING = f"""(given.write ->> 4 IS NULL OR p.email = given.write ->> 4)
        AND (given.write ->> 5 IS NULL OR given.write ->> 5 = ANY(p.device_ids))
        AND (given.write ->> 6 IS NULL OR given.write ->> 6 = ANY(p.analytics_visitor_ids))
        AND pg_column_size(p.attributes) <= {MOST_BYTES}
        AND (pg_column_compression(p.attributes) IS NULL
            OR pg_column_size(p.attributes || '{{}}'::jsonb) <= {MOST_BYTES})"""

# A write that names anybody erased is decided the usual way (`erasure/memory.py`).
_UNLESS_ERASED = """NOT EXISTS (
            SELECT FROM (
                VALUES ('user_id', 3), ('email', 4), ('device_id', 5), ('analytics_visitor_id', 6)
            ) AS named(identifier_name, position)
            CROSS JOIN LATERAL (
                SELECT FROM erased_identifiers e
                WHERE e.app_id = app.app_id AND e.identifier_hash = sha256(app.erasure_key
                    || convert_to(named.identifier_name || ':'
                        || (given.write ->> named.position), 'UTF8'))
                LIMIT 1
            ) erased
        )"""

_UPDATING = """UPDATE profiles p SET updated_at = $2::timestamptz,
        email_as_given = coalesce(given.write ->> 7, p.email_as_given),
        analytics_visitor_id = coalesce(given.write ->> 6, p.analytics_visitor_id),
        analytics_visitor_seen_at =
            CASE WHEN given.write ->> 6 IS NULL THEN p.analytics_visitor_seen_at ELSE $2 END,
        attributes = p.attributes || (given.write -> 8),
        attribute_written_at = p.attribute_written_at || (given.write -> 9)"""

# Rows are updated in the order of profiles, as by everybody, so that two that share the lock never
# wait for each other in a circle. Of two writes to a profile the first is saved, the other one is
# not: a row is updated once. A row that another one changes meanwhile is left out, and one that
# another one has changed later by its clock: write times of a profile don't go back.
_SAVING = f"""
WITH saved AS (
    {_UPDATING}
    FROM (
        SELECT given.write, stored.place FROM {_FINDING}
        CROSS JOIN LATERAL (
            SELECT q.ctid AS place FROM profiles q
            WHERE q.app_id = app.app_id AND q.profile_id = held.profile_id
            LIMIT 1
        ) stored
        WHERE {{unless}}
        ORDER BY app.app_id, held.profile_id, (given.write ->> 0)::integer
    ) given
    WHERE p.ctid = given.place AND p.updated_at <= $2 AND {_ALLOWING}
    RETURNING (given.write ->> 0)::integer AS place
)
SELECT json_agg(place)::text FROM saved
"""  # noqa: S608 - all parts are constants

# [place, what `FoundProfile` has]
_READING = f"""
SELECT json_agg(json_build_array((given.write ->> 0)::integer, p.profile_id,
    json_build_array(p.place, p.version), p.attributes, (
        SELECT array_agg(m.audience_id::text) FROM audience_members m
        WHERE m.app_id = app.app_id AND m.profile_id = held.profile_id
    )))::text
FROM {_FINDING}
CROSS JOIN LATERAL (
    SELECT q.*, q.ctid AS place, q.xmin AS version FROM profiles q
    WHERE q.app_id = app.app_id AND q.profile_id = held.profile_id
    LIMIT 1
) p
WHERE {_ALLOWING} AND {{unless}}
"""  # noqa: S608

# $1: writes that were decided about, in the order of profiles, each with the place of its row, the
# transaction that wrote it, and the profile's id. Together they are one state of one row, so that
# nothing is looked up again: VACUUM FULL may put another row of that transaction in the place.
# As text, because an index could find a uuid.
_TOUCHED_PART = f"""touched AS (
    {_UPDATING}
    FROM jsonb_array_elements($1::jsonb) AS given(write)
    WHERE p.ctid = (given.write ->> 10)::tid AND p.xmin = (given.write ->> 11)::xid
        AND p.profile_id::text = given.write ->> 12
    RETURNING 1
)"""
SAVE_DECIDED = f"WITH {_TOUCHED_PART} {REFUSE_CHANGED}"
SAVE_DECIDED_AND_MEMBERSHIPS = (
    f"{saving_memberships(3, has_due=False)}, {_TOUCHED_PART} {REFUSE_CHANGED}"
)


@cache
def saving_statement(*, has_erased: bool) -> str:
    """SQL that saves plain writes; has_erased: some of their apps remember erased profiles."""
    return _SAVING.replace("{unless}", _UNLESS_ERASED if has_erased else "true")


@cache
def reading_statement(*, has_erased: bool) -> str:
    """SQL that reads what they change; has_erased: as for `saving_statement`."""
    return _READING.replace("{unless}", _UNLESS_ERASED if has_erased else "true")


@dataclass(slots=True)
class PlainBatch:
    """Plain writes with their apps, by app_id."""

    apps: dict[str, KnownApp] = field(default_factory=dict)
    writes: dict[str, list[PlainWrite]] = field(default_factory=dict)

    def add(self, app_id: str, app: KnownApp, write: PlainWrite) -> None:
        """Take one in; places rise."""
        self.apps[app_id] = app
        self.writes.setdefault(app_id, []).append(write)

    def has_erased(self) -> bool:
        """Whether any of the apps remembers erased profiles."""
        return any(app.has_erased for app in self.apps.values())

    def document(self, written: int | None = None) -> str:
        """What the statements get.  written: when, in microseconds since 1970, to save them."""
        parts = [
            (app_id, self.apps[app_id].version, [_row(one, written) for one in found])
            for app_id, found in self.writes.items()
        ]
        return orjson.dumps(parts).decode()


async def save_plain_writes(conn: asyncpg.Connection, batch: PlainBatch, now: datetime) -> set[int]:
    """Save those that their profile allows; the places of these.  Needs the locks.

    On repeat: the same state.
    """
    statement = saving_statement(has_erased=batch.has_erased())
    places = await conn.fetchval(statement, batch.document(microseconds(now)), now)
    return set(orjson.loads(places)) if places else set()


async def read_found_profiles(
    conn: asyncpg.Connection, batch: PlainBatch
) -> dict[int, FoundProfile]:
    """{place: its profile} of the writes that their profile allows, in order of places."""
    statement = reading_statement(has_erased=batch.has_erased())
    document = await conn.fetchval(statement, batch.document())
    rows = sorted(orjson.loads(document), key=_PLACE) if document else []
    return {place: FoundProfile(*row) for place, *row in rows}


async def save_decided_writes(
    conn: asyncpg.Connection,
    decided: Mapping[str, Sequence[tuple[PlainWrite, FoundProfile]]],
    differences: Mapping[str, Differences],
    now: datetime,
) -> None:
    """Save writes, by app, with the memberships that follow; one statement.  Needs the locks.

    Errors: asyncpg.SerializationError when a profile is not as it was found any more; nothing is
    written then, nor on repeat.
    """
    written = microseconds(now)
    rows = [
        (*_row(write, written), *found.row, found.profile_id)
        for app_id in sorted(decided)
        for write, found in sorted(decided[app_id], key=_profile_id)
    ]
    document = orjson.dumps(rows).decode()
    if any(differences.values()):
        memberships = membership_documents(differences, now)
        await conn.execute(SAVE_DECIDED_AND_MEMBERSHIPS, document, now, *memberships)
    else:
        await conn.execute(SAVE_DECIDED, document, now)


_PLACE = itemgetter(0)


def _profile_id(decided: tuple[PlainWrite, FoundProfile]) -> str:
    return decided[1].profile_id


def _row(write: PlainWrite, written: int | None) -> tuple[Any, ...]:
    # A plain tuple: orjson knows no others.
    return (*write,) if written is None else (*write, dict.fromkeys(write.attributes, written))
