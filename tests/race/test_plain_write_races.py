"""Plain writes of workers that share an app's lock: none is lost, and none waits in a circle."""

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from audience import public
from audience.profile_changes.plain_writes import storage
from audience.profile_changes.plain_writes.rows import FoundProfile, PlainWrite
from audience.server import clock
from tests.api.audience_api import leaf
from tests.conftest import App
from tests.race.test_shared_turns import turns
from tests.service_process import ServiceProcess

UNGUARDED = str(Path(__file__).with_name("unguarded_plain.py"))
EAGER = str(Path(__file__).with_name("eager_plain.py"))
MAX_ROUNDS = 40
CLIENTS, WRITES = 24, 40


@pytest.fixture(scope="module")
def eager(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the service that tries the plain way with every batch, two workers."""
    folder = tmp_path_factory.mktemp("eager")
    service = ServiceProcess(folder, "--workers", "2", program=(EAGER,), DATABASE_URL=database_url)
    with service:
        yield service.url


class WrongMembersError(Exception):
    """An audience has other members than its definition says."""


async def _make_persons(app: App, people: int) -> list[dict[str, str]]:
    """Profiles that have every attribute; the identifiers of each."""
    entries = [{"name": f"a{number}", "value": "start"} for number in range(CLIENTS)]
    persons = [
        {
            "user_id": f"u{number}",
            "device_id": f"d{number}",
            "analytics_visitor_id": f"{number + 1:016x}",
        }
        for number in range(people)
    ]
    await app.write(*({**person, "attributes": entries} for person in persons))
    return persons


async def _require_members(app: App, found: dict[tuple[str, str], str]) -> None:
    """Who is in the audience, where there is one, is who should be."""
    if await app.count("audiences"):
        sevens = {
            user_id
            for (user_id, name), value in found.items()
            if "7" in value and int(name[1:]) % 2 == 0
        }
        members = await app.rows.fetch(
            "SELECT p.user_id FROM audience_members m JOIN profiles p USING (app_id, profile_id)"
            " WHERE m.app_id = $1",
            app.app_id,
        )
        if {row[0] for row in members} != sevens:
            raise WrongMembersError


async def _storm(url: str, app: App, people: int, seed: int) -> bool:
    """Clients that each set an attribute of their own, by any identifier; true when none is lost.

    Each client waits for its answer before it sets the next value, so its last one must be stored.
    """
    dice = random.Random(seed)  # noqa: S311 - reproducible, not secret
    persons = await _make_persons(app, people)
    last: dict[tuple[str, str], str] = {}
    statuses = set()

    async def client(session: aiohttp.ClientSession, number: int) -> None:
        name = f"a{number}"
        for count in range(WRITES):
            person = dice.choice(persons)
            named = dice.sample([*person], dice.choice([1, 2]))
            value = f"{number} {count}"
            item = {key: person[key] for key in named}
            item |= {"website_id": app.app_id, "attributes": [{"name": name, "value": value}]}
            target = f"{url}/data/tracker/attributes/"
            async with session.post(target, data=json.dumps([item])) as answer:
                statuses.add(answer.status)
            last[person["user_id"], name] = value

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(client(session, number) for number in range(CLIENTS)))
    stored = await app.rows.fetch(
        "SELECT user_id, key, value FROM profiles, jsonb_each_text(attributes) WHERE app_id = $1",
        app.app_id,
    )
    found = {(user_id, name): value for user_id, name, value in stored}
    try:
        await _require_members(app, found)
    finally:
        await app.rows.execute("DELETE FROM profiles")
    assert statuses == {204}
    return {key: found[key] for key in last} == last


async def _watch(app: App) -> None:
    """Have an audience ask for every other attribute of the storm."""
    conditions = [leaf("contains", "7", name=f"a{number}") for number in range(0, CLIENTS, 2)]
    definition = {"operator": "or", "conditions": conditions}
    fields = public.AudienceFields(name="Seven", definition=definition)
    async with app.database.transaction() as conn:
        await public.create_audience(conn, app.app_id, fields, "test", clock.now())


@pytest.mark.parametrize("is_watched", [False, True])
async def test_without_the_guard_a_storm_loses_values(
    app: App, unguarded: str, *, is_watched: bool
) -> None:
    if is_watched:
        await _watch(app)
    for seed in range(MAX_ROUNDS):
        try:
            if not await _storm(unguarded, app, 1, seed):
                return
        except WrongMembersError:
            return
    pytest.fail(f"{MAX_ROUNDS} rounds without the guard did no damage: the race proves nothing")


@pytest.mark.parametrize("people", [1, 4, 100])
@pytest.mark.parametrize("is_watched", [False, True])
async def test_a_storm_of_sharing_workers_loses_nothing(
    app: App, guarded: str, people: int, *, is_watched: bool
) -> None:
    if is_watched:
        await _watch(app)
    await _lose_nothing(guarded, app, people)


@pytest.mark.parametrize("is_watched", [False, True])
async def test_a_storm_that_always_tries_the_plain_way_loses_nothing(
    app: App, eager: str, *, is_watched: bool
) -> None:
    if is_watched:
        await _watch(app)
    await _lose_nothing(eager, app, 1)


async def _lose_nothing(url: str, app: App, people: int) -> None:
    """Three storms in which the workers share the lock, nothing is lost, and nobody deadlocks."""
    count = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    deadlocks = await app.rows.fetchval(count)
    shared = (await turns(url)).get("shared", 0)
    for seed in range(3):
        assert await _storm(url, app, people, seed)
    assert (await turns(url))["shared"] > shared
    assert await app.rows.fetchval(count) == deadlocks


async def _made(app: App, profiles: int) -> None:
    """So many profiles, known to the planner."""
    if profiles:
        await app.write(*({"user_id": f"u{number}"} for number in range(profiles)))
    await app.rows.execute("VACUUM ANALYZE profiles, profile_identifiers, apps, erased_identifiers")


async def _update_of_profiles(app: App, statement: str, parameters: str) -> dict[str, Any]:
    """The part of the statement's plan that updates profiles."""
    updates = _nodes(await _plan(app, statement, parameters), "ModifyTable")
    (update,) = [node for node in updates if node["Relation Name"] == "profiles"]
    return update


async def _plan(app: App, statement: str, parameters: str) -> dict[str, Any]:
    conn = await app.database.connect()
    try:
        await conn.execute(f"PREPARE plain AS {statement}")
        plan = await conn.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE plain({parameters})")
    finally:
        await conn.close()
    found: dict[str, Any] = json.loads(plan)[0]["Plan"]
    return found


def _require_look_ups(plan: dict[str, Any]) -> None:
    """Each row is looked up by its key in its app."""
    kinds = {node["Node Type"] for node in _all_nodes(plan)}
    assert not kinds & {"Seq Scan", "Hash Join", "Merge Join", "Materialize"}
    for node in _all_nodes(plan):
        if "Index Cond" in node:
            assert "app_id" in node["Index Cond"]


#: However small the tables are when the statement is planned.
@pytest.mark.parametrize("profiles", [0, 1, 5, 200])
@pytest.mark.parametrize("has_erased", [False, True])
async def test_rows_are_updated_in_the_order_of_profiles(
    app: App, profiles: int, *, has_erased: bool
) -> None:
    await _made(app, profiles)
    statement = storage.saving_statement(has_erased=has_erased)
    update = await _update_of_profiles(app, statement, "'[]', now()")
    (join,) = update["Plans"]
    assert join["Node Type"] == "Nested Loop"
    # Sorted profiles outside, each found at its place inside.
    outer, inner = join["Plans"]
    assert inner["Node Type"] == "Tid Scan"
    assert _all_nodes(outer)[0]["Node Type"] in ("Subquery Scan", "Sort")
    assert "Sort" in [node["Node Type"] for node in _all_nodes(outer)[:2]]
    _require_look_ups(outer)


@pytest.mark.parametrize("profiles", [0, 1, 5, 200])
@pytest.mark.parametrize("has_erased", [False, True])
async def test_what_is_read_is_looked_up(app: App, profiles: int, *, has_erased: bool) -> None:
    await _made(app, profiles)
    _require_look_ups(await _plan(app, storage.reading_statement(has_erased=has_erased), "'[]'"))


@pytest.mark.parametrize("profiles", [0, 1, 5, 200])
@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (storage.SAVE_DECIDED, "'[]', now()"),
        (storage.SAVE_DECIDED_AND_MEMBERSHIPS, "'[]', now(), '[]', '[]'"),
    ],
)
async def test_decided_writes_go_to_the_rows_that_were_read(
    app: App, profiles: int, statement: str, parameters: str
) -> None:
    await _made(app, profiles)
    update = await _update_of_profiles(app, statement, parameters)
    (join,) = update["Plans"]
    assert join["Node Type"] == "Nested Loop"
    # In the order of the document.
    outer, inner = join["Plans"]
    assert (outer["Node Type"], inner["Node Type"]) == ("Function Scan", "Tid Scan")


