"""SQL of the public write path: everything a batch must know of an app.

A batch holds its apps' locks for the session, not for a transaction (`writer.py`): so what it reads
needs no transaction, and the usual batch, which only changes attributes, is one statement that
commits itself. The same lock as `profiles/storage.py` takes for a transaction: one keeps the other
out. Without it two sessions read the same profile, both change it, and one change is lost; or both
make a profile for the same new identifier.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import orjson

from audience.attributes.value_types import ValueType
from audience.audiences.memberships.audience_set import AudienceSet
from audience.audiences.memberships.cache import audiences_of, known_audiences
from audience.audiences.memberships.decide import Before
from audience.audiences.memberships.storage import get_before, memberships_of
from audience.profile_changes.consent_gate import Gate
from audience.profile_changes.erasure.memory import Remembered
from audience.profile_changes.erasure.storage import (
    ERASED_COLUMN,
    find_remembered,
    remembered_of,
)
from audience.profiles.identifiers import Identifier
from audience.profiles.profile import Profile
from audience.profiles.storage import (
    NO_PROFILE_COLUMNS,
    PROFILE_COLUMNS,
    profile_of,
)
from audience.server.array_parameters.storage import text_array, uuid_array

# One row per app that may be written to, then one per profile. One statement for all apps of the
# batch: round trips are what a batch waits for. LATERAL with LIMIT 1 makes the planner look each
# key up, whatever it believes about the app.
_LOADING = f"""
SELECT {NO_PROFILE_COLUMNS},
    a.app_id::text AS loaded_app_id, a.organization_id::text AS organization_id,
    a.blocked_identifier_values, (
        SELECT json_object_agg(d.attribute_name, d.value_type)::text
        FROM unnest($5::text::uuid[], $6::text::text[]) AS wanted(app_id, attribute_name)
        CROSS JOIN LATERAL (
            SELECT t.attribute_name, t.value_type FROM attribute_definitions t
            WHERE t.app_id = wanted.app_id AND t.field_type = 'attributes'
                AND t.attribute_name = wanted.attribute_name
            LIMIT 1
        ) d
        WHERE wanted.app_id = a.app_id
    ) AS types, a.audiences_revision::text AS audiences_revision, a.timezone,
    {{erased}} AS erased, a.erasure_key IS NOT NULL AS has_erased,
    a.attribute_consent_type, a.attribute_consent_seconds,
    NULL::text[] AS audience_ids, NULL::timestamptz[] AS matched_at,
    NULL::timestamptz AS changes_at, NULL::text AS row_version
