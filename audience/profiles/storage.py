"""All SQL of profiles: loading what identifiers name, saving what a change made of them, reading.

Statements run on an asyncpg connection, prepared once per connection. `app_id` is always a plain
parameter. Whoever changes profiles holds the app's lock (`lock_apps`) in the same transaction.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import asyncpg
import orjson

from audience.profiles.identifiers import Identifier
from audience.profiles.ledger import storage as ledger
from audience.profiles.moved_identifiers.storage import insert_moved
from audience.profiles.profile import Profile
from audience.profiles.profile_set import ProfileSet

# A profile as one document, whatever it is selected for: columns of their own take the process
# longer to read. What most profiles have nothing of is null when it is all empty.
PROFILE_DOCUMENT = """json_build_array(p.profile_id, p.created_at, p.updated_at, p.user_id, p.email,
    p.email_as_given, p.device_ids, p.analytics_visitor_ids, p.analytics_visitor_id,
    p.analytics_visitor_seen_at, p.attributes, p.attribute_written_at, p.analytics_at,
    p.consents_at,
    CASE WHEN (p.forms, p.analytics, p.visits, p.goals, p.ecommerce, p.generic, p.consents)
        IS DISTINCT FROM ('{}'::jsonb, '{}'::jsonb, '{}'::jsonb, '{}'::jsonb, '{}'::jsonb,
            '{}'::jsonb, '{}'::jsonb)
        THEN jsonb_build_array(p.forms, p.analytics, p.visits, p.goals, p.ecommerce, p.generic,
            p.consents)
    END)"""
#: Attributes are measured in documents of more characters; see `Profile.stored_bytes`.
_LARGE_CHARACTERS = 256 * 1024

# Keys are taken in the order given, so that two transactions never wait for each other.
LOCK_APPS = "SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key"

# LATERAL with LIMIT 1 makes the planner look each key up, whatever it believes about the app.
FIND_PROFILES = f"""
SELECT {PROFILE_DOCUMENT}::text
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

GET_PROFILES = (
    f"SELECT {PROFILE_DOCUMENT}::text FROM profiles p WHERE app_id = $1 AND profile_id = ANY($2)"  # noqa: S608
)

SAVE_PROFILES = """
INSERT INTO profiles AS stored (app_id, profile_id, created_at, updated_at, user_id, email,
    email_as_given, device_ids, analytics_visitor_ids, analytics_visitor_id,
    analytics_visitor_seen_at, attributes, attribute_written_at, forms, analytics, analytics_at,
    visits, goals, ecommerce, generic, consents, consents_at)
SELECT $1, profile_id, created_at, updated_at, user_id, email, email_as_given,
    ARRAY(SELECT jsonb_array_elements_text(device_ids)),
    ARRAY(SELECT jsonb_array_elements_text(analytics_visitor_ids)),
    analytics_visitor_id, analytics_visitor_seen_at, attributes, attribute_written_at, forms,
    analytics, analytics_at, visits, goals, ecommerce, generic, consents, consents_at
FROM unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
    $8::jsonb[], $9::jsonb[], $10::text[], $11::timestamptz[], $12::jsonb[], $13::jsonb[],
    $14::jsonb[], $15::jsonb[], $16::timestamptz[], $17::jsonb[], $18::jsonb[], $19::jsonb[],
    $20::jsonb[], $21::jsonb[], $22::timestamptz[])
    AS changed(profile_id, created_at, updated_at, user_id, email, email_as_given, device_ids,
        analytics_visitor_ids, analytics_visitor_id, analytics_visitor_seen_at, attributes,
        attribute_written_at, forms, analytics, analytics_at, visits, goals, ecommerce, generic,
        consents, consents_at)
ON CONFLICT (app_id, profile_id) DO UPDATE SET
    created_at = excluded.created_at, updated_at = excluded.updated_at,
    user_id = excluded.user_id, email = excluded.email, email_as_given = excluded.email_as_given,
    device_ids = excluded.device_ids, analytics_visitor_ids = excluded.analytics_visitor_ids,
    analytics_visitor_id = excluded.analytics_visitor_id,
    analytics_visitor_seen_at = excluded.analytics_visitor_seen_at,
    attributes = excluded.attributes, attribute_written_at = excluded.attribute_written_at,
    forms = excluded.forms, analytics = excluded.analytics, analytics_at = excluded.analytics_at,
    visits = excluded.visits, goals = excluded.goals, ecommerce = excluded.ecommerce,
    generic = excluded.generic, consents = excluded.consents, consents_at = excluded.consents_at
"""