async def test_a_decided_write_goes_to_the_row_that_was_read_and_to_no_other(app: App) -> None:
    gold = {"plan": "gold"}
    entries = [{"name": "plan", "value": "gold"}]
    await app.write(*({"user_id": name, "attributes": entries} for name in ("u", "other")))
    read = "SELECT profile_id::text, ctid::text, xmin::text FROM profiles ORDER BY user_id DESC"
    (profile_id, place, version), (_, other_place, other_version) = await app.rows.fetch(read)
    # As after an import, or when the table was restored.
    assert version == other_version
    newer = await app.rows.fetchval("SELECT pg_current_xact_id()::xid::text")
    write = PlainWrite(0, "user_id", "u", "u", None, None, None, None, {"plan": "silver"})

    async def save(row: tuple[str, str]) -> None:
        decided = {app.app_id: [(write, FoundProfile(profile_id, row, gold, None))]}
        await storage.save_decided_writes(app.rows, decided, {}, clock.now())

    # VACUUM and an INSERT put another row in the place, VACUUM FULL one of the same transaction.
    for row in ((place, newer), (other_place, version)):
        with pytest.raises(asyncpg.SerializationError):
            await save(row)
        for name in ("u", "other"):
            assert (await app.profile("user_id", name))["attributes"] == gold
    await save((place, version))
    assert (await app.profile("user_id", "u"))["attributes"] == {"plan": "silver"}
    with pytest.raises(asyncpg.SerializationError):
        await save((place, version))


def _all_nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", ()) for node in _all_nodes(part))]


def _nodes(plan: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [node for node in _all_nodes(plan) if node["Node Type"] == kind]
