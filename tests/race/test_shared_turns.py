"""Writers that share an app's lock: nothing of what one writes is lost by the other one.

Two writers of this process stand for two workers, so that each step is in the test's hands; the
storms go over HTTP to two real workers, first without the guard.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from audience import public
from audience.errors import Unavailable
from audience.profile_changes import storage
from audience.profile_changes.items import parse_items
from audience.profile_changes.plain_writes import operations as plain_operations
from audience.profile_changes.write_request import WriteRequest
from audience.profile_changes.writer import Writer, make_writer
from audience.profiles.storage import app_lock_key
from audience.profiles.touches import storage as touches
from audience.server import clock
from audience.server.database import Database
from audience.server.session_locks import locks
from tests.api.audience_api import leaf
from tests.conftest import App, MakeApp
from tests.race.unguarded_plain import unguard_decided
from tests.race.unguarded_versions import unguard

UNGUARDED = str(Path(__file__).with_name("unguarded_versions.py"))
MAX_ROUNDS = 40
ADD = [{"name": "n", "action": "add"}]
HELD = """
SELECT mode FROM pg_locks
WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = $1
"""
WAITING = HELD.replace("granted", "NOT granted")


def request_of(app: App, **item: Any) -> WriteRequest:
    """One write of one item."""
    whole = {"website_id": app.app_id, "attributes": [], **item}
    return WriteRequest(parse_items([whole], lambda email: email))


@dataclass
class Pair:
    """Two writers that have met."""

    app: App
    first: Writer
    second: Writer

    async def write(self, writer: Writer, **item: Any) -> None:
        assert await writer.write([request_of(self.app, **item)]) == [[]]

    async def meet(self) -> None:
        """Let both know of each other, and hold the lock together."""
        for writer in (self.first, self.second):
            writer.locks._sharing_until = asyncio.get_running_loop().time() + 60  # noqa: SLF001
            await writer.locks.unlock()
        for writer in (self.first, self.second):
            await self.write(writer, user_id="jbond", attributes=[{"name": "a", "value": "x"}])

    async def modes(self) -> list[str]:
        """How the app's lock is held now."""
        key = app_lock_key(self.app.app_id)
        return sorted(row["mode"] for row in await self.app.rows.fetch(HELD, key))

    async def until_waiting(self) -> None:
        """Until somebody waits for the app's lock."""
        key = app_lock_key(self.app.app_id)
        async with asyncio.timeout(30):
            while not await self.app.rows.fetch(WAITING, key):
                await asyncio.sleep(0.01)

    async def value(self, name: str = "n") -> Any:
        return (await self.app.profile("user_id", "jbond"))["attributes"].get(name)


@pytest.fixture
async def pair(
    app: App, database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Pair]:
    made = Pair(app, make_writer(database.hold()), make_writer(database.hold()))
    attributes = [{"name": "a", "value": "x"}, *ADD]
    await app.write(
        {"user_id": "jbond", "device_id": "d", "attributes": attributes},
        {"user_id": "moneypenny", "attributes": ADD},
    )
    while await made.modes():
        # The service is about to release it.
        await asyncio.sleep(0.01)
    # From here on it is held until somebody needs it alone.
    for name in ("LINGER_SECONDS", "LONGEST_SHARED_SECONDS"):
        monkeypatch.setattr(locks, name, 60)
    yield made
    await made.first.close()
    await made.second.close()


def between(monkeypatch: pytest.MonkeyPatch, *steps: Any) -> list[int]:
    """Do one step after each load of the first writer; [how many loads there were]."""
    load, loads = storage.load_apps, [0]
    waiting = list(steps)

    async def load_and_step(*arguments: Any) -> Any:
        found = await load(*arguments)
        loads[0] += 1
        if waiting:
            step = waiting.pop(0)
            with monkeypatch.context() as usual:
                usual.setattr(storage, "load_apps", load)
                await step()
        return found

    monkeypatch.setattr(storage, "load_apps", load_and_step)
    return loads


async def test_plain_writes_of_two_writers_hold_the_lock_together(pair: Pair) -> None:
    await pair.meet()
    assert await pair.modes() == ["ShareLock", "ShareLock"]