SAVE_IDENTIFIERS = """
INSERT INTO profile_identifiers (app_id, identifier_name, identifier_value, profile_id,
    first_seen_at)
SELECT $1, name, value, profile_id, $5
FROM unnest($2::text[], $3::text[], $4::uuid[]) AS changed(name, value, profile_id)
ON CONFLICT (app_id, identifier_name, identifier_value)
    DO UPDATE SET profile_id = excluded.profile_id
"""

DELETE_IDENTIFIERS = """
DELETE FROM profile_identifiers i
USING unnest($2::text[], $3::text[]) AS gone(name, value)
WHERE i.app_id = $1 AND i.identifier_name = gone.name AND i.identifier_value = gone.value
"""

DELETE_PROFILES = "DELETE FROM profiles WHERE app_id = $1 AND profile_id = ANY($2)"

DELETE_SOME_PROFILES = """
DELETE FROM profiles WHERE app_id = $1 AND profile_id IN (
    SELECT profile_id FROM profiles WHERE app_id = $1 LIMIT $2
)
"""


@lru_cache(maxsize=4096)
def app_lock_key(app_id: str) -> int:
    """The advisory lock of the app's profiles: the first 63 bits of its UUID, signed 64 bits."""
    return int(app_id.replace("-", "")[:16], 16) - 2**63


async def lock_apps(conn: asyncpg.Connection, app_ids: Iterable[str]) -> None:
    """Wait until this transaction is the only one that changes profiles of these apps.

    Locks in one order everywhere, so two callers never deadlock. Released by commit or rollback.
    Without it two transactions read the same profile, both change it, and one change is lost; or
    both make a profile for the same new identifier.
    """
    await conn.fetch(LOCK_APPS, sorted(app_lock_key(app_id) for app_id in app_ids))


async def find_profiles(
    conn: asyncpg.Connection, app_id: str, identifiers: Collection[Identifier]
) -> list[Profile]:
    """The profiles that hold any of the identifiers, each once, with all their identifiers."""
    names = [identifier.identifier_name for identifier in identifiers]
    values = [identifier.identifier_value for identifier in identifiers]
    rows = await conn.fetch(FIND_PROFILES, app_id, names, values)
    return [profile_of(document) for (document,) in rows]


async def get_profiles(
    conn: asyncpg.Connection, app_id: str, profile_ids: Collection[str]
) -> list[Profile]:
    """The profiles with these ids; those that do not exist are left out."""
    rows = await conn.fetch(GET_PROFILES, app_id, list(profile_ids))
    return [profile_of(document) for (document,) in rows]


async def delete_some_profiles(conn: asyncpg.Connection, app_id: str, most: int) -> bool:
    """Delete up to `most` profiles of the app, whichever; False when there was none.

    Needs the app's lock.
    """
    done: str = await conn.execute(DELETE_SOME_PROFILES, app_id, most)
    return done != "DELETE 0"


