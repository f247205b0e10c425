"""The apps that audiences are measured on: two small ones to compare, and a crowd."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from audience.audiences.catalogue.audience import AudienceFields
from audience.audiences.catalogue.operations import create_audience
from audience.server.database import Database
from tests.bench.audiences import rules
from tests.bench.population import Population, fill_app, fill_profiles

PLAIN_APP = "1c0ffee0-5b61-4f7a-8c3d-1e2f3a4b5c6d"
TARGETED_APP = "2c0ffee0-5b61-4f7a-8c3d-1e2f3a4b5c6d"
CROWD_APP = "3c0ffee0-5b61-4f7a-8c3d-1e2f3a4b5c6d"
#: Of five hundred audiences a visitor is in 25.
MANY_AUDIENCES, MEMBER_OF = 500, 25

# What a read meets: stored members. It evaluates no definition, so these are never evaluated.
_INSERT_MANY_AUDIENCES = """
INSERT INTO audiences (app_id, audience_id, name, description, definition, version, author,
    created_at, updated_at)
SELECT $1, ('5e6a1b2c-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'many ' || n, '',
    $3::jsonb, 1, 'bench', now(), now()
FROM generate_series(0, $2::int - 1) AS n
"""

_INSERT_MANY_MEMBERS = """
INSERT INTO audience_members (app_id, audience_id, profile_id, member_since)
SELECT p.app_id,
    ('5e6a1b2c-0000-4000-8000-' || lpad(to_hex((row + step * 20) % $2), 12, '0'))::uuid,
    p.profile_id, now()
FROM (
    SELECT app_id, profile_id, row_number() OVER (ORDER BY profile_id) AS row
    FROM profiles WHERE app_id = $1
) p, generate_series(0, $3::int - 1) AS step
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class Crowd:
    """The large app; only its first visitors have identifiers and are written to."""

    size: int
    written: int

    @property
    def population(self) -> Population:
        return Population(self.written * 2, old_app=CROWD_APP, young_app=PLAIN_APP)


async def fill_pair(url: str, population: Population, say: Callable[[str], None]) -> None:
    """Two apps of the same size, nobody in an audience."""
    conn = await asyncpg.connect(url)
    try:
        for app_id, first, end in (
            (population.old_app, 0, population.half),
            (population.young_app, population.half, population.size),
        ):
            await fill_app(conn, app_id, first, end, say)
            await conn.execute("DELETE FROM audience_members WHERE app_id = $1", app_id)
        await _analyze(conn)
    finally:
        await conn.close()


async def fill_crowd(url: str, crowd: Crowd, say: Callable[[str], None]) -> None:
    """The large app."""
    conn = await asyncpg.connect(url)
    try:
        await fill_app(conn, CROWD_APP, 0, crowd.written, say)
        await conn.execute("DELETE FROM audience_members WHERE app_id = $1", CROWD_APP)
        await fill_profiles(conn, CROWD_APP, crowd.written, crowd.size, say)
        await _analyze(conn)
    finally:
        await conn.close()


async def add_audiences(url: str, app_id: str, definitions: list[dict[str, object]]) -> list[str]:
    """Audiences with these definitions, as the authorized API makes them; their ids."""
    database = Database(url)
    try:
        ids = []
        for number, definition in enumerate(definitions):
            async with database.transaction() as conn:
                fields = AudienceFields(f"bench {number}", definition)
                now = datetime.now(UTC)
                ids.append(await create_audience(conn, app_id, fields, "bench", now))
        return ids
    finally:
        await database.close()


async def fill_members(url: str, app_id: str, audiences: int, member_of: int) -> None:
    """Put every visitor of the app into `member_of` of so many audiences, without asking rules."""
    conn = await asyncpg.connect(url)
    try:
        definition = json.dumps(rules.NESTED)
        await conn.execute(_INSERT_MANY_AUDIENCES, app_id, audiences, definition)
        await conn.execute(_INSERT_MANY_MEMBERS, app_id, audiences, member_of)
        await conn.execute("VACUUM ANALYZE audience_members")
    finally:
        await conn.close()


async def is_filling(url: str) -> bool:
    """Whether members of some audience are still being worked out."""
    conn = await asyncpg.connect(url)
    try:
        found: bool = await conn.fetchval("SELECT EXISTS (SELECT FROM audiences WHERE is_filling)")
        return found
    finally:
        await conn.close()


async def _analyze(conn: asyncpg.Connection) -> None:
    for table in ("profiles", "profile_identifiers", "audience_members"):
        await conn.execute(f"VACUUM ANALYZE {table}")
