"""The visitors that the bench measures with: computed from their number, stored set by set.

`visitor.lua` computes the same identifiers; `tests.bench.run` checks that the two agree.
"""

from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

OLD_APP = "0a9c2d4e-5b61-4f7a-8c3d-1e2f3a4b5c6d"
YOUNG_APP = "f7b3c1d5-2e48-4a9b-9d6e-7c8b9a0f1e2d"
AUDIENCES = [f"5e6a1b2c-0000-4000-8000-{number:012x}" for number in range(10)]
#: Of ten audiences a visitor is in three.
MEMBER_OF = 3
_CHUNK = 20_000
_MEASURED_TABLES = ("profiles", "profile_identifiers", "audience_members")

# The naive service writes to tables of its own: the same rows, indexes and room on the pages.
_MAKE_NAIVE_TABLES = """
DROP TABLE IF EXISTS naive_profiles, naive_profile_identifiers;
CREATE TABLE naive_profiles (LIKE profiles INCLUDING ALL) WITH (fillfactor = 80);
CREATE TABLE naive_profile_identifiers (LIKE profile_identifiers INCLUDING ALL);
ALTER TABLE naive_profiles SET (autovacuum_enabled = false);
ALTER TABLE naive_profile_identifiers SET (autovacuum_enabled = false);
"""

_INSERT_DEFINITIONS = """
INSERT INTO attribute_definitions (app_id, field_type, attribute_name, value_type, first_seen_at)
SELECT $1, 'attributes', name, value_type, now()
FROM unnest($2::text[], $3::text[]) AS new(name, value_type)
"""

_ATTRIBUTES = {
    "age": "numeric",
    "city": "text",
    "color": "text",
    "interests": "text",
    "last_product": "text",
    "newsletter": "text",
    "plan": "text",
    "score": "numeric",
}

#: SQL: the analytics visitor ID of the visitor `n`, as `visitor_of`.
VISITOR_COLUMN = """
lpad(to_hex(((n + 1) * 2654435761) % 4294967296), 8, '0')
    || lpad(to_hex(((n + 1) * 2246822519) % 4294967296), 8, '0')
"""
_DEVICE = "'device-' || substr(md5('device' || n), 1, 24)"

_INSERT_PROFILES = f"""
INSERT INTO profiles (app_id, profile_id, created_at, updated_at, user_id, email, email_as_given,
    device_ids, analytics_visitor_ids, analytics_visitor_id, analytics_visitor_seen_at,
    attributes, attribute_written_at)
SELECT $1, ('01990000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, now(), now(),
    'user-' || n, 'visitor.' || n || '@example.org', 'Visitor.' || n || '@example.org',
    ARRAY[{_DEVICE}],
    CASE WHEN n % 2 = 0 THEN ARRAY[{VISITOR_COLUMN}]
        ELSE ARRAY[substr(md5('second' || n), 1, 16), {VISITOR_COLUMN}] END,
    {VISITOR_COLUMN}, now(),
    jsonb_build_object('age', 18 + n % 60, 'city', 'Ulm', 'color', 'green',
        'interests', jsonb_build_array('bikes', 'topic-' || n % 100), 'last_product', 'sku-' || n,
        'newsletter', 'yes', 'plan', 'gold', 'score', n % 1000),
    (SELECT jsonb_object_agg(name, 1750000000000000 + n) FROM unnest($4::text[]) AS name)
FROM generate_series($2::bigint, $3::bigint - 1) AS n
"""

_INSERT_IDENTIFIERS = """
INSERT INTO profile_identifiers (app_id, identifier_name, identifier_value, profile_id,
    first_seen_at)
SELECT app_id, held.name, held.value, profile_id, created_at FROM profiles,
    LATERAL (
        SELECT 'user_id' AS name, user_id AS value
        UNION ALL SELECT 'email', email
        UNION ALL SELECT 'device_id', unnest(device_ids)
        UNION ALL SELECT 'analytics_visitor_id', unnest(analytics_visitor_ids)
    ) AS held
WHERE app_id = $1 AND profile_id >= $2 AND profile_id < $3
"""

