"""SQL of the public write path: the apps' locks, and everything a batch must know of an app.

A batch holds its apps' locks for the session, not for a transaction: so what it reads needs no
transaction, and the usual batch, which only changes attributes, is one statement that commits
itself. The same lock as `profiles/storage.py` takes for a transaction: one keeps the other out.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import asyncpg
import orjson

from audience.attributes.value_types import ValueType
from audience.profiles.identifiers import Identifier
from audience.profiles.profile import Profile
from audience.profiles.storage import PROFILE_COLUMNS, app_lock_key, profile_of

# Keys are taken in the order given, so that two sessions never wait for each other.
LOCK_APPS = "SELECT pg_advisory_lock(key) FROM unnest($1::bigint[]) AS key"
UNLOCK_APPS = "SELECT pg_advisory_unlock(key) FROM unnest($1::bigint[]) AS key"

# One row for the app, if it may be written to, then one per profile. LATERAL with LIMIT 1 makes the
# planner look each key up, whatever it believes about the app.
LOAD_APP = f"""
SELECT a.organization_id::text AS organization_id, a.blocked_identifier_values, (
    SELECT json_object_agg(d.attribute_name, d.value_type)::text
    FROM unnest($4::text[]) AS wanted(attribute_name)
    CROSS JOIN LATERAL (
        SELECT t.attribute_name, t.value_type FROM attribute_definitions t
        WHERE t.app_id = $1 AND t.field_type = 'attributes'
            AND t.attribute_name = wanted.attribute_name
        LIMIT 1
    ) d
) AS types, {PROFILE_COLUMNS}
FROM apps a LEFT JOIN profiles p ON false
WHERE a.app_id = $1 AND a.is_audience_manager_enabled
UNION ALL
SELECT NULL, NULL, NULL, {PROFILE_COLUMNS}
FROM (
    SELECT DISTINCT found.profile_id
    FROM unnest($2::text[], $3::text[]) AS wanted(identifier_name, identifier_value)
    CROSS JOIN LATERAL (
        SELECT i.profile_id FROM profile_identifiers i
        WHERE i.app_id = $1 AND i.identifier_name = wanted.identifier_name
            AND i.identifier_value = wanted.identifier_value
        LIMIT 1
    ) found
) ids
CROSS JOIN LATERAL (
    SELECT * FROM profiles q WHERE q.app_id = $1 AND q.profile_id = ids.profile_id LIMIT 1
) p
"""  # noqa: S608 - the column list is a constant


@dataclass(frozen=True, slots=True)
class LoadedApp:
    """What a batch must know of an app.

    types: {attribute_name: value type, None when declared only} of the wanted names that are known.
    also_blocked: the app's own blocked identifier values, lower-cased.
    """

    organization_id: str
    also_blocked: frozenset[str]
    types: dict[str, ValueType | None]
    profiles: list[Profile]


async def lock_apps(conn: asyncpg.Connection, app_ids: Iterable[str]) -> None:
    """Wait until this session is the only one that changes profiles of these apps.

    Held until `unlock_apps`, counted, or until the connection ends.  Locks in one order everywhere,
    so two callers never deadlock.  Without it two sessions read the same profile, both change it,
    and one change is lost; or both make a profile for the same new identifier.
    """
    await conn.fetch(LOCK_APPS, sorted(app_lock_key(app_id) for app_id in app_ids))


async def unlock_apps(conn: asyncpg.Connection, app_ids: Iterable[str]) -> None:
    """Let others change profiles of these apps again."""
    await conn.fetch(UNLOCK_APPS, [app_lock_key(app_id) for app_id in app_ids])


async def load_app(
    conn: asyncpg.Connection,
    app_id: str,
    identifiers: Collection[Identifier],
    attribute_names: Collection[str],
) -> LoadedApp | None:
    """The app with the profiles that hold any of the identifiers; one statement.

    None when the app does not exist or has the audience manager switched off.
    """
    names = [identifier.identifier_name for identifier in identifiers]
    values = [identifier.identifier_value for identifier in identifiers]
    rows = await conn.fetch(LOAD_APP, app_id, names, values, list(attribute_names))
    if not rows or rows[0]["organization_id"] is None:
        return None
    app = rows[0]
    return LoadedApp(
        app["organization_id"],
        frozenset(value.lower() for value in app["blocked_identifier_values"]),
        orjson.loads(app["types"]) if app["types"] else {},
        [profile_of(row) for row in rows[1:]],
    )
