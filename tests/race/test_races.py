"""Concurrent writes over HTTP against two worker processes: first without the guard, then with it.

Without the guard each race is repeated until it does damage; if it never did, it would prove
nothing about the guard.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from audience.profiles.identifiers import Identifier
from tests.conftest import App, MakeApp

UNGUARDED = str(Path(__file__).with_name("unguarded.py"))
MAX_ROUNDS = 40


async def _storm(url: str, app: App, items: list[dict[str, Any]], connections: int) -> list[int]:
    """Send each item as a request of its own, `connections` at a time; the statuses."""
    waiting = list(reversed(items))
    statuses: list[int] = []

    async def client(session: aiohttp.ClientSession) -> None:
        while waiting:
            body = json.dumps([{"website_id": app.app_id, "attributes": [], **waiting.pop()}])
            async with session.post(f"{url}/data/tracker/attributes/", data=body) as answer:
                statuses.append(answer.status)
                await answer.read()

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(client(session) for _ in range(connections)))
    return statuses


async def _until_damage(race: Callable[[], Awaitable[bool]]) -> None:
    """Repeat a race until it goes wrong."""
    for _ in range(MAX_ROUNDS):
        if not await race():
            return
    pytest.fail(f"{MAX_ROUNDS} rounds without the guard did no damage: the race proves nothing")


async def _first_updates(url: str, app: App) -> bool:
    """200 first updates with one new identifier; true when they made one profile."""
    statuses = await _storm(url, app, [{"user_id": "new"}] * 200, 200)
    is_whole = set(statuses) == {204} and await app.count("profiles") == 1
    await app.rows.execute("DELETE FROM profiles")
    return is_whole


async def test_without_the_guard_first_updates_make_several_profiles(
    app: App, unguarded: str
) -> None:
    await _until_damage(lambda: _first_updates(unguarded, app))


async def test_first_updates_make_one_profile(app: App, guarded: str) -> None:
    for _ in range(5):
        assert await _first_updates(guarded, app)


async def _additions(url: str, app: App) -> bool:
    """500 times +1 through three identifiers of one profile; true when all of them count."""
    ways = [{"user_id": "m"}, {"device_id": "d"}, {"analytics_visitor_id": "0" * 15 + "1"}]
    await app.write({name: value for way in ways for name, value in way.items()})
    add = {"attributes": [{"name": "n", "action": "add"}]}
    statuses = await _storm(url, app, [{**ways[n % 3], **add} for n in range(500)], 100)
    total = (await app.profile("user_id", "m"))["attributes"].get("n")
    await app.rows.execute("DELETE FROM profiles")
    return set(statuses) == {204} and total == 500


async def test_without_the_guard_additions_are_lost(app: App, unguarded: str) -> None:
    await _until_damage(lambda: _additions(unguarded, app))


async def test_no_addition_is_lost(app: App, guarded: str) -> None:
    for _ in range(3):
        assert await _additions(guarded, app)


def _persons(seed: int) -> list[dict[str, Any]]:
    """Triples over 300 identifiers of 40 persons: every order ends in the same graph."""
    dice = random.Random(seed)  # noqa: S311 - reproducible, not secret
    persons: list[list[tuple[str, str]]] = [[("user_id", f"u{n}")] for n in range(30)]
    persons += [[] for _ in range(10)]
    for number in range(270):
        kind = ("email", "device_id", "analytics_visitor_id")[number % 3]
        value = {"email": f"e{number}@example.com", "device_id": f"d{number}"}.get(
            kind, f"{number + 1:016x}"
        )
        person = dice.choice(persons)
        if kind == "email" and any(name == "email" for name, _ in person):
            kind, value = "device_id", f"extra{number}"
        person.append((kind, value))
    items = []
    for number in range(900):
        person = dice.choice([held for held in persons if len(held) > 2])
        triple = dict(dice.sample(person, 3))
        items.append({**triple, "attributes": [{"name": f"a{number % 50}", "value": "x"}]})
    return items


async def _merge_storm(url: str, app: App, sequential: App) -> bool:
    """900 triples at once; true when the graph is that of sending them one by one."""
    items = _persons(seed=7)
    statuses = await _storm(url, app, items, 64)
    for item in items:
        await sequential.write(item)
    is_equal = await app.identifier_graph() == await sequential.identifier_graph()
    is_equal = is_equal and await app.count("profiles") == await sequential.count("profiles")
    await app.rows.execute("DELETE FROM profiles")
    return is_equal and set(statuses) == {204}


async def test_without_the_guard_a_merge_storm_does_damage(
    make_app: MakeApp, unguarded: str
) -> None:
    app, sequential = await make_app(), await make_app()
    await _until_damage(lambda: _merge_storm(unguarded, app, sequential))


async def test_merge_storm_equals_a_sequential_run(
    make_app: MakeApp, guarded: str, rows: asyncpg.Connection
) -> None:
    deadlocks = await _deadlocks(rows)
    app, sequential = await make_app(), await make_app()
    for _ in range(2):
        assert await _merge_storm(guarded, app, sequential)
    assert await _deadlocks(rows) == deadlocks


async def test_storm_of_conflicting_triples_leaves_a_sound_graph(
    make_app: MakeApp, guarded: str, rows: asyncpg.Connection
) -> None:
    deadlocks = await _deadlocks(rows)
    apps = [await make_app(), await make_app()]
    dice = random.Random(11)  # noqa: S311 - reproducible, not secret
    names = ("user_id", "email", "device_id", "analytics_visitor_id")
    items = []
    for _ in range(1200):
        chosen = dice.sample(range(75), 4)
        values = (
            f"u{chosen[0]}",
            f"e{chosen[1]}@example.com",
            f"d{chosen[2]}",
            f"{chosen[3] + 1:016x}",
        )
        pairs = dice.sample(list(zip(names, values, strict=True)), 3)
        items.append({**dict(pairs), "website_id": dice.choice(apps).app_id})
    statuses = await _storm(guarded, apps[0], items, 64)
    assert set(statuses) == {204}
    for app in apps:
        await _assert_sound(app)
    assert await _deadlocks(rows) == deadlocks


async def _assert_sound(app: App) -> None:
    """Documents and identifier rows say the same, and nobody has two user ids."""
    held: dict[Identifier, str] = {}
    for row in await app.rows.fetch("SELECT * FROM profiles WHERE app_id = $1", app.app_id):
        mine = [("user_id", row["user_id"]), ("email", row["email"])]
        mine += [("device_id", value) for value in row["device_ids"]]
        mine += [("analytics_visitor_id", value) for value in row["analytics_visitor_ids"]]
        for name, value in mine:
            if value is not None:
                assert Identifier(name, value) not in held
                held[Identifier(name, value)] = str(row["profile_id"])
    stored = await app.rows.fetch(
        "SELECT identifier_name, identifier_value, profile_id::text FROM profile_identifiers "
        "WHERE app_id = $1",
        app.app_id,
    )
    assert {Identifier(row[0], row[1]): row[2] for row in stored} == held


async def _deadlocks(rows: asyncpg.Connection) -> int:
    found: int = await rows.fetchval(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    return found
