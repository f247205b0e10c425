"""Exports and imports through the real service: its event loop, its jobs, and kill -9."""

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from audience.profiles.storage import app_lock_key
from tests.api.audience_api import document, group, leaf
from tests.conftest import App, Authorized
from tests.service_process import ServiceProcess

AUDIENCE = "5e6a1b2c-0000-4000-8000-000000000001"
PROFILES = "/api/audiences/v1/profiles/"
_COPYING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'
    AND query LIKE '%audience_members m%'
"""


@pytest.fixture
def process(database_url: str, tmp_path: Path) -> Iterator[ServiceProcess]:
    """The service on the tests' database, with its background work."""
    with ServiceProcess(tmp_path, DATABASE_URL=database_url) as running:
        yield running


async def _until_copying(app: App, *, is_copying: bool) -> None:
    async with asyncio.timeout(30):
        while bool(await app.rows.fetch(_COPYING)) is not is_copying:
            await asyncio.sleep(0.02)


async def test_client_that_goes_away_stops_the_query(
    app: App, authorized: Authorized, process: ServiceProcess
) -> None:
    await app.rows.execute(
        "INSERT INTO audiences (app_id, audience_id, name, description, definition, version,"
        " author, created_at, updated_at) VALUES ($1, $2, 'a', '', '{}', 1, 'x', now(), now())",
        *(app.app_id, AUDIENCE),
    )
    await app.rows.execute(
        "INSERT INTO profiles (app_id, profile_id, created_at, updated_at, attributes)"
        " SELECT $1, gen_random_uuid(), now(), now(),"
        " jsonb_build_object('padding', repeat(md5(n::text), 2000))"
        " FROM generate_series(1, 1500) AS n",
        app.app_id,
    )
    await app.rows.execute(
        "INSERT INTO audience_members (app_id, audience_id, profile_id, member_since)"
        " SELECT app_id, $2, profile_id, now() FROM profiles WHERE app_id = $1",
        *(app.app_id, AUDIENCE),
    )
    body = {
        "website_id": app.app_id,
        "audience_id": AUDIENCE,
        "columns": [{"field_type": "attributes", "name": "padding"}],
    }
    headers = {"Authorization": f"Bearer {authorized.token}", "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(process.url, headers=headers) as session:
        answer = await session.post(PROFILES, json=body)
        assert answer.status == 200
        await answer.content.readany()
        await _until_copying(app, is_copying=True)
        answer.close()
        await _until_copying(app, is_copying=False)


async def test_import_goes_on_after_kill_9(
    app: App, authorized: Authorized, process: ServiceProcess
) -> None:
    rows = "".join(f"user-{number},{number}\n" for number in range(4000))
    headers = {"Authorization": f"Bearer {authorized.token}"}

    async def look(path: str) -> Any:
        async with (
            aiohttp.ClientSession(process.url, headers=headers) as session,
            session.get(f"{PROFILES}import/{path}/?website_id={app.app_id}") as answer,
        ):
            return (await answer.json())["data"]["attributes"]

    async with aiohttp.ClientSession(process.url, headers=headers) as session:
        file = io.BytesIO(f"user_id,score\n{rows}".encode())
        url = f"{PROFILES}import/?website_id={app.app_id}"
        answer = await session.post(url, data=file, headers={"Content-Type": "text/csv"})
        assert answer.status == 202
        import_id = (await answer.json())["data"]["id"]
    async with asyncio.timeout(30):
        while (await look(import_id))["rows_applied"] == 0:
            await asyncio.sleep(0.02)
    process.kill()
    stored = await app.count("profiles")
    assert 0 < stored < 4000
    process.start()
    async with asyncio.timeout(60):
        while (found := await look(import_id))["state"] != "done":
            await asyncio.sleep(0.1)
    assert (found["rows_applied"], found["rows_refused"]) == (4000, 0)
    assert await app.count("profiles") == 4000
    assert (await app.profile("user_id", "user-3999"))["attributes"] == {"score": "3999"}


async def test_fill_goes_on_after_kill_9(
    app: App, authorized: Authorized, process: ServiceProcess
) -> None:
    await app.rows.execute(
        "INSERT INTO profiles (app_id, profile_id, created_at, updated_at, attributes)"
        " SELECT $1, gen_random_uuid(), now(), now(), jsonb_build_object('score', n)"
        " FROM generate_series(1, 100000) AS n",
        app.app_id,
    )
    headers = {"Authorization": f"Bearer {authorized.token}"}
    url = f"/api/audiences/v1/audiences/?website_id={app.app_id}"
    body = document(group("and", leaf("gt", 50_000, name="score")))
    async with aiohttp.ClientSession(process.url, headers=headers) as session:
        answer = await session.post(url, json=body)
        assert answer.status == 201, await answer.text()
    filling = "SELECT is_filling FROM audiences WHERE app_id = $1"
    stored = 0
    async with asyncio.timeout(30):
        while stored < 1000:
            await asyncio.sleep(0.005)
            # With the lock of every part of the fill: it stands still for the look and the kill.
            await app.rows.execute("SELECT pg_advisory_lock($1)", app_lock_key(app.app_id))
            try:
                stored = await app.count("audience_members")
                if stored >= 1000:
                    process.kill()
            finally:
                await app.rows.execute("SELECT pg_advisory_unlock_all()")
    assert 1000 <= stored < 50_000
    assert await app.rows.fetchval(filling, app.app_id)
    process.start()
    async with asyncio.timeout(60):
        while await app.rows.fetchval(filling, app.app_id):
            await asyncio.sleep(0.1)
    assert await app.count("audience_members") == 50_000
