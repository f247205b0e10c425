"""What every test may use: the database, the service on it, apps, and the stored rows.

The tests run against a real PostgreSQL (the embedded one) with real commits. After each test all
tables are emptied by DELETE in one round trip: TRUNCATE takes seventy times as long.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from audience import public
from audience.profiles.identifiers import Identifier
from audience.server import clock, migrations
from audience.server.database import Database
from audience.server.embedded_postgres import join
from audience.server.settings import Settings
from audience.tables import metadata
from consent.app import create_app

CASES = Path(__file__).parent / "cases"
UNUSED_AUDIENCE = "a83d4aac-faa6-4746-96eb-5ac110083f8e"


def load_cases(name: str) -> list[Any]:
    """The rows of a case table as pytest parameters, named by their names."""
    rows = json.loads((CASES / f"{name}.json").read_text("utf-8"))
    return [pytest.param(row["given"], row["expected"], id=row["name"]) for row in rows]


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated database of its own PostgreSQL; not durable, it lives as long as the run."""
    folder = tmp_path_factory.mktemp("database")
    with join(folder, server_settings={"fsync": "off"}) as lease:
        migrations.migrate(lease.database.url)
        yield lease.database.url


@pytest.fixture(scope="session")
async def rows(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to look at stored rows with."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def database(database_url: str) -> AsyncIterator[Database]:
    """The service's way to the database, for operations without HTTP."""
    opened = Database(database_url)
    yield opened
    await opened.close()


def serve_in_test(app: web.Application) -> TestServer:
    """A server whose client sends paths as they are, `//` in front included."""
    return TestServer(app, skip_url_asserts=True)


@pytest.fixture(scope="session")
async def service(database_url: str) -> AsyncIterator[TestClient[Any, Any]]:
    """A client of the running service; the service lives as long as the run."""
    async with TestClient(serve_in_test(create_app(Settings(), database_url))) as client:
        yield client


@dataclass
class App:
    """One app with short ways to use the service on it."""

    app_id: str
    service: TestClient[Any, Any]
    rows: asyncpg.Connection
    database: Database

    async def write(self, *items: dict[str, Any], **headers: str) -> tuple[int, str]:
        """POST items (website_id is added) and return status and body."""
        body = [{"website_id": self.app_id, "attributes": [], **item} for item in items]
        answer = await self.service.post(
            "/audiences/tracker/attributes/", json=body, headers=headers
        )
        return answer.status, await answer.text()

    async def profiles(self, identifier_name: str, value: str) -> list[dict[str, Any]]:
        """The documents of the profiles that hold an identifier."""
        async with self.database.transaction() as conn:
            return await public.find_profile_documents(conn, self.app_id, identifier_name, value)

    async def profile(self, identifier_name: str, value: str) -> dict[str, Any]:
        """The one profile that holds an identifier."""
        (document,) = await self.profiles(identifier_name, value)
        return document

    async def allow(self, name: str, field_type: str = "attributes") -> None:
        """Put an attribute on the whitelist."""
        async with self.database.transaction() as conn:
            await public.allow_attribute(conn, self.app_id, field_type, name, clock.now())

    async def identifier_graph(self) -> set[frozenset[Identifier]]:
        """The partition of the app's identifiers into profiles, as stored."""
        groups: dict[Any, set[Identifier]] = {}
        for row in await self.rows.fetch(
            "SELECT identifier_name, identifier_value, profile_id FROM profile_identifiers "
            "WHERE app_id = $1",
            self.app_id,
        ):
            groups.setdefault(row[2], set()).add(Identifier(row[0], row[1]))
        return {frozenset(group) for group in groups.values()}

    async def count(self, table: str) -> int:
        """How many rows of the app a table has."""
        found: int = await self.rows.fetchval(
            f"SELECT count(*) FROM {table} WHERE app_id = $1", self.app_id
        )
        return found


MakeApp = Callable[..., Awaitable[App]]


@pytest.fixture
async def make_app(
    service: TestClient[Any, Any], rows: asyncpg.Connection, database: Database
) -> AsyncIterator[MakeApp]:
    """Make apps; everything stored is deleted after the test."""

    async def make(organization: str = public.DEFAULT_ORGANIZATION) -> App:
        app = public.App(str(uuid4()), "test", organization)
        async with database.transaction() as conn:
            await public.create_app(conn, app, str(uuid4()), clock.now())
        return App(app.app_id, service, rows, database)

    yield make
    await rows.execute(DELETE_EVERYTHING)


@pytest.fixture
async def app(make_app: MakeApp) -> App:
    """One app."""
    return await make_app()


#: Children first.
DELETE_EVERYTHING = ";".join(
    f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)
)
