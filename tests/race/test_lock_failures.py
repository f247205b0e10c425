"""What a failure while locks are taken leaves behind: no lock that nobody knows of."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from audience.errors import Unavailable
from audience.profile_changes.items import Item, Items
from audience.profile_changes.write_request import WriteRequest
from audience.profile_changes.writer import Writer, make_writer
from audience.profiles.identifiers import Identifier
from audience.profiles.storage import app_lock_key
from audience.server.database import Database
from audience.server.session_locks.writer import LockedWriter, Turn
from tests.conftest import MakeApp

LOCK, UNLOCK_ALL = "SELECT pg_advisory_lock($1)", "SELECT pg_advisory_unlock_all()"
COUNT_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def _until_waiting(rows: asyncpg.Connection, count: int) -> None:
    while await rows.fetchval(COUNT_WAITING) < count:
        pass


async def test_writer_that_lost_a_deadlock_keeps_none_of_the_locks(
    make_app: MakeApp, database: Database, database_url: str
) -> None:
    apps = [await make_app(), await make_app()]
    rows = apps[0].rows
    # In the order in which a writer takes them.
    first, second = sorted((app.app_id for app in apps), key=app_lock_key)
    items = [
        Item(position, app_id, (Identifier("user_id", "jbond"),), None, ())
        for position, app_id in enumerate((first, second))
    ]
    request = WriteRequest(Items(tuple(items), ()))
    writer, other = make_writer(database.hold()), await asyncpg.connect(database_url)
    try:
        while not await _loses_deadlock(writer, request, other, (first, second), rows):
            await other.execute(UNLOCK_ALL)
            await writer.locks.unlock()
        await other.execute(UNLOCK_ALL)
        assert await writer.write([request]) == [[]]
    finally:
        await other.close()
        await writer.close()


async def _loses_deadlock(
    writer: Writer,
    request: WriteRequest,
    other: asyncpg.Connection,
    apps: tuple[str, str],
    rows: asyncpg.Connection,
) -> bool:
    """Have both wait for each other; false when PostgreSQL made the other one give way."""
    first, second = apps
    await other.execute(LOCK, app_lock_key(second))
    writing = asyncio.create_task(writer.write([request]))
    await _until_waiting(rows, 1)
    # Nothing of the service takes locks in this order.
    taking = asyncio.create_task(other.execute(LOCK, app_lock_key(first)))
    await asyncio.wait([writing, taking], return_when=asyncio.FIRST_COMPLETED)
    if taking.done() and isinstance(taking.exception(), asyncpg.DeadlockDetectedError):
        await other.execute(UNLOCK_ALL)
        await writing
        return False
    with pytest.raises(Unavailable):
        await writing
    await asyncio.wait_for(taking, 30)
    return True


async def test_a_writer_whose_only_request_fails_gives_the_locks_to_others(
    make_app: MakeApp, database: Database, database_url: str
) -> None:
    app = await make_app()
    key = app_lock_key(app.app_id)

    async def fail(_conn: asyncpg.Connection, _items: Sequence[str], _turn: Turn) -> Sequence[None]:
        message = "a poisonous request"
        raise RuntimeError(message)

    writer = LockedWriter[str, None](database.hold(), lambda _items: [key], fail)
    other = await asyncpg.connect(database_url)
    try:
        await other.execute(LOCK, key)
        writing = asyncio.create_task(writer.write(["poison"]))
        await _until_waiting(app.rows, 1)
        await other.execute(UNLOCK_ALL)
        with pytest.raises(RuntimeError, match="poisonous"):
            await writing
        # As the batcher does after every flush. It had to wait: others may be waiting now.
        await writer.locks.settle()
        async with asyncio.timeout(30):
            await other.execute(LOCK, key)
    finally:
        await other.close()
        await writer.close()
