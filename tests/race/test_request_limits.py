"""Limits of data subject requests while many come at once: with the guard and without it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from consent.data_subject_requests import storage as requests
from consent.data_subject_requests.intake import storage
from consent.data_subject_requests.intake.operations import MAX_OF_AN_APP, MAX_OF_AN_EMAIL
from tests.data_subjects import Office

#: As many as find a connection at once.
_AT_ONCE = 6
_FILL = (
    "INSERT INTO data_subject_requests (app_id, request_id, request_type, status, channel, email, "
    "received_at, due_at) SELECT $1, ('ffffffff-0000-7000-8000-0000' || lpad(to_hex(n), 8, '0'))"
    "::uuid, 'view_data', 'unverified', 'form', $2, now(), now() FROM generate_series(1, $3) n"
)

Count = Callable[..., Awaitable[Any]]


def _without_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for others, and all have counted before the first one stores."""
    count: Count = storage.count_recent
    all_counted = asyncio.Barrier(_AT_ONCE)

    async def lock_nothing(*_arguments: object) -> None:
        return

    async def count_together(*arguments: Any) -> Any:
        found = await count(*arguments)
        await all_counted.wait()
        return found

    monkeypatch.setattr(requests, "lock_person", lock_nothing)
    monkeypatch.setattr(storage, "lock_intake", lock_nothing)
    monkeypatch.setattr(storage, "count_recent", count_together)


@pytest.mark.parametrize(("is_guarded", "taken"), [(False, _AT_ONCE), (True, 2)])
async def test_limit_of_an_app(
    office: Office, monkeypatch: pytest.MonkeyPatch, *, is_guarded: bool, taken: int
) -> None:
    await office.rows.execute(_FILL, office.app_id, None, MAX_OF_AN_APP - 2)
    if not is_guarded:
        _without_guard(monkeypatch)
    answers = await asyncio.gather(
        *(office.submit(f"p{number}@shop.example") for number in range(_AT_ONCE))
    )
    statuses = sorted(status for status, _ in answers)
    assert statuses == [204] * taken + [429] * (_AT_ONCE - taken)
    stored = await office.rows.fetchval("SELECT count(*) FROM data_subject_requests")
    assert stored == MAX_OF_AN_APP - 2 + taken
    assert await office.rows.fetchval("SELECT count(*) FROM mails") == taken


@pytest.mark.parametrize(("is_guarded", "taken"), [(False, _AT_ONCE), (True, 2)])
async def test_limit_of_an_email(
    office: Office, monkeypatch: pytest.MonkeyPatch, *, is_guarded: bool, taken: int
) -> None:
    email = "jane@shop.example"
    await office.rows.execute(_FILL, office.app_id, email, MAX_OF_AN_EMAIL - 2)
    if not is_guarded:
        _without_guard(monkeypatch)
    answers = await asyncio.gather(*(office.submit(email) for _ in range(_AT_ONCE)))
    statuses = sorted(status for status, _ in answers)
    assert statuses == [204] * taken + [429] * (_AT_ONCE - taken)
    assert await office.rows.fetchval("SELECT count(*) FROM mails") == taken


async def test_apps_do_not_wait_for_each_other(office: Office, noise: Any) -> None:
    async with office.rows.transaction():
        await office.rows.execute(
            "SELECT pg_advisory_xact_lock($1)", storage.intake_lock_key(noise.app_id)
        )
        assert (await office.submit())[0] == 204
        waiting = asyncio.create_task(office.submit(websiteId=noise.app_id))
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
    assert (await waiting)[0] == 204
