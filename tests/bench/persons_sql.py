"""The rows that finding, exporting and erasing a person is measured with."""

from tests.bench.population import VISITOR_COLUMN

INSERT_PROFILES = f"""
INSERT INTO profiles (app_id, profile_id, created_at, updated_at, user_id, email, email_as_given,
    analytics_visitor_ids, analytics_visitor_id, attributes)
SELECT $1, ('01990000-0000-7000-a000-' || lpad(to_hex(n), 12, '0'))::uuid, now(), now(),
    'user-' || n, 'visitor.' || n || '@example.org', 'Visitor.' || n || '@example.org',
    ARRAY[{VISITOR_COLUMN}], {VISITOR_COLUMN},
    jsonb_build_object('age', 18 + n % 60, 'city', 'Ulm', 'last_product', 'sku-' || n)
FROM generate_series($2::bigint, $3::bigint - 1) AS n
"""

INSERT_IDENTIFIERS = f"""
INSERT INTO profile_identifiers (app_id, identifier_name, identifier_value, profile_id,
    first_seen_at)
SELECT $1, held.name, held.value,
    ('01990000-0000-7000-a000-' || lpad(to_hex(n), 12, '0'))::uuid, now()
FROM generate_series($2::bigint, $3::bigint - 1) AS n, LATERAL (
    VALUES ('user_id', 'user-' || n), ('email', 'visitor.' || n || '@example.org'),
        ('analytics_visitor_id', {VISITOR_COLUMN})
) AS held(name, value)
"""

INSERT_VISITORS = f"""
INSERT INTO consent_visitors (app_id, visitor_id, analytics_visitor_id, state, last_statuses,
    last_decided_at, last_received_at, created_at)
SELECT $1, md5('visitor' || n)::uuid, {VISITOR_COLUMN}, '{{}}', '', now(), now(), now()
FROM generate_series($2::bigint, $3::bigint - 1) AS n
"""

INSERT_DECISIONS = """
INSERT INTO consent_decisions (app_id, sequence, decision_id, visitor_hash, decided_at, received_at,
    consents, hostname, is_late, previous_hash, row_hash)
SELECT $1, n * $4::int + k + 1, md5(n || '.' || k)::uuid, sha256(('visitor' || n)::bytea), now(),
    now(), '{"analytics": {"status": 1}}', 'shop.example', false, 'x', 'x'
FROM generate_series($2::bigint, $3::bigint - 1) AS n, generate_series(0, $4::int - 1) AS k
"""

INSERT_PERSON = """
INSERT INTO profiles (app_id, profile_id, created_at, updated_at, user_id, email, email_as_given,
    analytics_visitor_ids, analytics_visitor_id, attributes, attribute_written_at)
SELECT $1, $2, now(), now(), 'user of ' || $3, $3, $3, $4::text[], ($4::text[])[1],
    jsonb_object_agg('attribute ' || n, 'value ' || n),
    jsonb_object_agg('attribute ' || n, 1750000000000000)
FROM generate_series(1, 100) AS n
"""

INSERT_PERSON_IDENTIFIERS = """
INSERT INTO profile_identifiers (app_id, identifier_name, identifier_value, profile_id,
    first_seen_at)
SELECT $1, held.name, held.value, $2, now() FROM (
    SELECT 'user_id', 'user of ' || $3 UNION ALL SELECT 'email', $3
    UNION ALL SELECT 'analytics_visitor_id', unnest($4::text[])
) AS held(name, value)
"""

INSERT_PERSON_MEMBERSHIPS = """
INSERT INTO audience_members (app_id, audience_id, profile_id, member_since)
SELECT $1, md5('audience' || n)::uuid, $2, now() FROM generate_series(1, $3::int) AS n
"""

INSERT_PERSON_MERGES = """
INSERT INTO profile_merges (app_id, merge_id, survivor_profile_id, absorbed_profile_id, identifiers,
    survivor_before, absorbed_before, merged_at)
SELECT $1, gen_random_uuid(), $2, absorbed, '[["email", "x@example.org"]]', document, document,
    now()
FROM generate_series(1, $3::int) AS n,
    LATERAL (SELECT md5(n || $2::uuid::text)::uuid AS absorbed) AS id,
    LATERAL (
        SELECT jsonb_build_object('profile_id', absorbed, 'created_at', '2026-01-01T00:00:00Z',
            'updated_at', '2026-01-01T00:00:00Z', 'device_ids', jsonb_build_array('device-' || n),
            'attributes', jsonb_object_agg('attribute ' || k, 'value ' || k)) AS document
        FROM generate_series(1, 20) AS k
    ) AS one
"""

INSERT_PERSON_REFUSALS = """
INSERT INTO merge_refusals (app_id, profile_id, other_profile_id, reason, refused_count,
    first_refused_at, last_refused_at)
SELECT $1, $2, gen_random_uuid(), 'different_emails', 1, now(), now()
FROM generate_series(1, $3::int)
"""

# Another profile's ledger rows, whose documents tell of an identifier that the person has now.
INSERT_FORMER_MERGES = """
INSERT INTO profile_merges (app_id, merge_id, survivor_profile_id, absorbed_profile_id, identifiers,
    survivor_before, absorbed_before, merged_at)
SELECT $1, gen_random_uuid(), $2, absorbed, '[["email", "x@example.org"]]',
    document || jsonb_build_object('profile_id', $2::text, 'analytics_visitor_ids',
        jsonb_build_array($3::text)), document, now()
FROM generate_series(1, $4::int) AS n,
    LATERAL (SELECT md5(n || $2::uuid::text)::uuid AS absorbed) AS id,
    LATERAL (
        SELECT jsonb_build_object('profile_id', absorbed, 'created_at', '2026-01-01T00:00:00Z',
            'updated_at', '2026-01-01T00:00:00Z', 'device_ids', jsonb_build_array('device-' || n),
            'attributes', jsonb_object_agg('attribute ' || k, 'value ' || k)) AS document
        FROM generate_series(1, 20) AS k
    ) AS one
"""

INSERT_MOVED = """
INSERT INTO moved_identifiers (app_id, identifier_name, identifier_value, former_profile_id,
    is_erased)
VALUES ($1, 'analytics_visitor_id', $3, $2, false)
"""

INSERT_PERSON_KEYS = """
INSERT INTO consent_visitor_keys (app_id, visitor_id, hash_key, created_at)
SELECT $1, id, key, now() FROM unnest($2::uuid[], $3::bytea[]) AS new(id, key)
"""

INSERT_PERSON_VISITORS = """
INSERT INTO consent_visitors (app_id, visitor_id, analytics_visitor_id, state, last_statuses,
    last_decided_at, last_received_at, created_at)
SELECT $1, id, ($3::text[])[1 + place % cardinality($3::text[])], '{}', '', now(), now(), now()
FROM unnest($2::uuid[]) WITH ORDINALITY AS new(id, place)
"""

INSERT_PERSON_DECISIONS = """
INSERT INTO consent_decisions (app_id, sequence, decision_id, visitor_hash, decided_at, received_at,
    consents, hostname, is_late, previous_hash, row_hash)
SELECT $1, $4::bigint + row_number() OVER (), gen_random_uuid(), hash, now(), now(),
    '{"analytics": {"status": 1}}', 'shop.example', false, 'x', 'x'
FROM unnest($2::bytea[]) AS new(hash), generate_series(1, $3::int)
"""
