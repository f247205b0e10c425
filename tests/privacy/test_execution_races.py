"""What gets between the steps of an execution: other executions, imports, jobs."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from audience import public
from audience.profile_changes.imports.jobs import apply_imports
from audience.profiles.storage import lock_apps
from audience.server.database import Database, raw
from consent.data_subject_requests.execution import erasing, jobs
from consent.data_subject_requests.execution.exports import storage
from consent.data_subject_requests.execution.jobs import (
    execute_some,
    execute_step,
    forget_expired_exports,
)
from consent.data_subject_requests.execution.step import Progress, Work
from consent.data_subject_requests.mails.operations import COMPOSERS
from consent.decisions.persons.operations import erase_visitors, lock_consents
from consent.decisions.persons.storage import COUNT_DECISIONS, LOCK_CONSENTS
from tests.conftest import App, Authorized
from tests.data_subjects import REQUESTS, Office
from tests.database_dump import found_in_dump
from tests.mailbox import body_of
from tests.privacy.executing import export_of, receipt_of, run
from tests.privacy.people import (
    CONSENT_VISITOR,
    MARKERS,
    VISITOR,
    decide,
    make_people,
    verified_request,
)

IMPORT = "/api/audiences/v1/profiles/import/"
COUNT_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def _begin(office: Office, event: str) -> str:
    """Have a request of Jane's executed, without any step of it; its id."""
    request_id = await verified_request(office, event)
    assert (await office.act(request_id, "execute"))[0] == 202
    return request_id


