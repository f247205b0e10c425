"""SQL of plain writes: find, check and save in one statement, for all apps of a batch."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache

import asyncpg
import orjson

from audience.profile_changes.plain_writes.rows import PlainWrite
from audience.server.array_parameters.storage import text_array

#: Attributes that take more bytes go the usual way, which knows how large they may get. Compressed
#: ones are 255 times as large at most, so these are below MAX_ATTRIBUTES_BYTES.
MOST_BYTES = 4000

# [app_id, version of the app's row, writes], a write as `PlainWrite` with the names as an array.
# The app's row is as it was when the process read it, or nothing of the app is saved. Rows are
# updated in the order of profiles, as by everybody, so that two that share the lock never wait for
# each other in a circle. Of two writes to a profile the first is saved, the other one is not: a
# row is updated once. LATERAL with LIMIT 1 and by place: as `profiles/touches/storage.py` has it.
_SAVING = f"""
WITH saved AS (
    UPDATE profiles p SET updated_at = $2::timestamptz,
        email_as_given = coalesce(found.write ->> 7, p.email_as_given),
        analytics_visitor_id = coalesce(found.write ->> 6, p.analytics_visitor_id),
        analytics_visitor_seen_at =
            CASE WHEN found.write ->> 6 IS NULL THEN p.analytics_visitor_seen_at ELSE $2 END,
        attributes = p.attributes || (found.write -> 8),
        attribute_written_at = p.attribute_written_at || (found.write -> 9)
    FROM (
        SELECT given.write, stored.place
        FROM jsonb_array_elements($1::jsonb) AS batch(part)
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
        ) held
        CROSS JOIN LATERAL (
            SELECT q.ctid AS place FROM profiles q
            WHERE q.app_id = app.app_id AND q.profile_id = held.profile_id
            LIMIT 1
        ) stored
        {{unless}}
        ORDER BY app.app_id, held.profile_id, (given.write ->> 0)::integer
    ) found
    WHERE p.ctid = found.place
        AND (found.write ->> 3 IS NULL OR p.user_id = found.write ->> 3)
        AND (found.write ->> 4 IS NULL OR p.email = found.write ->> 4)
        AND (found.write ->> 5 IS NULL OR found.write ->> 5 = ANY(p.device_ids))
        AND (found.write ->> 6 IS NULL OR found.write ->> 6 = ANY(p.analytics_visitor_ids))
        AND p.attributes ?& (found.write ->> 10)::text[]
        AND pg_column_size(p.attributes) <= {MOST_BYTES}
    RETURNING (found.write ->> 0)::integer AS place
)
SELECT array_agg(place) FROM saved
"""  # noqa: S608 - all parts are constants

# A write that names anybody erased is decided the usual way (`erasure/memory.py`).
_UNLESS_ERASED = """WHERE NOT EXISTS (
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


@cache
def saving_statement(*, has_erased: bool) -> str:
    """SQL that saves plain writes; has_erased: some of their apps remember erased profiles."""
    return _SAVING.replace("{unless}", _UNLESS_ERASED if has_erased else "")


async def save_plain_writes(
    conn: asyncpg.Connection,
    writes: Mapping[str, Sequence[PlainWrite]],
    versions: Mapping[str, str],
    now: datetime,
    *,
    has_erased: bool,
) -> set[int]:
    """Save those that their profile allows; the places of these.  Needs the locks.

    writes, versions: by app_id; a version is that of the app's row.  On repeat: the same state.
    """
    document = [
        (app_id, versions[app_id], [(*one, _names(tuple(one.attributes))) for one in found])
        for app_id, found in writes.items()
    ]
    statement = saving_statement(has_erased=has_erased)
    saved = await conn.fetchval(statement, orjson.dumps(document).decode(), now)
    return set(saved or ())


@lru_cache(maxsize=1000)
def _names(names: tuple[str, ...]) -> str:
    """Apps send the same few names again and again."""
    return text_array(names)
