"""Migrations: every revision goes up, down and up again; the tables match the metadata."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from alembic import command
from audience.server.database import make_engine
from audience.server.embedded_postgres import join
from audience.server.migrations import alembic_config, head_revision, is_empty, migrate
from audience.tables import metadata
from consent import tables_requests as _tables_requests  # noqa: F401 - its tables


@pytest.fixture(scope="module")
def fresh_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database that was never migrated."""
    with join(tmp_path_factory.mktemp("fresh"), server_settings={"fsync": "off"}) as lease:
        yield lease.database.url


def _look(url: str, question: Callable[[Connection], Any]) -> Any:
    async def ask() -> Any:
        engine = make_engine(url)
        async with engine.connect() as connection:
            answer = await connection.run_sync(question)
        await engine.dispose()
        return answer

    return asyncio.run(ask())


def _revisions() -> list[str]:
    scripts = ScriptDirectory.from_config(alembic_config("postgresql://"))
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]


def test_stairway(fresh_url: str) -> None:
    assert is_empty(fresh_url)
    config = alembic_config(fresh_url)
    previous = "base"
    for revision in _revisions():
        command.upgrade(config, revision)
        command.downgrade(config, previous)
        command.upgrade(config, revision)
        previous = revision
    assert previous == head_revision()
    assert not is_empty(fresh_url)


def test_tables_match_the_metadata(fresh_url: str) -> None:
    migrate(fresh_url)

    def difference(connection: Connection) -> Any:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return compare_metadata(context, metadata)

    assert _look(fresh_url, difference) == []


def test_primary_keys_match_the_metadata(fresh_url: str) -> None:
    migrate(fresh_url)
    expected = {
        table.name: f"PRIMARY KEY ({', '.join(table.primary_key.columns.keys())})"
        for table in metadata.sorted_tables
    }

    def keys(connection: Connection) -> dict[str, str]:
        found = connection.execute(text(_PRIMARY_KEYS))
        return {name: key.replace('"', "") for name, key in found if name != "alembic_version"}

    assert _look(fresh_url, keys) == expected


_PRIMARY_KEYS = """
SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p'
    AND connamespace = 'public'::regnamespace
"""


def test_migrating_twice_changes_nothing(fresh_url: str) -> None:
    migrate(fresh_url)
    migrate(fresh_url)


def test_two_migrations_at_once_wait_for_each_other(fresh_url: str) -> None:
    command.downgrade(alembic_config(fresh_url), "base")

    async def both() -> None:
        await asyncio.gather(
            *(asyncio.to_thread(_migrate_in_a_process, fresh_url) for _ in range(3))
        )

    asyncio.run(both())
    migrate(fresh_url)


def _migrate_in_a_process(url: str) -> None:
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    program = "import sys; from audience.server.migrations import migrate; migrate(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, url], check=True, capture_output=True)


#: Jane (1) absorbed 2 with a device, a tablet and a visitor ID; the device has been split off (3),
#: an e-mail that somebody else (4) kept was a cause. The merge of 5 and 6 was undone.
_LEDGER = """
WITH new AS (
    INSERT INTO organizations (organization_id, name, created_at)
    VALUES (gen_random_uuid(), 'Shop', now()) RETURNING organization_id
)
INSERT INTO apps (app_id, organization_id, name, created_at, updated_at)
SELECT organization_id, organization_id, 'Shop', now(), now() FROM new;
INSERT INTO profiles (app_id, profile_id, created_at, updated_at)
SELECT app_id, lpad(n::text, 32, '0')::uuid, now(), now() FROM apps, unnest('{1,3,4,5,6}'::int[]) n;
INSERT INTO profile_identifiers (app_id, identifier_name, identifier_value, profile_id,
    first_seen_at)
SELECT app_id, one.name, value, lpad(n::text, 32, '0')::uuid, now() FROM apps, (VALUES
    ('user_id', 'jane', 1), ('analytics_visitor_id', 'v', 1), ('device_id', 'tablet', 1),
    ('device_id', 'phone', 3), ('email', 'kept', 4), ('device_id', 'five', 5),
    ('device_id', 'six', 6)) one(name, value, n);
INSERT INTO profile_merges (app_id, merge_id, survivor_profile_id, absorbed_profile_id, identifiers,
    survivor_before, absorbed_before, merged_at, undone_at)
SELECT app_id, gen_random_uuid(), lpad(survivor::text, 32, '0')::uuid,
    lpad(absorbed::text, 32, '0')::uuid, cause, before, went, now(), undone
FROM apps, (VALUES
    (1, 2, '[["user_id", "jane"], ["email", "kept"], ["device_id", "tablet"]]'::jsonb,
        '{"user_id": "jane", "email": "gone", "device_ids": []}'::jsonb,
        '{"user_id": null, "device_ids": ["phone", "tablet"], "analytics_visitor_ids": ["v"]}'
            ::jsonb, NULL::timestamptz),
    (5, 6, '[]', '{"device_ids": ["five"]}', '{"device_ids": ["six"]}', now())
) one(survivor, absorbed, cause, before, went, undone)
"""

_MOVED = """
SELECT identifier_value || ' ' || ltrim(replace(former_profile_id::text, '-', ''), '0')
FROM moved_identifiers WHERE NOT is_erased
"""


def test_identifiers_that_have_moved_already_are_noted(fresh_url: str) -> None:
    migrate(fresh_url)
    command.downgrade(alembic_config(fresh_url), "0016")

    def run(method: str, statement: str) -> Any:
        async def connected() -> Any:
            connection = await asyncpg.connect(fresh_url)
            answer = await getattr(connection, method)(statement)
            await connection.close()
            return answer

        return asyncio.run(connected())

    run("execute", _LEDGER)
    migrate(fresh_url)
    found = [row[0] for row in run("fetch", _MOVED)]
    assert sorted(found) == ["gone 1", "kept 1", "kept 2", "phone 2"]


# Partial ones: no other statement has their condition, so the planner takes them for none.
OF_ONE_STATEMENT = {"ix__consent_visitors__expired"}
#: Belong to the installation or an organization, not to an app.
OF_THE_INSTALLATION = {"organizations", "api_credentials", "signing_keys", "audit_entries"}


def test_every_growing_table_starts_its_key_with_the_app() -> None:
    for table in metadata.sorted_tables:
        if table.name in OF_THE_INSTALLATION:
            continue
        assert next(iter(table.primary_key.columns)).name == "app_id", table.name
        for index in table.indexes:
            if index.name not in OF_ONE_STATEMENT:
                assert next(iter(index.columns)).name != "app_id", index.name
        for constraint in table.constraints:
            names = [column.name for column in getattr(constraint, "columns", [])]
            if type(constraint).__name__ == "UniqueConstraint":
                assert names[0] == "app_id", constraint.name


def test_alembic_folder_is_no_package() -> None:
    folder = Path(__file__).parents[2] / "alembic"
    assert not (folder / "__init__.py").exists()
