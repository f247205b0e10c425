"""What every test may use: the database, the service on it, apps, and the stored rows.

The tests run against a real PostgreSQL (the embedded one) with real commits. After each test all
tables are emptied by DELETE in one round trip: TRUNCATE takes seventy times as long.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select

from audience import public
from audience.profiles.identifiers import Identifier
from audience.server import clock, migrations
from audience.server.database import Database
from audience.server.embedded_postgres import join
from audience.server.hot_routes import HotRunner
from audience.server.settings import Settings
from audience.tables import metadata, signing_keys
from consent.app import create_app
from tests.data_subjects import Office
from tests.mailbox import Mailbox
from tests.unit.profile_sets import value_of

CASES = Path(__file__).parent / "cases"
_LONGEST_TEST_SECONDS = 60
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


class _Server(TestServer):
    """Runs the application as a worker process does."""

    async def _make_runner(self, **options: Any) -> HotRunner:
        return HotRunner(self.app, **options)


def serve_in_test(app: web.Application) -> TestServer:
    """A server whose client sends paths as they are, `//` in front included."""
    return _Server(app, skip_url_asserts=True)


@pytest.fixture(scope="session")
async def service(database_url: str) -> AsyncIterator[TestClient[Any, Any]]:
    """A client of the running service; the service lives as long as the run."""
    async with TestClient(
        serve_in_test(create_app(Settings(), database_url, with_jobs=False))
    ) as client:
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
async def within_an_hour() -> None:
    """No hour, and so no day, ends during the test."""
    left = 3600 - time.time() % 3600
    if left < _LONGEST_TEST_SECONDS:
        await asyncio.sleep(left + 0.1)


@pytest.fixture
async def app(make_app: MakeApp) -> App:
    """One app."""
    return await make_app()


@pytest.fixture
async def noise(make_app: MakeApp) -> App:
    """A second app that holds the same identifiers: any missing `app_id =` mixes the two.

    They are those of the merging cases (u0 to u3, e0, d0, v0 ...) and `jbond`.
    """
    other = await make_app()
    loud = [{"name": "noise", "value": "loud"}]
    names = {"u": "user_id", "e": "email", "d": "device_id", "v": "analytics_visitor_id"}
    for number in range(4):
        for kind, name in names.items():
            await other.write({name: value_of(f"{kind}{number}"), "attributes": loud})
    await other.write({"user_id": "jbond", "attributes": loud})
    return other


class Authorized:
    """A client of the authorized API: every request carries its token."""

    def __init__(self, service: TestClient[Any, Any], token: str) -> None:
        self.service = service
        self.token = token

    async def request(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status and body: JSON where it is JSON, else text."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        async with self.service.request(method, path, headers=headers, **options) as answer:
            text = await answer.text(errors="replace")
            is_json = "json" in answer.headers.get("Content-Type", "")
            return answer.status, json.loads(text) if is_json else text

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        """GET."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> tuple[int, Any]:
        """POST."""
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> tuple[int, Any]:
        """PUT."""
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Any) -> tuple[int, Any]:
        """PATCH."""
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> tuple[int, Any]:
        """DELETE."""
        return await self.request("DELETE", path, **options)


MakeToken = Callable[..., Awaitable[str]]
MakeClient = Callable[..., Awaitable[Authorized]]


@pytest.fixture(scope="session")
async def signing_key(database: Database) -> str:
    """A signing key as JSON, made once for the whole run: making one takes a while."""
    async with database.transaction() as conn:
        await public.rotate_signing_key(conn, clock.now())
        row = (await conn.execute(select(signing_keys))).mappings().one()
        return json.dumps(dict(row), default=str)


@pytest.fixture
async def make_token(
    service: TestClient[Any, Any], rows: asyncpg.Connection, database: Database, signing_key: str
) -> AsyncIterator[MakeToken]:
    """Make credentials and get a token with them, as a client does."""

    async def make(
        *scopes: str, organization: str = public.DEFAULT_ORGANIZATION, name: str = "test"
    ) -> str:
        await rows.execute(RESTORE_SIGNING_KEY, signing_key)
        async with database.transaction() as conn:
            made = await public.create_credential(
                conn,
                name=name,
                organization=organization,
                scopes=scopes,
                ids=(str(uuid4()), str(uuid4())),
                now=clock.now(),
            )
        answer = await service.post(
            "/auth/token",
            json={
                "grant_type": "client_credentials",
                "client_id": made.client_id,
                "client_secret": made.client_secret,
            },
        )
        token: str = (await answer.json())["access_token"]
        return token

    yield make
    await rows.execute(DELETE_EVERYTHING)


@pytest.fixture
async def make_client(make_token: MakeToken, service: TestClient[Any, Any]) -> MakeClient:
    """Make clients of the authorized API: make_client("read", organization="other")."""

    async def make(*scopes: str, **options: str) -> Authorized:
        return Authorized(service, await make_token(*scopes, **options))

    return make


@pytest.fixture
async def authorized(make_client: MakeClient) -> Authorized:
    """A client of the default organization that may do everything."""
    return await make_client("admin")


@pytest.fixture
async def office(
    app: App, database_url: str, make_client: MakeClient, tmp_path: Path
) -> AsyncIterator[Office]:
    """A privacy team's view of one app: a service of its own with a mailbox, and a client."""
    with Mailbox() as mailbox:
        settings = Settings(
            data_dir=tmp_path,
            smtp_url=mailbox.url,
            mail_from="Privacy team <privacy@shop.example>",
            public_url="https://consent.example",
            collect_per_minute=0,
            trusted_proxies=1,
            # The controllers of the tests are on this machine.
            allow_private_callbacks=True,
        )
        async with TestClient(
            serve_in_test(create_app(settings, database_url, with_jobs=False))
        ) as client:
            team = Authorized(client, (await make_client("privacy", name="team")).token)
            yield Office(app.app_id, client, mailbox, team, app.rows)


RESTORE_SIGNING_KEY = """
INSERT INTO signing_keys
SELECT * FROM jsonb_populate_record(NULL::signing_keys, $1::text::jsonb)
ON CONFLICT DO NOTHING
"""

#: What the service's role may not delete; given back only where there is something to delete.
_DELETE_PROOF = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM {0}) THEN
        GRANT DELETE ON {0} TO CURRENT_USER;
        DELETE FROM {0};
        REVOKE DELETE ON {0} FROM CURRENT_USER;
    END IF;
END $$"""
_PROOF = ("consent_decisions", "consent_texts")

#: Children first. Foreign keys are looked up by plans of this session, which may have been made
#: when a table was empty: it would be read whole for each row deleted, minutes for 100,000.
DELETE_EVERYTHING = "DISCARD PLANS;" + ";".join(
    _DELETE_PROOF.format(table.name) if table.name in _PROOF else f"DELETE FROM {table.name}"
    for table in reversed(metadata.sorted_tables)
)
