"""Files that arrive at once: an app never has more imports that are not done than it may have."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from audience.profile_changes.imports import receive, storage
from tests.conftest import App, Authorized

IMPORT = "/api/audiences/v1/profiles/import/"
HEADERS = {"Content-Type": "text/csv"}


async def _lock_nothing(*_: Any) -> None:
    """Let two files that have arrived be counted at once."""


@pytest.mark.parametrize("is_guarded", [False, True])
async def test_two_files_that_arrive_at_once(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch, *, is_guarded: bool
) -> None:
    async def send(data: Any) -> int:
        query = {"website_id": app.app_id}
        status, _ = await authorized.post(IMPORT, params=query, data=data, headers=HEADERS)
        return int(status)

    for _ in range(receive.MAX_UNFINISHED_IMPORTS - 1):
        assert await send(b"user_id\na\n") == 202
    counted, both_counted, ends = 0, asyncio.Event(), asyncio.Barrier(2)
    count, save = storage.count_unfinished, storage.save_received

    async def count_unfinished(*args: Any) -> int:
        nonlocal counted
        found = await count(*args)
        counted += 1
        if counted == 2:
            both_counted.set()
        return found

    async def save_together(*args: Any) -> None:
        await ends.wait()
        await save(*args)

    async def file() -> AsyncIterator[bytes]:
        yield b"user_id\n"
        await both_counted.wait()
        yield b"a\n"

    monkeypatch.setattr(storage, "count_unfinished", count_unfinished)
    if not is_guarded:
        monkeypatch.setattr(storage, "lock_imports", _lock_nothing)
        monkeypatch.setattr(storage, "save_received", save_together)
    statuses = await asyncio.gather(send(file()), send(file()))
    stored = await app.count("profile_imports")
    if is_guarded:
        assert (sorted(statuses), stored) == ([202, 409], receive.MAX_UNFINISHED_IMPORTS)
    else:
        assert (statuses, stored) == ([202, 202], receive.MAX_UNFINISHED_IMPORTS + 1)
