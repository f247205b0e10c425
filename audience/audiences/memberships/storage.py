"""SQL of memberships: the rules of an app, what is stored of profiles, saving differences.

Whoever saves here holds the app's lock (`profiles/storage.py`, `lock_apps`).
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from audience.audiences.memberships.decide import Before, Differences
from audience.profiles.profile_set import ProfileSet
from audience.profiles.touches.storage import (
    REFUSE_CHANGED,
    TOUCH_PARAMETERS,
    TOUCH_PROFILES,
    TOUCHED_PART,
    Versions,
    touch_parameters,
    touch_profiles,
)

# Revision and rules come from one snapshot: they always belong together.
LIST_RULES = """
SELECT a.audiences_revision::text AS revision, a.timezone, d.audience_id::text AS audience_id,
    d.definition::text AS definition, d.membership_duration_days
FROM apps a
LEFT JOIN audiences d ON d.app_id = a.app_id AND NOT d.is_deleted
WHERE a.app_id = $1
ORDER BY d.audience_id
"""

GET_REVISION = "SELECT audiences_revision::text, timezone FROM apps WHERE app_id = $1"

# LATERAL: each profile's rows are looked up by its id, also in an app without statistics.
GET_BEFORE = """
SELECT ids.profile_id::text AS profile_id, p.updated_at, member.audience_ids, member.matched_at,
    due.changes_at
FROM unnest($2::uuid[]) AS ids(profile_id)
CROSS JOIN LATERAL (
    SELECT updated_at FROM profiles q WHERE q.app_id = $1 AND q.profile_id = ids.profile_id LIMIT 1
) p
CROSS JOIN LATERAL (
    SELECT array_agg(m.audience_id::text) AS audience_ids, array_agg(m.matched_at) AS matched_at
    FROM audience_members m WHERE m.app_id = $1 AND m.profile_id = ids.profile_id
) member
LEFT JOIN LATERAL (
    SELECT r.changes_at FROM profile_reevaluations r
    WHERE r.app_id = $1 AND r.profile_id = ids.profile_id LIMIT 1
) due ON true
"""

IS_ANY_FILLING = """
SELECT EXISTS (
    SELECT FROM audiences WHERE app_id = $1 AND audience_id = ANY($2::uuid[]) AND is_filling
)
"""

LIST_MEMBER_SINCE = """
SELECT m.profile_id::text, m.audience_id::text, m.member_since FROM audience_members m
WHERE m.app_id = $1 AND m.profile_id = ANY($2)
"""


# Documents, because an array for each column costs the process three times as much. Rows are looked
# up by their keys whatever the planner believes (LATERAL with LIMIT 1, see `profiles/touches/`).
_MEMBERS_PART = """WITH kept AS (
    INSERT INTO audience_members (app_id, audience_id, profile_id, matched_at, member_since)
    SELECT (row ->> 0)::uuid, (row ->> 1)::uuid, (row ->> 2)::uuid, (row ->> 3)::timestamptz,
        (row ->> 4)::timestamptz
    FROM jsonb_array_elements({kept}::jsonb) AS member(row)
    ON CONFLICT (app_id, audience_id, profile_id) DO UPDATE SET matched_at = excluded.matched_at
), ended AS (
    DELETE FROM audience_members m
    USING jsonb_array_elements({ended}::jsonb) AS gone(row)
    CROSS JOIN LATERAL (
        SELECT q.ctid AS place FROM audience_members q
        WHERE q.app_id = (gone.row ->> 0)::uuid AND q.audience_id = (gone.row ->> 1)::uuid
            AND q.profile_id = (gone.row ->> 2)::uuid
        LIMIT 1
    ) stored
    WHERE m.ctid = stored.place
)"""
_DUE_PART = """, due AS (
    INSERT INTO profile_reevaluations (app_id, profile_id, changes_at)
    SELECT (row ->> 0)::uuid, (row ->> 1)::uuid, (row ->> 2)::timestamptz
    FROM jsonb_array_elements({due}::jsonb) AS new(row)
    WHERE row ->> 2 IS NOT NULL
    ON CONFLICT (app_id, profile_id) DO UPDATE SET changes_at = excluded.changes_at
), undue AS (
    DELETE FROM profile_reevaluations r
    USING jsonb_array_elements({due}::jsonb) AS gone(row)
    CROSS JOIN LATERAL (
        SELECT q.ctid AS place FROM profile_reevaluations q
        WHERE q.app_id = (gone.row ->> 0)::uuid AND q.profile_id = (gone.row ->> 1)::uuid
        LIMIT 1
    ) stored
    WHERE gone.row ->> 2 IS NULL AND r.ctid = stored.place
)"""


def saving_memberships(first: int, *, has_due: bool) -> str:
    """The beginning of a statement that stores differences, with parameters from `first` on.

    They are two documents, and one more with has_due: most apps have nothing that time changes, and
    parts that do nothing have their price.
    """
    names = {f"{{{name}}}": f"${first + n}" for n, name in enumerate(("kept", "ended", "due"))}
    text = _MEMBERS_PART + (_DUE_PART if has_due else "")
    for name, parameter in names.items():
        text = text.replace(name, parameter)
    return text


#: By whether anything that time changes is to be stored.
SAVE_MEMBERSHIPS = {
    has_due: f"{saving_memberships(1, has_due=has_due)} SELECT" for has_due in (False, True)
}
TOUCH_AND_SAVE_MEMBERSHIPS = {
    has_due: f"{saving_memberships(TOUCH_PARAMETERS + 1, has_due=has_due)} {TOUCH_PROFILES}"
    for has_due in (False, True)
}
# The rows first, as those who only touch them do: the parts that nobody reads come last.
TOUCH_UNCHANGED_AND_SAVE_MEMBERSHIPS = {
    has_due: (
        f"{saving_memberships(TOUCH_PARAMETERS + 1, has_due=has_due)}, "
        f"{TOUCHED_PART} {REFUSE_CHANGED}"
    )
    for has_due in (False, True)
}


async def list_rules(conn: asyncpg.Connection, app_id: str) -> list[asyncpg.Record]:
    """The app's revision and time zone with its audiences, one row each; one row without any."""
    rows: list[asyncpg.Record] = await conn.fetch(LIST_RULES, app_id)
    return rows


