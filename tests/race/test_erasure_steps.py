"""Two processes that remove the ledger rows of erased profiles at the same time."""

import asyncio

import pytest

from audience import public
from audience.profile_changes.erasure import operations
from audience.profiles.identifiers import Identifier
from audience.server import clock
from tests.conftest import App, Authorized

COUNT_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def _make_and_erase(app: App, user_id: str) -> None:
    """A person whose profile has absorbed three others."""
    for number in range(4):
        await app.write({"device_id": f"{user_id}-{number}"})
        await app.write({"user_id": user_id, "device_id": f"{user_id}-{number}"})
    async with app.database.transaction() as conn:
        whom = [Identifier("user_id", user_id)]
        counts = await public.erase_person(conn, app.app_id, whom, clock.now())
    assert counts["profile_merges"] == 3


async def _make_and_erase_moved(app: App) -> None:
    """A person with three devices of Jane's, of which her merges tell."""
    await app.write({"user_id": "jane"}, {"user_id": "a"})
    for number in range(3):
        await app.write({"device_id": f"marker-{number}"})
        await app.write({"user_id": "jane", "device_id": f"marker-{number}"})
    for number in range(3):
        await app.write({"user_id": "a", "device_id": f"marker-{number}"})
    async with app.database.transaction() as conn:
        await public.erase_person(conn, app.app_id, [Identifier("user_id", "a")], clock.now())


async def _step(app: App) -> bool:
    async with app.database.transaction() as conn:
        _, is_more = await public.erase_some_merges(conn, app.app_id)
    return is_more


async def _step_while_another_is_at_it(app: App) -> bool:
    async with app.database.transaction() as conn:
        assert (await public.erase_some_merges(conn, app.app_id))[1]
        other = asyncio.create_task(_step(app))
        while not await app.rows.fetchval(COUNT_WAITING):
            assert not other.done()
            await asyncio.sleep(0.01)
    return await other


async def test_an_erasure_is_done_when_none_of_its_rows_are_left(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_MERGES_AT_ONCE", 1)
    await _make_and_erase(app, "a")
    assert await _step_while_another_is_at_it(app)
    while await _step(app):
        pass
    assert await app.count("profile_merges") == 0


async def test_the_end_of_one_erasure_is_not_the_end_of_all(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _make_and_erase(app, "a")
    await _make_and_erase(app, "b")
    monkeypatch.setattr(operations, "_MERGES_AT_ONCE", 3)
    assert await _step(app)
    # One notes that nothing of the first is left; who waited for that goes on with the second.
    assert await _step_while_another_is_at_it(app)
    while await _step(app):
        pass
    assert await app.count("profile_merges") == 0


async def test_documents_of_others_are_clean_when_none_is_left_to_be_cleaned(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_MOVED_AT_ONCE", 0)
    await _make_and_erase_moved(app)
    monkeypatch.setattr(operations, "_MOVED_AT_ONCE", 2)
    rows = await app.count("moved_identifiers")
    assert rows > 2
    assert await _step_while_another_is_at_it(app)
    assert await app.count("moved_identifiers") == max(rows - 4, 0)
    while await _step(app):
        pass
    assert await app.count("moved_identifiers") == 0
    assert await app.count("profile_merges") == 3
    left = "SELECT count(*) FROM profile_merges m WHERE m::text LIKE '%marker%'"
    assert await app.rows.fetchval(left) == 0


async def test_undoing_a_merge_and_cleaning_its_documents_wait_for_each_other(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_MOVED_AT_ONCE", 0)
    await _make_and_erase_moved(app)
    monkeypatch.setattr(operations, "_MOVED_AT_ONCE", 100)
    merge_id = await app.rows.fetchval(
        "SELECT merge_id::text FROM profile_merges WHERE app_id = $1 ORDER BY sequence LIMIT 1",
        app.app_id,
    )
    url = f"/api/audiences/v1/merges/{merge_id}/undo/?website_id={app.app_id}"
    async with app.database.transaction() as conn:
        assert (await public.erase_some_merges(conn, app.app_id))[1]
        undoing = asyncio.create_task(authorized.post(url))
        while not await app.rows.fetchval(COUNT_WAITING):
            assert not undoing.done()
            await asyncio.sleep(0.01)
    status, body = await undoing
    assert (status, body["errors"][0]["code"]) == (409, "person_erased")
    left = "SELECT count(*) FROM profile_merges m WHERE m::text LIKE '%marker%'"
    assert await app.rows.fetchval(left) == 0