_INSERT_MEMBERS = """
INSERT INTO audience_members (app_id, audience_id, profile_id, member_since)
SELECT $1, ($4::uuid[])[1 + (n + step) % 10],
    ('01990000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, now()
FROM generate_series($2::bigint, $3::bigint - 1) AS n, generate_series(0, $5::int - 1) AS step
"""


@dataclass(frozen=True)
class Population:
    """Visitors numbered from 0; the first half belongs to the old app."""

    size: int
    old_app: str = OLD_APP
    young_app: str = YOUNG_APP

    @property
    def half(self) -> int:
        return self.size // 2

    def app_of(self, number: int) -> str:
        return self.old_app if number < self.half else self.young_app


def visitor_of(number: int) -> str:
    """The analytics visitor ID, spread over all values as real ones are."""
    # Number 0 must not be all zeros: that is a placeholder, which the service refuses.
    factor = number + 1
    return f"{factor * 2654435761 % 2**32:08x}{factor * 2246822519 % 2**32:08x}"


def is_member(number: int, audience: int) -> bool:
    """Whether the visitor was put into AUDIENCES[audience]."""
    return (audience - number) % len(AUDIENCES) < MEMBER_OF


async def postpone_counts(conn: asyncpg.Connection, app_id: str) -> None:
    """Keep the background job from counting the app's attributes while something is measured."""
    await conn.execute(
        "INSERT INTO attribute_counts VALUES ($1, 0, now(), now() + interval '1 day') "
        "ON CONFLICT (app_id) DO UPDATE SET due_at = excluded.due_at",
        app_id,
    )


async def fill(url: str, population: Population, say: Callable[[str], None]) -> None:
    """Store the population: the old app, ANALYZE, then the young app.

    Autovacuum is off for the measured tables, so that nothing analyzes the young app later.
    """
    conn = await asyncpg.connect(url)
    try:
        for table in _MEASURED_TABLES:
            await conn.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        await conn.execute("INSERT INTO organizations VALUES (gen_random_uuid(), 'bench', now())")
        await fill_app(conn, OLD_APP, 0, population.half, say)
        for table in _MEASURED_TABLES:
            await conn.execute(f"VACUUM ANALYZE {table}")
        await fill_app(conn, YOUNG_APP, population.half, population.size, say)
        say("copying the rows for the naive service")
        await conn.execute(_MAKE_NAIVE_TABLES)
        for table in ("profiles", "profile_identifiers"):
            await conn.execute(f"INSERT INTO naive_{table} SELECT * FROM {table}")
            await conn.execute(f"VACUUM ANALYZE naive_{table}")
    finally:
        await conn.close()


async def fill_app(
    conn: asyncpg.Connection, app_id: str, first: int, end: int, say: Callable[[str], None]
) -> None:
    """Make an app with the visitors `first` to `end`, members as `is_member` says."""
    await conn.execute(
        "INSERT INTO apps (app_id, organization_id, name, created_at, updated_at)"
        " SELECT $1, organization_id, 'bench', now(), now() FROM organizations"
        " WHERE name = 'bench'",
        app_id,
    )
    await postpone_counts(conn, app_id)
    names = list(_ATTRIBUTES)
    await conn.execute(_INSERT_DEFINITIONS, app_id, names, list(_ATTRIBUTES.values()))
    for start in range(first, end, _CHUNK):
        stop = min(start + _CHUNK, end)
        say(f"filling profiles {start:,} to {stop:,}")
        await conn.execute(_INSERT_PROFILES, app_id, start, stop, names)
        bounds = [f"01990000-0000-7000-8000-{number:012x}" for number in (start, stop)]
        await conn.execute(_INSERT_IDENTIFIERS, app_id, *bounds)
        await conn.execute(_INSERT_MEMBERS, app_id, start, stop, AUDIENCES, MEMBER_OF)


async def fill_profiles(
    conn: asyncpg.Connection, app_id: str, first: int, end: int, say: Callable[[str], None]
) -> None:
    """More profiles of an app, without rows for their identifiers."""
    for start in range(first, end, _CHUNK * 5):
        stop = min(start + _CHUNK * 5, end)
        say(f"filling profiles {start:,} to {stop:,}")
        await conn.execute(_INSERT_PROFILES, app_id, start, stop, list(_ATTRIBUTES))
