"""SQL of the public write path: everything a batch must know of its apps.

A batch holds its apps' locks for the session, not for a transaction (`writer.py`): so what it reads
needs no transaction, and the usual batch, which only changes attributes, is one statement that
commits itself. The same lock as `profiles/storage.py` takes for a transaction: one keeps the other
out. Without it two sessions read the same profile, both change it, and one change is lost; or both
make a profile for the same new identifier.
"""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from datetime import timedelta
from functools import cache
from typing import Any

import asyncpg
import orjson

from audience.audiences.memberships.cache import audiences_of
from audience.audiences.memberships.storage import memberships_of
from audience.profile_changes import known_apps
from audience.profile_changes.erasure.storage import ERASED_COLUMN, remembered_of
from audience.profile_changes.loaded_app import KnownApp, LoadedApp, gate_of
from audience.profiles.identifiers import Identifier
from audience.profiles.storage import (
    PROFILE_DOCUMENT,
    is_large,
    parse_moment,
    profile_of_members,
)
from audience.server.array_parameters.storage import text_array

# LATERAL with LIMIT 1 makes the planner look each key up, whatever it believes about the app; here
# and below.
LOAD_APPS = """
SELECT a.app_id::text, a.row_version::text, a.organization_id::text, a.blocked_identifier_values,
    (
        SELECT json_object_agg(d.attribute_name, d.value_type)::text
        FROM unnest(batch.attribute_names::text[]) AS wanted(attribute_name)
        CROSS JOIN LATERAL (
            SELECT t.attribute_name, t.value_type FROM attribute_definitions t
            WHERE t.app_id = a.app_id AND t.field_type = 'attributes'
                AND t.attribute_name = wanted.attribute_name
            LIMIT 1
        ) d
    ) AS types, a.audiences_revision::text, a.timezone, a.attribute_consent_type,
    a.attribute_consent_seconds, a.erasure_key IS NOT NULL AS has_erased
FROM unnest($1::uuid[], $2::text[]) AS batch(app_id, attribute_names)
CROSS JOIN LATERAL (
    SELECT q.*, q.xmin AS row_version FROM apps q
    WHERE q.app_id = batch.app_id AND q.is_audience_manager_enabled
    LIMIT 1
) a
"""

# An array for each profile; one without a profile for an app of which none is found. The version of
# the app's row tells whether what is known of the app holds. One statement for all apps of the
# batch: round trips are what a batch waits for. One document: rows and columns take the process
# twice as long to read.
_LOADING = f"""
SELECT json_agg(json_build_array(batch.place, a.row_version, p.row_version, {PROFILE_DOCUMENT},
    {{columns}}))::text
FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY
    AS batch(app_id, identifier_names, identifier_values, place)
CROSS JOIN LATERAL (
    SELECT a.xmin AS row_version{{app_columns}} FROM apps a
    WHERE a.app_id = batch.app_id AND a.is_audience_manager_enabled
    LIMIT 1
) a
LEFT JOIN LATERAL (
    SELECT found.*{{profile_columns}} FROM (
        SELECT DISTINCT held.profile_id
        FROM unnest(batch.identifier_names::text[], batch.identifier_values::text[])
            AS wanted(identifier_name, identifier_value)
        CROSS JOIN LATERAL (
            SELECT i.profile_id FROM profile_identifiers i
            WHERE i.app_id = batch.app_id AND i.identifier_name = wanted.identifier_name
                AND i.identifier_value = wanted.identifier_value
            LIMIT 1
        ) held
    ) ids
    CROSS JOIN LATERAL (
        SELECT q.*, q.xmin AS row_version FROM profiles q
        WHERE q.app_id = batch.app_id AND q.profile_id = ids.profile_id
        LIMIT 1
    ) found
) p ON true
{{joins}}"""  # noqa: S608 - all parts are constants

_MEMBERSHIPS = """LEFT JOIN LATERAL (
    SELECT array_agg(m.audience_id::text) AS audience_ids, array_agg(m.matched_at) AS matched_at
    FROM audience_members m WHERE m.app_id = batch.app_id AND m.profile_id = p.profile_id
) member ON true
"""

_DUE = """LEFT JOIN LATERAL (
    SELECT r.changes_at FROM profile_reevaluations r
    WHERE r.app_id = batch.app_id AND r.profile_id = p.profile_id
    LIMIT 1
) due ON true
"""


_ERASED = "CASE WHEN p.number IS NULL OR p.number = 1 THEN a.erased END"