async def save_profile_set(
    conn: asyncpg.Connection, app_id: str, profiles: ProfileSet, now: datetime
) -> None:
    """Write everything the set has changed but what `touches` writes; needs the lock.

    Order matters: new profiles before their identifiers, moved identifiers before the absorbed
    profiles go (a delete takes the identifiers that still point at it along).
    """
    changed = [profiles.profiles[key] for key in sorted(profiles.changed_profile_ids)]
    if changed:
        await conn.execute(SAVE_PROFILES, app_id, *_profile_columns(changed))
    gone = [key for key, owner in profiles.changed_owners.items() if owner is None]
    held = [(key, owner) for key, owner in profiles.changed_owners.items() if owner is not None]
    if gone:
        names, values = [key[0] for key in gone], [key[1] for key in gone]
        await conn.execute(DELETE_IDENTIFIERS, app_id, names, values)
    if held:
        names, values = [key[0] for key, _ in held], [key[1] for key, _ in held]
        owners = [owner for _, owner in held]
        await conn.execute(SAVE_IDENTIFIERS, app_id, names, values, owners, now)
    if profiles.merges:
        await ledger.insert_merges(conn, app_id, profiles.merges)
    await insert_moved(conn, app_id, profiles.departures)
    if profiles.absorbed_profile_ids:
        await conn.execute(DELETE_PROFILES, app_id, sorted(profiles.absorbed_profile_ids))
    refusals = [row for row in profiles.refusals if row.profile_id in profiles.profiles]
    if refusals:
        await ledger.save_refusals(conn, app_id, refusals)


async def delete_profiles(
    conn: asyncpg.Connection, app_id: str, profile_ids: Collection[str]
) -> None:
    """Delete profiles; identifiers, memberships and refusals go along.  Needs the app's lock."""
    await conn.execute(DELETE_PROFILES, app_id, sorted(profile_ids))


def profile_of(document: str) -> Profile:
    """The profile of a PROFILE_DOCUMENT as text."""
    return profile_of_members(orjson.loads(document), may_be_large=is_large(document))


def is_large(document: str) -> bool:
    """Whether the size of attributes in the document may matter."""
    return len(document) > _LARGE_CHARACTERS


def profile_of_members(members: list[Any], *, may_be_large: bool) -> Profile:
    """The profile of a parsed PROFILE_DOCUMENT; may_be_large: measure its attributes."""
    # All by their places: every write comes here.
    (profile_id, created, updated, user_id, email, as_given, device_ids, *rest) = members
    (visitor_ids, visitor_id, seen_at, attributes, written_at, *rest) = rest
    (analytics_at, consents_at, facts) = rest
    profile = Profile(
        *(profile_id, parse_moment(created), parse_moment(updated), user_id, email, as_given),
        *(device_ids, visitor_ids, visitor_id, seen_at and parse_moment(seen_at)),
        *(attributes, written_at),
    )
    if facts is not None:
        (profile.forms, profile.analytics, profile.visits, profile.goals) = facts[:4]
        (profile.ecommerce, profile.generic, profile.consents) = facts[4:]
    if analytics_at is not None:
        profile.analytics_at = parse_moment(analytics_at)
    if consents_at is not None:
        profile.consents_at = parse_moment(consents_at)
    if may_be_large:
        profile.stored_bytes = len(json_text(attributes))
    return profile


#: The moment of a time in a document; sessions have them in UTC (`server/database.py`).
parse_moment = datetime.fromisoformat


def json_text(value: object) -> str:
    """What a jsonb parameter gets."""
    return "{}" if value == {} else orjson.dumps(value).decode()


def _profile_columns(changed: Sequence[Profile]) -> list[list[Any]]:
    """One list per parameter of SAVE_PROFILES after the app."""
    return [
        [p.profile_id for p in changed],
        [p.created_at for p in changed],
        [p.updated_at for p in changed],
        [p.user_id for p in changed],
        [p.email for p in changed],
        [p.email_as_given for p in changed],
        [json_text(p.device_ids) for p in changed],
        [json_text(p.analytics_visitor_ids) for p in changed],
        [p.analytics_visitor_id for p in changed],
        [p.analytics_visitor_seen_at for p in changed],
        [json_text(p.attributes) for p in changed],
        [json_text(p.attribute_written_at) for p in changed],
        [json_text(p.forms) for p in changed],
        [json_text(p.analytics) for p in changed],
        [p.analytics_at for p in changed],
        [json_text(p.visits) for p in changed],
        [json_text(p.goals) for p in changed],
        [json_text(p.ecommerce) for p in changed],
        [json_text(p.generic) for p in changed],
        [json_text(p.consents) for p in changed],
        [p.consents_at for p in changed],
    ]
