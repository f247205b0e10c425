"""Kill -9 in the middle of each step of each execution, then run again."""

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

import asyncpg
import pytest

from audience.profile_changes.imports import receive
from audience.profile_changes.imports.jobs import apply_imports
from audience.profiles.storage import app_lock_key
from consent.data_subject_requests.execution import access, erasing, rectifying
from consent.data_subject_requests.execution.step import FINISH
from tests.conftest import App, Authorized
from tests.consents import new_visitor
from tests.data_subjects import Office
from tests.database_dump import found_in_dump
from tests.privacy.executing import execute, export_of, preview, receipt_of
from tests.privacy.people import (
    MARKERS,
    NEIGHBOUR_CONSENT_VISITOR,
    VISITOR,
    make_people,
    verified_request,
)
from tests.service_process import ServiceProcess

EXECUTOR = str(Path(__file__).with_name("dying_executor.py"))
#: Where in a step its process is killed: all is done and nothing is committed, or all is committed.
CUTS = pytest.mark.parametrize("cut", ["before", "after"])
IMPORT = "/api/audiences/v1/profiles/import/"


async def _execute_dying(database_url: str, cut: str, data_dir: Path) -> Counter[str]:
    """Execute what is due, killed once in each step; how often in each phase."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        EXECUTOR,
        cut,
        str(data_dir / "outbox"),
        env={**os.environ, "DATABASE_URL": database_url},
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return Counter(output.decode().split())


async def _make_people(app: App, office: Office, authorized: Authorized) -> None:
    """Jane and her neighbour, Jane with several of everything that a step takes some of."""
    content = {"label": "Counting", "description": "We count."}
    text = {"language": "en", "text_key": "analytics", "content": content}
    status, body = await authorized.post(
        "/api/consents/v1/forms/publish/",
        params={"website_id": app.app_id},
        json={"data": {"type": "ConsentText", "attributes": text}},
    )
    assert status == 201, body
    await make_people(app, office)
    for number in range(2):
        device = {"device_id": f"marker-jane-{number}"}
        await app.write(device)
        await app.write({**device, "email": "jane@shop.example"})
        seen = {"analytics": {"status": 1, "historyId": body["data"]["id"]}}
        visitor = new_visitor(app, VISITOR)
        assert (await visitor.send({"consents": seen}))[0] == 204
    earlier = await verified_request(office, "change_data")
    assert (await office.change(earlier, status="rejected", reason="marker-wish"))[0] == 204
    await office.deliver()


@CUTS
async def test_an_access_export_is_whole_although_each_step_is_killed(
    app: App, office: Office, authorized: Authorized, database_url: str, tmp_path: Path, cut: str
) -> None:
    await _make_people(app, office, authorized)
    undisturbed = await verified_request(office, "view_data")
    await execute(office, undisturbed)
    await office.deliver()
    request_id = await verified_request(office, "view_data")
    assert (await office.act(request_id, "execute"))[0] == 202
    killed = await _execute_dying(database_url, cut, tmp_path)
    assert killed.keys() == {*access.PHASES, FINISH}
    assert min(killed[phase] for phase in access.PHASES if phase != "find") > 1
    expected, _ = await export_of(office, undisturbed)
    found, _ = await export_of(office, request_id)
    for section in access.SECTIONS:
        is_own = section == "requests"
        assert len(found[section]) == len(expected[section]) + is_own > 0, section
        assert is_own or found[section] == expected[section], section
    counts = (await receipt_of(office, request_id))["counts"]
    before = (await receipt_of(office, undisturbed))["counts"]
    assert counts == before | {"data_subject_requests": 3}
    assert [one["To"] for one in await office.deliver()] == ["jane@shop.example"]


@CUTS
async def test_a_rectification_is_made_once_although_each_step_is_killed(
    app: App, office: Office, database_url: str, tmp_path: Path, cut: str
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "change_data")
    right = {
        "attributes": [{"name": "color", "value": "right"}, {"name": "age", "value": None}],
        "identifiers": [{"identifier_name": "email", "new_value": "jane.new@shop.example"}],
    }
    announced = await preview(office, request_id, **right)
    assert (await office.act(request_id, "execute", **right))[0] == 202
    killed = await _execute_dying(database_url, cut, tmp_path)
    assert killed == Counter([*rectifying.PHASES, FINISH])
    profile = await app.profile("email", "jane.new@shop.example")
    assert profile["attributes"] == {"color": "right"}
    assert (await receipt_of(office, request_id))["counts"] == announced
    rows = "SELECT count(*) FROM audit_entries WHERE operation = 'rectify_profile'"
    assert await app.rows.fetchval(rows) == 1
    assert len(await office.deliver()) == 1


async def _leave_traces(
    app: App, office: Office, authorized: Authorized, data_dir: Path
) -> tuple[str, str]:
    """An export, a file and mails of Jane's; ids of the neighbour's request and of her erasure."""
    await execute(office, await verified_request(office, "view_data"))
    await office.deliver()
    # A file waits to be applied; mails have been written where there is no mail server.
    await authorized.post(
        IMPORT,
        params={"website_id": app.app_id},
        data="email,color\njane@shop.example,marker-value\nneighbour@shop.example,red\n",
        headers={"Content-Type": "text/csv"},
    )
    # A browser's own consent visitor comes with its request.
    await office.submit("neighbour@shop.example", visitorId=NEIGHBOUR_CONSENT_VISITOR)
    neighbours = await app.rows.fetchval(
        "SELECT request_id::text FROM data_subject_requests WHERE email LIKE 'neighbour@%'"
    )
    request_id = await verified_request(office, "delete_data")
    (data_dir / "outbox").mkdir()
    for row in await app.rows.fetch("SELECT request_id::text FROM data_subject_requests"):
        (data_dir / "outbox" / f"{row[0]}.{row[0]}.eml").touch()
    return neighbours, request_id


@CUTS
async def test_an_erasure_leaves_nothing_although_each_step_is_killed(
    app: App,
    office: Office,
    authorized: Authorized,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut: str,
) -> None:
    monkeypatch.setattr(receive, "_CHUNK_ROWS", 1)
    await _make_people(app, office, authorized)
    neighbours, request_id = await _leave_traces(app, office, authorized, tmp_path)
    announced = await preview(office, request_id)
    assert announced["data_subject_requests"] == 3
    assert (await office.act(request_id, "execute"))[0] == 202
    killed = await _execute_dying(database_url, cut, tmp_path)
    assert killed.keys() == {*erasing.PHASES, FINISH}
    assert min(killed[phase] for phase in erasing.PHASES if phase != "person") > 1
    counts = (await receipt_of(office, request_id))["counts"]
    assert counts == announced | {"profile_import_rows": 1}
    left = [path.name.partition(".")[0] for path in (tmp_path / "outbox").iterdir()]
    assert left == [neighbours]
    assert [one["To"] for one in await office.deliver()] == ["jane@shop.example"]
    assert found_in_dump(database_url, MARKERS) == []
    assert await app.count("profiles") == 1
    while await apply_imports(app.service.app):
        pass
    assert (await app.profile("email", "neighbour@shop.example"))["attributes"] == {"color": "red"}
    assert await app.count("profiles") == 1
    assert (await office.get(neighbours))["email"] == "neighbour@shop.example"


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


# Other work of the service waits for the same lock.
_WAITING = """
SELECT count(*) FROM pg_locks waiting JOIN pg_locks held USING (pid)
WHERE waiting.locktype = 'advisory' AND NOT waiting.granted
    AND held.relation = 'data_subject_executions'::regclass
"""
_COMPLETED = "SELECT count(*) FROM data_subject_executions WHERE completed_at IS NOT NULL"
