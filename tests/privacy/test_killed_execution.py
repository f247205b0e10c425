"""Kill -9 in the middle of each step of each execution, then run again."""

import asyncio
import io
import json
import os
import signal
import sys
import zipfile
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from audience.profiles.storage import app_lock_key
from tests.conftest import App
from tests.data_subjects import REQUESTS, Office
from tests.database_dump import found_in_dump
from tests.privacy.people import MARKERS, make_people, verified_request
from tests.service_process import ServiceProcess

EXECUTOR = str(Path(__file__).with_name("dying_executor.py"))


async def _execute_dying(database_url: str) -> int:
    """Run processes until one ends by itself; how many were killed before."""
    environment = {**os.environ, "DATABASE_URL": database_url}
    killed = 0
    while True:
        process = await asyncio.create_subprocess_exec(
            sys.executable, EXECUTOR, env=environment, cwd=Path(__file__).parents[2]
        )
        status = await process.wait()
        if status == 0:
            return killed
        assert status == -signal.SIGKILL
        killed += 1
        assert killed < 40


async def _counts(office: Office, request_id: str) -> dict[str, int]:
    status, body = await office.team.get(f"{REQUESTS}/{request_id}/execution")
    assert status == 200
    assert "completed_at" in body["data"]["attributes"]
    counts: dict[str, int] = body["data"]["attributes"]["counts"]
    return counts


async def test_an_access_export_survives_being_killed_in_each_step(
    app: App, office: Office, database_url: str
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "view_data")
    assert (await office.act(request_id, "execute"))[0] == 202
    assert await _execute_dying(database_url) > 6
    headers = {"Authorization": f"Bearer {office.team.token}"}
    path = f"{REQUESTS}/{request_id}/export"
    answer = await office.service.get(path, headers=headers)
    archive = zipfile.ZipFile(io.BytesIO(await answer.read()))
    data: dict[str, Any] = json.loads(archive.read("data.json"))
    assert [len(data[name]) for name in ("profiles", "consents", "decisions", "requests")] == [
        1,
        1,
        2,
        1,
    ]
    assert await _counts(office, request_id) == {
        "profiles": 1,
        "consent_visitors": 1,
        "consent_decisions": 2,
        "data_subject_requests": 1,
    }
    assert len(await office.deliver()) == 1


async def test_a_rectification_survives_being_killed(
    app: App, office: Office, database_url: str
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "change_data")
    right = [{"name": "color", "value": "right"}]
    assert (await office.act(request_id, "execute", attributes=right))[0] == 202
    assert await _execute_dying(database_url) == 1
    profile = await app.profile("email", "jane@shop.example")
    assert profile["attributes"]["color"] == "right"
    rows = "SELECT count(*) FROM audit_entries WHERE operation = 'rectify_profile'"
    assert await app.rows.fetchval(rows) == 1
    assert len(await office.deliver()) == 1


async def test_an_erasure_survives_being_killed_in_each_step(
    app: App, office: Office, database_url: str
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "delete_data")
    assert (await office.act(request_id, "execute"))[0] == 202
    assert await _execute_dying(database_url) > 5
    counts = await _counts(office, request_id)
    assert (counts["profiles"], counts["consent_visitors"]) == (1, 1)
    assert (await office.get(request_id))["status"] == "resolved"
    assert len(await office.deliver()) == 1
    assert found_in_dump(database_url, MARKERS) == []
    assert await app.count("profiles") == 1


async def test_a_killed_service_goes_on_when_it_is_started_again(
    app: App, office: Office, database_url: str, tmp_path: Path
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "delete_data")
    # The step waits for a lock in the middle, and there the service is killed.
    holder = await asyncpg.connect(database_url)
    await holder.execute("SELECT pg_advisory_lock($1)", app_lock_key(app.app_id))
    with ServiceProcess(tmp_path, "--workers", "2", DATABASE_URL=database_url) as service:
        assert (await office.act(request_id, "execute"))[0] == 202
        await _wait_for(app, _WAITING)
        service.kill()
        await holder.close()
        assert await app.count("profiles") == 2
        service.start()
        await _wait_for(app, _COMPLETED)
    assert (await office.get(request_id))["status"] == "resolved"
    assert await app.count("profiles") == 1
    await office.deliver()
    assert found_in_dump(database_url, MARKERS) == []


async def _wait_for(app: App, question: str) -> None:
    for _ in range(600):
        if await app.rows.fetchval(question):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"never: {question}")


_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
_COMPLETED = "SELECT count(*) FROM data_subject_executions WHERE completed_at IS NOT NULL"