FROM unnest($1::uuid[]) AS asked(app_id)
CROSS JOIN LATERAL (
    SELECT * FROM apps WHERE app_id = asked.app_id AND is_audience_manager_enabled LIMIT 1
) a
UNION ALL
SELECT {PROFILE_COLUMNS}, ids.app_id::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    {{audience_columns}}, p.row_version::text
FROM (
    SELECT DISTINCT wanted.app_id, found.profile_id
    FROM unnest($2::text::uuid[], $3::text::text[], $4::text::text[])
        AS wanted(app_id, identifier_name, identifier_value)
    CROSS JOIN LATERAL (
        SELECT i.profile_id FROM profile_identifiers i
        WHERE i.app_id = wanted.app_id AND i.identifier_name = wanted.identifier_name
            AND i.identifier_value = wanted.identifier_value
        LIMIT 1
    ) found
) ids
CROSS JOIN LATERAL (
    SELECT q.*, q.xmin AS row_version FROM profiles q
    WHERE q.app_id = ids.app_id AND q.profile_id = ids.profile_id
    LIMIT 1
) p
{{memberships}}"""  # noqa: S608 - all parts are constants

# For the apps that this process knows to have audiences ($7); when they may change only where time
# matters ($8).
_MEMBERSHIPS = """
LEFT JOIN LATERAL (
    SELECT array_agg(m.audience_id::text) AS audience_ids, array_agg(m.matched_at) AS matched_at
    FROM audience_members m
    WHERE ids.app_id = ANY($7::uuid[]) AND m.app_id = ids.app_id AND m.profile_id = p.profile_id
) member ON true
LEFT JOIN LATERAL (
    SELECT r.changes_at FROM profile_reevaluations r
    WHERE ids.app_id = ANY($8::uuid[]) AND r.app_id = ids.app_id AND r.profile_id = p.profile_id
    LIMIT 1
) due ON true
"""

# Few apps remember erased profiles, and looking for them has its price even where there are none.
# So they are looked up along with the rest only for apps that this process knows to remember some.
# Memberships likewise.
_LOADING_MEMBERSHIPS = _LOADING.replace("{memberships}", _MEMBERSHIPS).replace(
    "{audience_columns}", "member.audience_ids, member.matched_at, due.changes_at"
)
_LOADING_NO_MEMBERSHIPS = _LOADING.replace("{memberships}", "").replace(
    "{audience_columns}", "NULL, NULL, NULL"
)
LOAD_APPS = _LOADING_NO_MEMBERSHIPS.replace("{erased}", "NULL::text")
LOAD_APPS_WITH_ERASED = _LOADING_NO_MEMBERSHIPS.replace("{erased}", ERASED_COLUMN)
LOAD_APPS_WITH_MEMBERSHIPS = _LOADING_MEMBERSHIPS.replace("{erased}", "NULL::text")
LOAD_APPS_WITH_BOTH = _LOADING_MEMBERSHIPS.replace("{erased}", ERASED_COLUMN)
_MAX_REMEMBERING = 10_000
_remembering: set[str] = set()


@dataclass(slots=True)
class LoadedApp:
    """What a batch must know of an app.

    types: {attribute_name: value type, None when declared only} of the wanted names that are known.
    also_blocked: the app's own blocked identifier values, lower-cased. before: {profile_id: what is
    stored of its memberships}, of the profiles of an app with audiences. erased: what is remembered
    of erased profiles that held the wanted identifiers. gate: None when no consent is needed.
    versions: {profile_id: the version of its row}, see `profiles/touches/`.
    """

    organization_id: str
    also_blocked: frozenset[str]
    types: dict[str, ValueType | None]
    profiles: list[Profile] = field(default_factory=list)
    audiences: AudienceSet | None = None
    before: dict[str, Before] = field(default_factory=dict)
    erased: Remembered = field(default_factory=dict)
    gate: Gate | None = None
    versions: dict[str, str] = field(default_factory=dict)


async def load_apps(
    conn: asyncpg.Connection,
    identifiers: Mapping[str, Collection[Identifier]],
    attribute_names: Mapping[str, Collection[str]],
) -> dict[str, LoadedApp]:
    """{app_id: the app with the profiles that hold any of its identifiers}; one statement.

    Both arguments are by app_id. Apps that do not exist or have the audience manager switched off
    are left out.
    """
    known = {app_id: found for app_id in identifiers if (found := known_audiences(app_id))}
    is_remembering = not _remembering.isdisjoint(identifiers)
    parameters = _parameters(identifiers, attribute_names)
    if known:
        timely = [app_id for app_id, found in known.items() if found.may_change_by_time]
        statement = LOAD_APPS_WITH_BOTH if is_remembering else LOAD_APPS_WITH_MEMBERSHIPS
        rows = await conn.fetch(statement, *parameters, list(known), timely)
    else:
        statement = LOAD_APPS_WITH_ERASED if is_remembering else LOAD_APPS
        rows = await conn.fetch(statement, *parameters)
    apps: dict[str, LoadedApp] = {}
    for row in rows:
        app_id = row["loaded_app_id"]
        if row["organization_id"] is not None:
            apps[app_id] = app = _loaded_app(row)
            if _note_remembering(app_id, row["has_erased"]) and not is_remembering:
                app.erased = await find_remembered(conn, app_id, identifiers[app_id])
            revision, timezone = row["audiences_revision"], row["timezone"]
            app.audiences = await audiences_of(conn, app_id, revision, timezone)
        elif app_id in apps:
            profile = profile_of(row)
            apps[app_id].profiles.append(profile)
            apps[app_id].versions[profile.profile_id] = row["row_version"]
            if app_id in known:
                apps[app_id].before[profile.profile_id] = _before(profile, row)
    for app_id, app in apps.items():
        await _complete(conn, app_id, app, known.get(app_id))
    return apps


def _parameters(
    identifiers: Mapping[str, Collection[Identifier]],
    attribute_names: Mapping[str, Collection[str]],
) -> list[Any]:
    """The first parameters of the loading statements: apps, identifiers, names of attributes."""
    wanted = [pair for pairs in identifiers.values() for pair in pairs]
    return [
        list(identifiers),
        uuid_array([app_id for app_id, pairs in identifiers.items() for _ in pairs]),
        text_array([pair[0] for pair in wanted]),
        text_array([pair[1] for pair in wanted]),
        uuid_array([app_id for app_id, names in attribute_names.items() for _ in names]),
        text_array([name for names in attribute_names.values() for name in names]),
    ]


def _note_remembering(app_id: str, has_erased: bool) -> bool:  # noqa: FBT001 - a column's value
    """Remember that the app remembers erased profiles, or no longer does; which of the two."""
    if not has_erased:
        _remembering.discard(app_id)
    elif len(_remembering) < _MAX_REMEMBERING:
        _remembering.add(app_id)
    return has_erased


def _loaded_app(row: asyncpg.Record) -> LoadedApp:
    return LoadedApp(
        row["organization_id"],
        frozenset(value.lower() for value in row["blocked_identifier_values"]),
        orjson.loads(row["types"]) if row["types"] else {},
        erased=remembered_of(row["erased"]) if row["erased"] else {},
        gate=_gate(row) if row["attribute_consent_type"] else None,
    )


def _gate(row: asyncpg.Record) -> Gate:
    seconds = row["attribute_consent_seconds"]
    return Gate(row["attribute_consent_type"], timedelta(seconds=seconds) if seconds else None)


def _before(profile: Profile, row: asyncpg.Record) -> Before:
    memberships = memberships_of(row["audience_ids"], row["matched_at"])
    return Before(profile.updated_at, memberships, row["changes_at"])


async def _complete(
    conn: asyncpg.Connection, app_id: str, app: LoadedApp, expected: AudienceSet | None
) -> None:
    """Load what the statement could not know to be needed: the audiences have just changed."""
    if app.audiences is None:
        app.before.clear()
    elif app.audiences is not expected and app.profiles:
        ids = [profile.profile_id for profile in app.profiles]
        app.before = await get_before(conn, app_id, ids)
    for profile in app.profiles:
        if profile.profile_id in app.before:
            app.before[profile.profile_id].attributes = profile.attributes
