"""Working out members after a definition changed: part by part, restartable, beside writes."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from audience.audiences.catalogue import operations
from audience.audiences.definition import parse_definition
from audience.audiences.evaluate import Context, compile_definition
from audience.audiences.patterns import compile_pattern
from audience.audiences.upkeep import jobs
from audience.profiles.storage import PROFILE_DOCUMENT, profile_of
from tests.api.audience_api import Audiences, group, leaf
from tests.api.test_population_sql import store
from tests.conftest import App, Authorized
from tests.unit.rule_cases import profile_of as made_profile

PLANS = ("gold", "silver", "bronze")
#: More than are filled in the request.
MANY = 5_000
GOLD = leaf("eq", "gold")
RECENT = leaf("within_last", {"amount": 3, "unit": "days"}, name="seen")


@pytest.fixture
def audiences(app: App, authorized: Authorized) -> Audiences:
    return Audiences(app, authorized)


@pytest.fixture
async def crowd(app: App, monkeypatch: pytest.MonkeyPatch) -> int:
    """Many profiles; a third of each plan, some seen lately. Parts stay small."""
    monkeypatch.setattr("audience.audiences.upkeep.jobs._MOST_PROFILES", 1_000)
    monkeypatch.setattr("audience.audiences.upkeep.jobs._pace.size", 500)
    now = datetime.now(UTC).isoformat()
    await store(
        app,
        (
            made_profile(
                f"01990000-0000-7000-8000-{number:012x}",
                {
                    "user_id": f"u{number}",
                    "attributes": {
                        "plan": PLANS[number % 3],
                        "seen": now if number % 2 else "2020-01-01",
                    },
                    "updated_at": now,
                },
            )
            for number in range(MANY)
        ),
    )
    return MANY


async def assert_as_evaluated(app: App, audience_id: str, definition: Any) -> int:
    """The stored members are those that evaluating each profile gives; how many they are."""
    compiled = compile_definition(
        parse_definition(definition, compile_pattern), compile_pattern, UTC
    )
    context = Context(datetime.now(UTC))
    rows = await app.rows.fetch(
        f"SELECT {PROFILE_DOCUMENT}::text FROM profiles p WHERE app_id = $1", app.app_id
    )
    expected = {
        profile.profile_id
        for profile in [profile_of(document) for (document,) in rows]
        if compiled.evaluate(profile, context)[0]
    }
    stored = await app.rows.fetch(
        "SELECT profile_id::text FROM audience_members WHERE app_id = $1 AND audience_id = $2",
        app.app_id,
        audience_id,
    )
    assert {row[0] for row in stored} == expected
    return len(expected)


async def _step(audiences: Audiences) -> bool:
    server = audiences.app.service.server
    return await jobs.fill_audiences(server.app)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param(GOLD, id="decided by SQL"),
        pytest.param(leaf("matches", "^(gold|silver)$"), id="narrowed by SQL"),
        pytest.param(group("and", GOLD, RECENT), id="depending on time"),
    ],
)
async def test_a_large_app_is_filled_in_parts(
    app: App, audiences: Audiences, crowd: int, definition: Any
) -> None:
    audience_id = await audiences.create(definition)
    found = await audiences.get(audience_id)
    assert found["is_filling"]
    assert 0 < await app.count("audience_members") < crowd / 3
    progress = []
    while await _step(audiences):
        found = await audiences.get(audience_id)
        progress.append(found["filling_progress"])
    assert progress == sorted(progress)
    assert len(progress) > 2
    assert progress[-1] == 100
    assert not found["is_filling"]
    assert await assert_as_evaluated(app, audience_id, definition) > crowd / 10


async def test_a_changed_definition_takes_everybody_out_who_is_none_any_more(
    app: App, audiences: Audiences, crowd: int
) -> None:
    audience_id = await audiences.create(GOLD)
    await audiences.run_jobs()
    assert crowd / 4 < await audiences.members(audience_id) < crowd / 2
    changed = group("or", leaf("eq", "silver"), group("and", GOLD, leaf("exists", name="new")))
    await audiences.replace(audience_id, changed)
    for number in (3, MANY - 2):
        item = {"user_id": f"u{number}", "attributes": [{"name": "new", "value": "x"}]}
        await app.write(item)
    assert (await audiences.get(audience_id))["is_filling"]
    await audiences.run_jobs()
    await assert_as_evaluated(app, audience_id, changed)


async def test_a_fill_goes_on_where_it_stopped(
    app: App, audiences: Audiences, crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    audience_id = await audiences.create(RECENT)
    assert await _step(audiences)
    before = (await audiences.get(audience_id))["filling_progress"]

    async def fail(*_arguments: Any) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as broken:
        broken.setattr(jobs, "fill_next_part", fail)
        with pytest.raises(ConnectionResetError):
            await _step(audiences)
    assert (await audiences.get(audience_id))["filling_progress"] == before > 0
    await audiences.run_jobs()
    assert await assert_as_evaluated(app, audience_id, RECENT) == crowd / 2


async def test_a_change_during_a_fill_begins_anew(
    app: App, audiences: Audiences, crowd: int
) -> None:
    audience_id = await audiences.create(GOLD)
    assert await _step(audiences)
    changed = leaf("neq", "gold")
    assert (await audiences.replace(audience_id, changed))["filling_progress"] < 50
    await audiences.run_jobs()
    assert await assert_as_evaluated(app, audience_id, changed) > crowd / 2


async def test_who_asks_about_a_changed_audience_is_filled_after_it(
    app: App, audiences: Audiences, crowd: int
) -> None:
    gold = await audiences.create(GOLD)
    others = await audiences.create(
        leaf("eq", value=False, field_type="audiences", name=gold), name="others"
    )
    late = await audiences.create(
        group("and", RECENT, leaf("exists", field_type="audiences", name=others)), name="late"
    )
    await audiences.run_jobs()
    await assert_as_evaluated(app, others, group("not", GOLD))
    await assert_as_evaluated(app, late, group("and", RECENT, group("not", GOLD)))
    silver = leaf("eq", "silver")
    await audiences.replace(gold, silver)
    assert [(await audiences.get(one))["is_filling"] for one in (gold, others, late)] == [True] * 3
    assert [(await audiences.get(one))["version"] for one in (gold, others, late)] == [2, 1, 1]
    new = await audiences.create(leaf("exists", field_type="audiences", name=gold), name="new")
    await audiences.run_jobs()
    await assert_as_evaluated(app, new, silver)
    await assert_as_evaluated(app, gold, silver)
    await assert_as_evaluated(app, others, group("not", silver))
    await assert_as_evaluated(app, late, group("and", RECENT, group("not", silver)))
    assert await audiences.members(others) == crowd - await audiences.members(gold)


async def test_who_asks_about_an_audience_that_is_just_being_changed_waits_for_it(
    app: App, audiences: Audiences, crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_PROFILES_FILLED_AT_ONCE", 100)
    gold = await audiences.create(GOLD)
    same = await audiences.create(leaf("exists", field_type="audiences", name=gold), name="same")
    await audiences.run_jobs()
    await audiences.replace(same, leaf("eq", value=True, field_type="audiences", name=gold))
    silver, lock_apps = leaf("eq", "silver"), jobs.lock_apps

    async def lock_late(*arguments: Any) -> None:
        monkeypatch.setattr(jobs, "lock_apps", lock_apps)
        await audiences.replace(gold, silver)
        await lock_apps(*arguments)

    monkeypatch.setattr(jobs, "lock_apps", lock_late)
    await audiences.run_jobs()
    assert await assert_as_evaluated(app, gold, silver) > crowd / 4
    await assert_as_evaluated(app, same, silver)


async def test_a_definition_that_is_not_understood_holds_nobody_up(
    app: App, audiences: Audiences, crowd: int
) -> None:
    broken, sound = await audiences.create(GOLD), await audiences.create(GOLD)
    await app.rows.execute(
        'UPDATE audiences SET definition = \'{"from": "the future"}\' WHERE audience_id = $1',
        broken,
    )
    await audiences.run_jobs()
    assert await assert_as_evaluated(app, sound, GOLD) > crowd / 4
    assert not (await audiences.get(broken))["is_filling"]


async def test_a_fill_hurries_only_while_nobody_waits(
    app: App, audiences: Audiences, crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await audiences.create(GOLD)
    assert await app.count("profiles") == crowd
    rests: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        rests.append(seconds)
        await sleep(0)

    monkeypatch.setattr(jobs.asyncio, "sleep", note)
    assert await _step(audiences)
    assert set(rests) == {0}
    fill = jobs.fill_next_part

    async def fill_while_a_writer_waits(*arguments: Any) -> bool:
        write = asyncio.create_task(app.write({"user_id": "u1"}))
        while not await app.rows.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await sleep(0.01)
        is_finished = await fill(*arguments)
        writes.append(write)
        return is_finished

    writes: list[asyncio.Task[tuple[int, str]]] = []
    monkeypatch.setattr(jobs, "fill_next_part", fill_while_a_writer_waits)
    assert await _step(audiences)
    assert await writes[0] == (204, "")
    assert max(rests) > 0


async def test_a_definition_may_be_deleted_while_it_is_filled(
    app: App, audiences: Audiences, crowd: int
) -> None:
    audience_id = await audiences.create(leaf("exists"))
    assert await _step(audiences)
    assert 0 < await app.count("audience_members") < crowd
    await audiences.delete(audience_id)
    await audiences.run_jobs()
    assert await app.count("audience_members") == 0
