"""SQL of saving profiles of which only attributes changed: the usual write, one statement.

Two ways: by whoever is the only writer of the app, and by one of several who share its lock
(`server/session_locks/`). The latter name the version of each row that they have read: the
transaction that wrote it (`xmin`, which every update changes, and nothing else). When one of the
rows is another one by now, nothing is saved. (Plain writes have ways of their own,
`profile_changes/plain_writes/`.)
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from audience.profiles.profile_set import ProfileSet

#: {app_id: {profile_id: the version of its row that was read}}
Versions = Mapping[str, Mapping[str, str]]

#: How many parameters `touch_parameters` makes.
TOUCH_PARAMETERS = 2

# One document for all rows, [app_id, profile_id, attributes, attribute_written_at, email_as_given,
# analytics_visitor_id, whether it was seen now, version]: with an array per column both documents
# of each row would be written and checked on their own.
# Rows are updated in the order of the document, which is the same for everybody, so that two
# sharers that meet in several rows never wait for each other. LATERAL with LIMIT 1 makes the
# planner look each key up, however small the table is when it plans; joined plainly, a table of few
# rows would be gone through for every row of the document, and still when it has grown. A row that
# changes between the look-up and the update is left out: nobody changes one without the lock, and
# those who share it name versions, or let what is left out go this way (`plain_writes/`).
TOUCH_PROFILES = """
UPDATE profiles p SET updated_at = $2::timestamptz, email_as_given = touched.row ->> 4,
    analytics_visitor_id = touched.row ->> 5,
    analytics_visitor_seen_at =
        CASE WHEN (touched.row ->> 6)::boolean THEN $2 ELSE p.analytics_visitor_seen_at END,
    attributes = touched.row -> 2, attribute_written_at = touched.row -> 3
FROM jsonb_array_elements($1::jsonb) AS touched(row)
CROSS JOIN LATERAL (
    SELECT q.ctid AS place FROM profiles q
    WHERE q.app_id = (touched.row ->> 0)::uuid AND q.profile_id = (touched.row ->> 1)::uuid
    LIMIT 1
) stored
WHERE p.ctid = stored.place
"""

#: The part of a statement that touches what is unchanged, and its end, which refuses the rest.
TOUCHED_PART = f"""touched AS (
    {TOUCH_PROFILES}
        AND p.xmin = (touched.row ->> 7)::xid
    RETURNING 1
)"""
REFUSE_CHANGED = """
SELECT refuse_changed_profiles((SELECT count(*) FROM touched), jsonb_array_length($1::jsonb))
"""
TOUCH_UNCHANGED = f"WITH {TOUCHED_PART} {REFUSE_CHANGED}"


async def touch_profiles(
    conn: asyncpg.Connection, sets: Mapping[str, ProfileSet], versions: Versions | None = None
) -> None:
    """Write the profiles of which only attributes changed; one statement, needs the locks.

    sets: {app_id: its profiles}. versions: of the rows as they were read, by one of several who
    share the locks.  Errors: asyncpg.SerializationError when a row is another one by now; nothing
    is written then.
    """
    parameters = touch_parameters(sets, versions)
    if parameters[1] is not None:
        await conn.execute(TOUCH_PROFILES if versions is None else TOUCH_UNCHANGED, *parameters)


def touch_parameters(
    sets: Mapping[str, ProfileSet], versions: Versions | None = None
) -> tuple[str, datetime | None]:
    """The parameters of TOUCH_PROFILES, and with versions of TOUCH_UNCHANGED.

    The moment is None when there is nothing to save.
    """
    rows: list[tuple[Any, ...]] = []
    now = None
    for app_id in sorted(sets):
        profiles = sets[app_id]
        known = None if versions is None else versions[app_id]
        for profile_id in sorted(profiles.touched_profile_ids - profiles.changed_profile_ids):
            profile = profiles.profiles[profile_id]
            # All were touched at the one moment of the batch.
            now = profile.updated_at
            row = (
                app_id,
                profile_id,
                profile.attributes,
                profile.attribute_written_at,
                profile.email_as_given,
                profile.analytics_visitor_id,
                profile.analytics_visitor_seen_at == now,
            )
            rows.append(row if known is None else (*row, known[profile_id]))
    return orjson.dumps(rows).decode(), now
