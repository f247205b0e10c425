"""Apps and decisions for the consent measurements, the same on every machine."""

from collections.abc import Callable

import asyncpg

from consent.decisions.app_batch import visitor_hash

COLLECT_APP = "d1e2f3a4-0000-4000-8000-000000000001"
MANY_APP = "d1e2f3a4-0000-4000-8000-000000000002"
KNOWN_VISITOR = "d1e2f3a4-0000-4000-8000-000000000003"
KEY = bytes(range(32))
DAYS = 90
DECISIONS_OF_ONE = 20
_CHUNK = 250_000
_ALL_TYPES = "ARRAY['analytics', 'remarketing', 'conversion_tracking']"

#: The table of the naive service: one row a decision, one index to find a visitor's.
_MAKE_NAIVE_TABLE = """
CREATE TABLE naive_decisions (
    app_id uuid NOT NULL, decision_id uuid NOT NULL, visitor_id uuid NOT NULL,
    consents jsonb NOT NULL, hostname text, method text, decided_at timestamptz NOT NULL,
    PRIMARY KEY (app_id, decision_id)
);
CREATE INDEX ON naive_decisions (visitor_id);
"""

_INSERT_APP = """
INSERT INTO apps (app_id, organization_id, name, created_at, updated_at)
SELECT $1, organization_id, 'consents', now(), now() FROM organizations WHERE name = 'bench'
"""

_INSERT_SETTINGS = f"""
INSERT INTO consent_settings (app_id, consent_types, updated_at) VALUES ($1, {_ALL_TYPES}, now())
"""

_INSERT_KEY = """
INSERT INTO consent_visitor_keys (app_id, visitor_id, hash_key, created_at)
VALUES ($1, $2, $3, now())
"""

# Each visitor has 20 decisions, spread over the whole time; one visitor can be asked for.
_INSERT_DECISIONS = f"""
INSERT INTO consent_decisions (app_id, sequence, decision_id, visitor_hash, decided_at,
    received_at, consents, hostname, consent_scope, consent_action, method, consent_source,
    language, is_late, previous_hash, row_hash)
SELECT $1, n + 1, md5('d' || n)::uuid, CASE WHEN visitor = 0 THEN $5
    ELSE sha256(convert_to(visitor::text, 'UTF8')) END, moment, moment,
    '{{"analytics": {{"status": 1}}, "remarketing": {{"status": 0}}}}',
    'www.shop.example', 2, 1 + n % 2, 'save', 1, 'en', false, sha256('a'), sha256('b')
FROM generate_series($2::bigint, $3::bigint - 1) AS n,
    LATERAL (SELECT now() - interval '{DAYS} days' * (1 - n::float8 / $4) AS moment,
        n % ($4::bigint / {DECISIONS_OF_ONE}) AS visitor) m
"""

# What the service would have counted: every hour, two host names, all that can be chosen.
_INSERT_COUNTERS = f"""
INSERT INTO consent_counters
SELECT $1::uuid, date_trunc('hour', now()) - interval '1 hour' * hour, 14, hostname, 0, 0, scope,
    action, types, greatest(1, $2::bigint / ({DAYS} * 24 * 2 * 2 * 12))
FROM generate_series(0, {DAYS} * 24 - 1) AS hour,
    unnest(ARRAY['www.shop.example', 'm.shop.example']) AS hostname,
    generate_series(1, 2) AS action,
    unnest(ARRAY['1-1-1--', '1-1-0--', '1-0-1--', '1-0-0--', '0-1-1--', '0-1-0--', '0-0-1--',
        '0-0-0--', '1------', '0------', '1-1----', '0-1----']) AS types,
    LATERAL (SELECT CASE WHEN position('1' IN types) = 0 THEN 3
        WHEN position('0' IN types) = 0 AND length(replace(types, '-', '')) = 3 THEN 1 ELSE 2 END)
        AS s(scope)
UNION ALL
SELECT $1::uuid, date_trunc('hour', now()) - interval '1 hour' * hour, event_type, hostname, source,
    button, 0, 0, '', 100
FROM generate_series(0, {DAYS} * 24 - 1) AS hour,
    unnest(ARRAY['www.shop.example', 'm.shop.example']) AS hostname,
    (VALUES (12, 1, 0), (12, 2, 0), (12, 3, 0), (13, 0, 1), (13, 0, 2), (13, 0, 3), (13, 0, 4))
        AS events(event_type, source, button)
"""


async def make_apps(url: str) -> None:
    """Two apps: one to collect for, one with many decisions; and the naive service's table."""
    conn = await asyncpg.connect(url)
    try:
        await conn.execute(
            "INSERT INTO organizations VALUES (gen_random_uuid(), 'bench', now())"
            " ON CONFLICT DO NOTHING"
        )
        await conn.execute(_MAKE_NAIVE_TABLE)
        for app_id in (COLLECT_APP, MANY_APP):
            await conn.execute(_INSERT_APP, app_id)
            await conn.execute(_INSERT_SETTINGS, app_id)
    finally:
        await conn.close()


async def fill(url: str, decisions: int, say: Callable[[str], None]) -> None:
    """The app with many decisions gets them, and what was counted of them."""
    conn = await asyncpg.connect(url)
    try:
        for start in range(0, decisions, _CHUNK):
            stop = min(start + _CHUNK, decisions)
            say(f"filling decisions {start:,} to {stop:,}")
            row = (MANY_APP, start, stop, decisions, visitor_hash(KEY, KNOWN_VISITOR))
            await conn.execute(_INSERT_DECISIONS, *row)
        await conn.execute(_INSERT_KEY, MANY_APP, KNOWN_VISITOR, KEY)
        await conn.execute(_INSERT_COUNTERS, MANY_APP, decisions)
        for table in ("consent_decisions", "consent_counters"):
            await conn.execute(f"VACUUM ANALYZE {table}")
    finally:
        await conn.close()