async def get_revision(conn: asyncpg.Connection, app_id: str) -> tuple[str | None, str]:
    """(revision of the app's audiences, None when it has none; its time zone)."""
    row = await conn.fetchrow(GET_REVISION, app_id)
    return (None, "UTC") if row is None else (row[0], row[1])


async def is_any_filling(
    conn: asyncpg.Connection, app_id: str, audience_ids: Collection[str]
) -> bool:
    """Whether the members of one of these audiences are being worked out."""
    found: bool = await conn.fetchval(IS_ANY_FILLING, app_id, list(audience_ids))
    return found


async def get_before(
    conn: asyncpg.Connection, app_id: str, profile_ids: Collection[str]
) -> dict[str, Before]:
    """{profile_id: what is stored of its memberships}, of the profiles that exist."""
    rows = await conn.fetch(GET_BEFORE, app_id, sorted(profile_ids))
    return {
        row["profile_id"]: Before(
            row["updated_at"],
            memberships_of(row["audience_ids"], row["matched_at"]),
            row["changes_at"],
        )
        for row in rows
    }


def memberships_of(
    audience_ids: list[str] | None, matched_at: list[datetime | None] | None
) -> dict[str, datetime | None]:
    """{audience_id: matched_at} of two arrays that belong together."""
    if audience_ids is None or matched_at is None:
        return {}
    return dict(zip(audience_ids, matched_at, strict=True))


async def load_member_since(
    conn: asyncpg.Connection, app_id: str, profiles: ProfileSet, before: Mapping[str, Before]
) -> None:
    """Note since when absorbed profiles were members; no statement when none was absorbed.

    To be called before the profiles are saved: their memberships go with them.
    """
    if not profiles.absorbed_profile_ids:
        return
    absorbed = sorted(profiles.absorbed_profile_ids)
    for profile_id, audience_id, since in await conn.fetch(LIST_MEMBER_SINCE, app_id, absorbed):
        if profile_id in before:
            before[profile_id].member_since[audience_id] = since


async def save_memberships(
    conn: asyncpg.Connection, differences: Mapping[str, Differences], now: datetime
) -> None:
    """Store the differences, by app; one statement, none when there is nothing to store.

    The profiles must be stored already.  On repeat: the same state, member_since stays.
    """
    if any(differences.values()):
        documents = membership_documents(differences, now)
        await conn.execute(SAVE_MEMBERSHIPS[len(documents) > _WITHOUT_DUE], *documents)


async def touch_profiles_and_save(
    conn: asyncpg.Connection,
    sets: Mapping[str, ProfileSet],
    differences: Mapping[str, Differences],
    now: datetime,
    versions: Versions | None = None,
) -> None:
    """As `touches.storage.touch_profiles`, with the memberships that follow; one statement."""
    if not any(differences.values()):
        await touch_profiles(conn, sets, versions)
        return
    documents = membership_documents(differences, now)
    statements = (
        TOUCH_AND_SAVE_MEMBERSHIPS if versions is None else TOUCH_UNCHANGED_AND_SAVE_MEMBERSHIPS
    )
    statement = statements[len(documents) > _WITHOUT_DUE]
    await conn.execute(statement, *touch_parameters(sets, versions), *documents)


_WITHOUT_DUE = 2


def membership_documents(differences: Mapping[str, Differences], now: datetime) -> list[str]:
    """The parameters of `saving_memberships`, in its order; the last only with something due."""
    kept = [
        (app_id, audience_id, profile_id, matched_at, since or now)
        for app_id, found in differences.items()
        for audience_id, profile_id, matched_at, since in found.kept
    ]
    ended = [(app_id, *row) for app_id, found in differences.items() for row in found.ended]
    due = [(app_id, *row) for app_id, found in differences.items() for row in found.due]
    documents: list[list[tuple[Any, ...]]] = [kept, ended]
    if due:
        documents.append(due)
    return [orjson.dumps(rows).decode() for rows in documents]
