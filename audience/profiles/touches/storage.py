"""SQL of saving profiles of which only attributes changed: the usual write, one statement.

Two ways: by whoever is the only writer of the app, and by one of several who share its lock
(`server/session_locks/`). The latter name the version of each row that they have read: the
transaction that wrote it (`xmin`, which every update changes, and nothing else). When one of the
rows is another one by now, nothing is saved.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from audience.profiles.profile import Profile
from audience.profiles.profile_set import ProfileSet
from audience.profiles.storage import json_text
from audience.server.array_parameters.storage import number_array, text_array, uuid_array

#: {app_id: {profile_id: the version of its row that was read}}
Versions = Mapping[str, Mapping[str, str]]

#: How many parameters `touch_columns` makes, and with versions.
TOUCH_PARAMETERS, TOUCH_UNCHANGED_PARAMETERS = 8, 9

# Rows are updated in the order of the parameters, which is the same for everybody, so that two
# sharers that meet in several rows never wait for each other.
_TOUCH = """
UPDATE profiles p SET updated_at = $3::timestamptz, email_as_given = touched.email_as_given,
    analytics_visitor_id = touched.analytics_visitor_id,
    analytics_visitor_seen_at =
        CASE WHEN touched.is_seen THEN $3 ELSE p.analytics_visitor_seen_at END,
    attributes = touched.attributes, attribute_written_at = touched.attribute_written_at
FROM unnest($1::text::uuid[], $2::text::uuid[], $4::text::text[], $5::text::text[],
        $6::text::boolean[], $7::jsonb[], $8::jsonb[]{more_parameters})
    AS touched(app_id, profile_id, email_as_given, analytics_visitor_id, is_seen, attributes,
        attribute_written_at{more_columns})
WHERE p.app_id = touched.app_id AND p.profile_id = touched.profile_id
"""

TOUCH_PROFILES = _TOUCH.format(more_parameters="", more_columns="")

#: The part of a statement that touches what is unchanged, and its end, which refuses the rest.
TOUCHED_PART = f"""touched AS (
    {_TOUCH.format(more_parameters=", $9::text::xid[]", more_columns=", version")}
        AND p.xmin = touched.version
    RETURNING 1
)"""
REFUSE_CHANGED = """
SELECT refuse_changed_profiles((SELECT count(*) FROM touched), cardinality($7::jsonb[]))
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
    columns = touch_columns(sets, versions)
    if columns[2] is not None:
        await conn.execute(TOUCH_PROFILES if versions is None else TOUCH_UNCHANGED, *columns)


def touch_columns(sets: Mapping[str, ProfileSet], versions: Versions | None = None) -> list[Any]:
    """The parameters of TOUCH_PROFILES: a list a column, and one moment for all.

    With versions those of TOUCH_UNCHANGED.
    """
    touched: list[Profile] = []
    app_ids: list[str] = []
    for app_id in sorted(sets):
        profiles = sets[app_id]
        ids = sorted(profiles.touched_profile_ids - profiles.changed_profile_ids)
        touched += [profiles.profiles[key] for key in ids]
        app_ids += [app_id] * len(ids)
    now = touched[0].updated_at if touched else None
    columns = [
        uuid_array(app_ids),
        uuid_array([p.profile_id for p in touched]),
        now,
        text_array([p.email_as_given for p in touched]),
        text_array([p.analytics_visitor_id for p in touched]),
        number_array([p.analytics_visitor_seen_at == now for p in touched]),
        [json_text(p.attributes) for p in touched],
        [json_text(p.attribute_written_at) for p in touched],
    ]
    if versions is not None:
        columns.append(uuid_array(_versions_of(app_ids, touched, versions)))
    return columns


def _versions_of(
    app_ids: Sequence[str], touched: Sequence[Profile], versions: Versions
) -> list[str]:
    return [
        versions[app_id][profile.profile_id]
        for app_id, profile in zip(app_ids, touched, strict=True)
    ]