@pytest.mark.parametrize("has_audience", [False, True])
@pytest.mark.parametrize("is_guarded", [False, True])
async def test_what_another_one_wrote_meanwhile_is_not_overwritten(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, *, is_guarded: bool, has_audience: bool
) -> None:
    if has_audience:
        fields = public.AudienceFields(name="Three", definition=leaf("gte", 3, name="n"))
        async with pair.app.database.transaction() as conn:
            await public.create_audience(conn, pair.app.app_id, fields, "test", clock.now())
    if not is_guarded:
        unguard(monkeypatch.setattr)
    await pair.meet()
    loads = between(monkeypatch, lambda: pair.write(pair.second, user_id="jbond", attributes=ADD))
    await pair.write(pair.first, device_id="d", attributes=ADD)
    assert await pair.value() == (3 if is_guarded else 2)
    assert loads == [2 if is_guarded else 1]
    # Begun again beside the other one: neither had to wait.
    assert await pair.modes() == ["ShareLock", "ShareLock"]
    if has_audience and is_guarded:
        assert await pair.app.count("audience_members") == 1


async def test_who_is_disturbed_again_and_again_is_alone_at_last(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.meet()

    async def disturb() -> None:
        await pair.write(pair.second, user_id="jbond", attributes=ADD)

    async def disturb_last() -> None:
        await disturb()
        await pair.second.locks.unlock()

    loads = between(monkeypatch, disturb, disturb, disturb_last)
    await pair.write(pair.first, device_id="d", attributes=ADD)
    assert await pair.value() == 5
    assert loads == [4]
    assert await pair.modes() == ["ExclusiveLock"]
    # It counts among those for whose sake a writer stops sharing.
    assert pair.first._alone_part > 0  # noqa: SLF001


@pytest.mark.parametrize(
    "item",
    [
        {"user_id": "new"},
        {"user_id": "jbond", "email": "new@shop.example"},
        {"user_id": "jbond", "attributes": [{"name": "never seen", "value": "x"}]},
        {"user_id": "other", "device_id": "d"},
    ],
    ids=["profile", "identifier", "attribute name", "moved identifier"],
)
async def test_whatever_is_more_than_a_value_waits_to_be_alone(
    pair: Pair, item: dict[str, Any]
) -> None:
    await pair.meet()
    writing = asyncio.create_task(pair.write(pair.first, **item))
    await pair.until_waiting()
    assert not writing.done()
    assert await pair.modes() == ["ShareLock"]
    await pair.second.locks.unlock()
    await writing
    for name in item.keys() - {"attributes"}:
        assert (await pair.app.profile(name, item[name]))["user_id"] == item["user_id"]


async def test_who_must_be_alone_often_does_not_share(pair: Pair) -> None:
    await pair.meet()
    await pair.second.locks.unlock()
    for number in range(10):
        await pair.first.locks.unlock()
        await pair.write(pair.first, user_id=f"new {number}")
    await pair.first.locks.unlock()
    await pair.write(pair.first, user_id="jbond", attributes=ADD)
    assert await pair.modes() == ["ExclusiveLock"]


async def test_who_is_the_only_one_again_does_not_share(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.meet()
    monkeypatch.setattr(locks, "LONGEST_SHARED_SECONDS", 0)
    pair.first.locks._sharing_until = 0  # noqa: SLF001
    await pair.write(pair.first, user_id="jbond", attributes=ADD)
    assert await pair.modes() == ["ShareLock", "ShareLock"]
    await pair.second.locks.unlock()
    pair.first.locks._sharing_until = 0  # noqa: SLF001
    await pair.write(pair.first, user_id="jbond", attributes=ADD)
    assert await pair.modes() == ["ExclusiveLock"]


async def test_a_refused_batch_saves_none_of_its_profiles(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.meet()
    seen: list[Any] = []

    async def disturb() -> None:
        await pair.write(pair.second, user_id="jbond", attributes=ADD)

    async def look() -> None:
        seen.append((await pair.app.profile("user_id", "moneypenny"))["attributes"]["n"])

    between(monkeypatch, disturb, look)
    requests = [
        request_of(pair.app, user_id=name, attributes=ADD) for name in ("moneypenny", "jbond")
    ]
    assert await pair.first.write(requests) == [[], []]
    assert seen == [1]
    assert (await pair.app.profile("user_id", "moneypenny"))["attributes"]["n"] == 2
    assert await pair.value() == 3


@pytest.mark.parametrize("is_guarded", [False, True])
async def test_a_plain_write_that_audiences_ask_about_loses_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, *, is_guarded: bool
) -> None:
    definition = {"operator": "or", "conditions": [leaf("eq", "x", name=one) for one in "ab"]}
    fields = public.AudienceFields(name="Either", definition=definition)
    async with pair.app.database.transaction() as conn:
        await public.create_audience(conn, pair.app.app_id, fields, "test", clock.now())
    if not is_guarded:
        unguard_decided(monkeypatch.setattr)
    entries = [{"name": "a", "value": "no"}, {"name": "b", "value": "no"}]
    for writer in (pair.first, pair.second):
        # Each process learns the audiences and both types.
        for _ in range(2):
            await pair.write(writer, user_id="jbond", attributes=entries)
        await writer.locks.unlock()
    await pair.meet()
    read, reads = plain_operations.read_found_profiles, [0]

    async def read_and_step(*arguments: Any) -> Any:
        found = await read(*arguments)
        reads[0] += 1
        if reads[0] == 1:
            attributes = [{"name": "a", "value": "later"}]
            await pair.write(pair.second, user_id="jbond", attributes=attributes)
        return found

    monkeypatch.setattr(plain_operations, "read_found_profiles", read_and_step)
    await pair.write(pair.first, device_id="d", attributes=[{"name": "b", "value": "later"}])
    assert reads == [3 if is_guarded else 2]
    assert await pair.value("a") == "later"
    assert await pair.value("b") == ("later" if is_guarded else "no")
    assert await pair.app.count("audience_members") == 0


async def test_what_is_saved_stays_when_the_rest_must_be_alone(pair: Pair) -> None:
    await pair.meet()
    version = "SELECT xmin::text FROM profiles WHERE app_id = $1 AND user_id = 'jbond'"
    plain = request_of(pair.app, user_id="jbond", attributes=[{"name": "a", "value": "y"}])
    others = [request_of(pair.app, user_id=f"new {number}", attributes=ADD) for number in range(1)]
    seen: list[str] = []
    genuine = plain_operations.save_plain_writes

    async def noted(*arguments: Any) -> set[int]:
        saved = await genuine(*arguments)
        seen.append(await pair.app.rows.fetchval(version, pair.app.app_id))
        return saved

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_operations, "save_plain_writes", noted)
        writing = asyncio.create_task(pair.first.write([plain, *others]))
        while not seen:
            await asyncio.sleep(0.01)
        # The first one waits until the second one does not share any more.
        await pair.second.locks.unlock()
        assert await writing == [[], []]
    assert seen == [await pair.app.rows.fetchval(version, pair.app.app_id)]
    assert await pair.value("a") == "y"
    assert (await pair.app.profile("user_id", "new 0"))["attributes"] == {"n": 1}


@pytest.mark.parametrize("profiles", [0, 1, 5, 200])
async def test_rows_are_updated_in_the_order_of_the_parameters(app: App, profiles: int) -> None:
    # However small the table is when the statement is planned.
    if profiles:
        await app.write(*({"user_id": f"u{number}"} for number in range(profiles)))
    await app.rows.execute("VACUUM ANALYZE profiles")
    conn = await app.database.connect()
    try:
        await conn.execute(f"PREPARE touching AS {touches.TOUCH_UNCHANGED}")
        plan = await conn.fetch("EXPLAIN (FORMAT JSON) EXECUTE touching('[]', now())")
    finally:
        await conn.close()
    text = json.loads(plan[0][0])
    (update,) = _nodes(text[0]["Plan"], "ModifyTable")
    (join,) = update["Plans"]
    nodes = _all_nodes(join)
    kinds = [node["Node Type"] for node in nodes]
    passing_on = "Nested Loop", "Limit", "Subquery Scan"
    assert [kind for kind in kinds if kind not in passing_on] == [
        "Function Scan",
        "Index Scan",
        "Tid Scan",
    ]
    (look_up,) = [node for node in nodes if node["Node Type"] == "Index Scan"]
    assert "profile_id" in look_up["Index Cond"]


def _all_nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """In the order in which they are worked on."""
    return [plan, *(node for part in plan.get("Plans", ()) for node in _all_nodes(part))]


async def test_without_the_migration_nothing_is_answered_but_unavailable(
    pair: Pair, database_url: str
) -> None:
    await pair.meet()
    owner = await asyncpg.connect(database_url)
    rename = "ALTER FUNCTION {}(bigint, bigint) RENAME TO {}"
    name = "refuse_changed_profiles"
    try:
        await owner.execute(rename.format(name, "renamed"))
        with pytest.raises(Unavailable):
            await pair.write(pair.first, user_id="jbond", attributes=ADD)
    finally:
        await owner.execute(rename.format("renamed", name))
        await owner.close()
    await pair.write(pair.first, user_id="jbond", attributes=ADD)
    assert await pair.value() == 2


async def test_who_met_somebody_that_does_not_share_shares_for_a_moment_only(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr(locks, "TRIAL_SECONDS", 60)
    key = app_lock_key(pair.app.app_id)
    other = await asyncpg.connect(database_url)
    try:
        await other.execute("SELECT pg_advisory_lock($1)", key)
        writing = asyncio.create_task(pair.write(pair.first, user_id="jbond", attributes=ADD))
        await pair.until_waiting()
        await other.execute("SELECT pg_advisory_unlock($1)", key)
        await writing
        await pair.first.locks.unlock()
        await pair.write(pair.first, user_id="jbond", attributes=ADD)
        assert pair.first.locks.is_shared
        left = pair.first.locks._sharing_until - asyncio.get_running_loop().time()  # noqa: SLF001
        assert 25 < left <= 60
        await pair.first.locks.unlock()
        # Somebody who has it alone is nobody to share with.
        await other.execute("SELECT pg_advisory_lock($1)", key, timeout=30)
        pair.first.locks._sharing_until = 0  # noqa: SLF001 - the moment is over
        writing = asyncio.create_task(pair.write(pair.first, user_id="jbond", attributes=ADD))
        await pair.until_waiting()
        await other.execute("SELECT pg_advisory_unlock($1)", key)
        await writing
    finally:
        await other.close()
    assert not pair.first.locks.is_shared


def _nodes(plan: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = [plan] if plan["Node Type"] == kind else []
    return found + [one for child in plan.get("Plans", []) for one in _nodes(child, kind)]


async def _storm(url: str, app: App, people: int, seed: int) -> bool:
    """1,500 additions by 64 connections to a few profiles, three a request; true when all count.

    Every request names its profiles in an order of its own.
    """
    dice = random.Random(seed)  # noqa: S311 - reproducible, not secret
    waiting = [dice.sample(range(people), 3) for _ in range(500)]
    add = {"website_id": app.app_id, "attributes": ADD}
    statuses = []
    await app.write(*({"user_id": f"u{number}", "attributes": ADD} for number in range(people)))

    async def client(session: aiohttp.ClientSession) -> None:
        while waiting:
            body = json.dumps([{**add, "user_id": f"u{number}"} for number in waiting.pop()])
            async with session.post(f"{url}/data/tracker/attributes/", data=body) as answer:
                statuses.append(answer.status)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(client(session) for _ in range(64)))
    stored = "SELECT sum((attributes ->> 'n')::int) FROM profiles WHERE app_id = $1"
    total = await app.rows.fetchval(stored, app.app_id)
    await app.rows.execute("DELETE FROM profiles")
    assert set(statuses) == {204}
    return bool(total == 1500 + people)


async def turns(url: str) -> dict[str, float]:
    """How many batches of each kind the service has counted."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    found = [line for line in lines if line.startswith("audience_write_turns_total")]
    return {line.split('"')[1]: float(line.split()[-1]) for line in found}


async def test_without_the_guard_a_storm_loses_additions(app: App, unguarded: str) -> None:
    for seed in range(MAX_ROUNDS):
        if not await _storm(unguarded, app, 20, seed):
            return
    pytest.fail(f"{MAX_ROUNDS} rounds without the guard did no damage: the race proves nothing")


async def test_a_storm_of_sharing_workers_loses_nothing(
    make_app: MakeApp, guarded: str, rows: asyncpg.Connection
) -> None:
    count = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    deadlocks = await rows.fetchval(count)
    app = await make_app()
    before = await turns(guarded)
    for seed, people in enumerate((20, 5, 200, 20, 5, 200)):
        assert await _storm(guarded, app, people, seed), people
    after = await turns(guarded)
    assert after["shared"] > before.get("shared", 0)
    assert after["repeated"] > before.get("repeated", 0)
    assert await rows.fetchval(count) == deadlocks