@cache
def loading_statement(
    *, has_audiences: bool = False, may_change_by_time: bool = False, has_erased: bool = False
) -> str:
    """SQL that loads the profiles of apps that identifiers name, for apps of these kinds.

    Looking for erased profiles and memberships has its price even where there are none.
    """
    # What is erased may be long: with the first profile of an app, or without any.
    columns = [_ERASED if has_erased else "NULL", "NULL", "NULL", "NULL"]
    joins = ""
    if has_audiences:
        columns[1:3] = ["member.audience_ids", "member.matched_at"]
        joins += _MEMBERSHIPS
    if has_audiences and may_change_by_time:
        columns[3] = "due.changes_at"
        joins += _DUE
    parts = {
        "{columns}": ", ".join(columns),
        "{app_columns}": f", {ERASED_COLUMN} AS erased" if has_erased else "",
        "{profile_columns}": ", row_number() OVER () AS number" if has_erased else "",
        "{joins}": joins,
    }
    statement = _LOADING
    for place, part in parts.items():
        statement = statement.replace(place, part)
    return statement


async def load_apps(
    conn: asyncpg.Connection,
    identifiers: Mapping[str, Collection[Identifier]],
    attribute_names: Mapping[str, AbstractSet[str]],
) -> dict[str, LoadedApp]:
    """{app_id: the app with the profiles that hold any of its identifiers}.

    Both arguments are by app_id. Apps that do not exist or have the audience manager switched off
    are left out. One statement when the process knows the apps and the types of the attributes,
    else two; one more when the audiences of an app have changed.
    """
    while True:
        known = await _know_apps(conn, list(identifiers), attribute_names)
        apps = {
            app_id: LoadedApp(
                found,
                await audiences_of(conn, app_id, found.audiences_revision, found.timezone),
                gate_of(found.gate_terms),
            )
            for app_id, found in known.items()
        }
        if not apps or await _load_profiles(conn, apps, identifiers):
            return apps


async def _know_apps(
    conn: asyncpg.Connection, app_ids: list[str], attribute_names: Mapping[str, AbstractSet[str]]
) -> dict[str, KnownApp]:
    """What is known of the apps, with the types of at least these attributes if they have one."""
    known: dict[str, KnownApp] = {}
    unknown: list[str] = []
    for app_id in app_ids:
        found = known_apps.recall(conn, app_id, attribute_names.get(app_id, frozenset()))
        if found is None:
            unknown.append(app_id)
        else:
            known[app_id] = found
    if unknown:
        names = [text_array(list(attribute_names.get(app_id, ()))) for app_id in unknown]
        for row in await conn.fetch(LOAD_APPS, unknown, names):
            app_id = row["app_id"]
            known[app_id] = _known_app(row)
            if not conn.is_in_transaction():
                # A transaction may be rolled back together with the types that it has stored.
                known_apps.remember(conn, app_id, known[app_id])
    return known


def _known_app(row: asyncpg.Record) -> KnownApp:
    consent_type, seconds = row["attribute_consent_type"], row["attribute_consent_seconds"]
    return KnownApp(
        row["row_version"],
        row["organization_id"],
        frozenset(value.lower() for value in row["blocked_identifier_values"]),
        orjson.loads(row["types"]) if row["types"] else {},
        row["audiences_revision"],
        row["timezone"],
        (consent_type, timedelta(seconds=seconds) if seconds else None) if consent_type else None,
        row["has_erased"],
    )


async def _load_profiles(
    conn: asyncpg.Connection,
    apps: Mapping[str, LoadedApp],
    identifiers: Mapping[str, Collection[Identifier]],
) -> bool:
    """Add the profiles to the apps; False when one has changed since it was read: it is forgotten.

    What was added to the others is of no use then.
    """
    app_ids = list(apps)
    audiences = [app.audiences for app in apps.values() if app.audiences is not None]
    statement = loading_statement(
        has_audiences=bool(audiences),
        may_change_by_time=any(found.may_change_by_time for found in audiences),
        has_erased=any(app.known.has_erased for app in apps.values()),
    )
    document = await conn.fetchval(
        statement,
        app_ids,
        [text_array([pair[0] for pair in identifiers[app_id]]) for app_id in app_ids],
        [text_array([pair[1] for pair in identifiers[app_id]]) for app_id in app_ids],
    )
    changed = set(app_ids)
    if document is not None:
        may_be_large = is_large(document)
        for place, app_version, *row in orjson.loads(document):
            app_id = app_ids[place - 1]
            app = apps[app_id]
            if app_version == app.known.version:
                changed.discard(app_id)
                _add(app, row, may_be_large=may_be_large)
    for app_id in changed:
        known_apps.forget(conn, app_id)
    return not changed


def _add(app: LoadedApp, row: list[Any], *, may_be_large: bool) -> None:
    """Take in what the loading statement tells of a profile."""
    version, members, erased, audience_ids, matched_at, changes_at = row
    if erased is not None:
        app.erased = remembered_of(erased)
    if version is None:
        return
    profile = profile_of_members(members, may_be_large=may_be_large)
    app.add(profile, version)
    if app.audiences is not None:
        matched = [moment and parse_moment(moment) for moment in matched_at or ()]
        memberships = memberships_of(audience_ids, matched)
        app.note_before(profile, memberships, changes_at and parse_moment(changes_at))