async def test_an_access_that_is_begun_anew_during_an_erasure_leaves_nothing(
    app: App,
    office: Office,
    database: Database,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await make_people(app, office)
    access = await _begin(office, "view_data")
    await _begin(office, "delete_data")
    erase_requests = erasing.PHASES["requests"]

    async def begin_access_anew(work: Work) -> Progress:
        """The erasure has stopped the access and removed its export just now."""
        monkeypatch.setitem(erasing.PHASES, "requests", erase_requests)
        assert (await office.act(access, "execute"))[0] == 202
        for _ in range(10):
            await execute_step(database, tmp_path, access)
        assert await app.count("data_subject_export_parts") > 0
        return await erase_requests(work)

    monkeypatch.setitem(erasing.PHASES, "requests", begin_access_anew)
    await run(office)
    await office.deliver()
    assert (await office.get(access))["status"] in ("cancelled", "resolved")
    assert await app.count("data_subject_export_parts") == 0
    assert found_in_dump(database_url, MARKERS) == []


async def test_a_file_that_is_taken_in_while_an_erasure_waits_is_from_before(
    app: App, office: Office, authorized: Authorized, database: Database, tmp_path: Path
) -> None:
    await make_people(app, office)
    erasure = await _begin(office, "delete_data")
    async with database.transaction() as conn:
        await lock_apps(await raw(conn), [app.app_id])
        step = asyncio.create_task(execute_step(database, tmp_path, erasure))
        while not await app.rows.fetchval(COUNT_WAITING):
            assert not step.done()
            await asyncio.sleep(0.01)
        text = "email,color\njane@shop.example,marker-new\nkim@shop.example,red\n"
        headers, params = {"Content-Type": "text/csv"}, {"website_id": app.app_id}
        assert (await authorized.post(IMPORT, params=params, data=text, headers=headers))[0] == 202
    assert await step is not None
    await run(office)
    while await apply_imports(app.service.app):
        pass
    assert await app.profiles("email", "jane@shop.example") == []
    assert (await app.profile("email", "kim@shop.example"))["attributes"] == {"color": "red"}


async def test_after_each_step_of_an_erasure_writers_have_the_locks_longer_than_it_took(
    app: App, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    await make_people(app, office)
    loop = SimpleNamespace(sleep=rest, get_running_loop=asyncio.get_running_loop)
    monkeypatch.setattr(jobs, "asyncio", loop)
    await _begin(office, "view_data")
    await run(office)
    assert rests == []
    await _begin(office, "delete_data")
    started = time.monotonic()
    await run(office)
    assert len(rests) > 5
    assert min(rests) > 0
    # So many times as long as the steps, which took no longer than all of it.
    assert (time.monotonic() - started) * public.ERASURE_REST >= sum(rests)


async def test_decisions_are_counted_before_writers_have_to_wait(
    app: App, office: Office, database: Database
) -> None:
    await make_people(app, office)
    asked: list[str] = []
    async with database.transaction() as conn:
        driver = await raw(conn)
        with driver.query_logger(lambda record: asked.append(record.query)):
            counts = await erase_visitors(conn, app.app_id, [CONSENT_VISITOR])
    assert counts == {"consent_visitors": 1, "consent_visitor_keys": 1, "consent_decisions": 2}
    first = asked.index(COUNT_DECISIONS)
    assert first < asked.index(LOCK_CONSENTS) < asked.index(COUNT_DECISIONS, first + 1)


async def test_decisions_that_are_written_while_an_erasure_waits_are_counted_once(
    app: App, office: Office, database: Database
) -> None:
    await make_people(app, office)
    request_id = await _begin(office, "delete_data")
    assert await execute_some(office.service.app)  # type: ignore[arg-type]
    async with database.transaction() as conn:
        await lock_consents(conn, app.app_id)
        decision = asyncio.create_task(decide(office, CONSENT_VISITOR, VISITOR, 1))
        while await app.rows.fetchval(COUNT_WAITING) < 1:
            assert not decision.done()
            await asyncio.sleep(0.01)
        erasure = asyncio.create_task(run(office))
        while await app.rows.fetchval(COUNT_WAITING) < 2:
            assert not erasure.done()
            await asyncio.sleep(0.01)
    await decision
    await erasure
    assert (await receipt_of(office, request_id))["counts"]["consent_decisions"] == 3


async def test_an_export_that_takes_long_to_make_is_whole(app: App, office: Office) -> None:
    await make_people(app, office)
    access = await _begin(office, "view_data")
    service: Any = office.service.app
    while not await app.count("data_subject_export_parts"):
        assert await execute_some(service)
    # Days later: the service was down.
    await app.rows.execute("UPDATE data_subject_exports SET expires_at = now()")
    while await forget_expired_exports(service):
        pass
    await run(office)
    data, _ = await export_of(office, access)
    assert len(data["profiles"]) == 1


async def test_a_download_that_an_erasure_falls_into_is_cut_off(
    app: App, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_people(app, office)
    access = await _begin(office, "view_data")
    await run(office)
    await _begin(office, "delete_data")
    find_part = storage.find_part

    async def erase_and_find(*arguments: Any) -> tuple[int, str] | None:
        """The profiles are sent already."""
        if arguments[2] == "consents":
            while await app.count("data_subject_export_parts"):
                await execute_some(office.service.app)  # type: ignore[arg-type]
        return await find_part(*arguments)

    monkeypatch.setattr(storage, "find_part", erase_and_find)
    headers = {"Authorization": f"Bearer {office.team.token}"}
    answer = await office.service.get(f"{REQUESTS}/{access}/export", headers=headers)
    with pytest.raises(aiohttp.ClientError):
        await answer.read()
    monkeypatch.undo()
    assert await app.count("data_subject_exports") == 1
    answer = await office.service.get(f"{REQUESTS}/{access}/export", headers=headers)
    assert answer.status == 404


async def test_a_mail_to_a_person_who_is_being_erased_is_not_sent(
    app: App, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_people(app, office)
    rejected = await verified_request(office, "view_data")
    erasure = await verified_request(office, "delete_data")
    changed = await office.change(rejected, status="rejected", reason="marker-wish")
    assert changed == (204, "")
    service: Any = office.service.app
    compose = service[COMPOSERS]["rejection"]

    async def erase_and_compose(*arguments: Any) -> Any:
        assert (await office.act(erasure, "execute"))[0] == 202
        await run(office)
        return await compose(*arguments)

    monkeypatch.setitem(service[COMPOSERS], "rejection", erase_and_compose)
    (told,) = await office.deliver()
    assert "marker-wish" not in body_of(told)


async def test_nothing_is_executed_in_an_app_that_is_being_removed(
    app: App, office: Office, authorized: Authorized
) -> None:
    await make_people(app, office)
    await _begin(office, "view_data")
    answer = await authorized.delete(f"/api/apps/v2/{app.app_id}?confirm=test")
    assert answer[0] == 204, answer
    assert not await execute_some(office.service.app)  # type: ignore[arg-type]
