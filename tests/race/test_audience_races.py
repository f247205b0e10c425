"""Definitions that change while profiles are written, by two workers: without and with the guard.

As in `test_races.py`: without the guard the race is repeated until it does damage.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.api.audience_api import PATH, document, group, leaf
from tests.api.test_filling import assert_as_evaluated
from tests.api.test_population_sql import store
from tests.conftest import App, MakeToken
from tests.service_process import ServiceProcess
from tests.unit.rule_cases import profile_of

UNGUARDED = str(Path(__file__).with_name("unguarded_audiences.py"))
MAX_ROUNDS = 40
PLANS = ("gold", "silver", "bronze")
#: A few are filled in the request that changes the definition, many in the background.
FEW, MANY = 1_000, 4_000
DEFINITIONS = [
    leaf("eq", "gold"),
    leaf("eq", "silver"),
    group("not", group("or", leaf("eq", "silver"), leaf("matches", "^b"))),
    group("or", leaf("eq", "bronze"), leaf("within_last", {"amount": 1, "unit": "days"})),
    leaf("neq", "gold"),
]


@pytest.fixture
def unguarded(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the service whose definitions change without the lock, two workers.

    Ends with its test: its jobs would work for the guarded service as well.
    """
    folder = tmp_path_factory.mktemp("unguarded")
    service = ServiceProcess(
        folder, "--workers", "2", program=(UNGUARDED,), DATABASE_URL=database_url
    )
    with service:
        yield service.url


class Refused(Exception):
    """503: the database ended one of two transactions that waited for each other."""


class Race:
    """One app, a service and a client of it; every request may reach the other worker."""

    def __init__(self, url: str, app: App, token: str) -> None:
        self.url, self.app = url, app
        self._headers = {"Authorization": f"Bearer {token}"}
        self._query = {"website_id": app.app_id}

    def session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            self.url, connector=aiohttp.TCPConnector(limit=0, force_close=True)
        )

    async def save(
        self, session: aiohttp.ClientSession, definition: Any, audience_id: str | None = None
    ) -> str:
        method, path = ("PUT", f"{audience_id}/") if audience_id else ("POST", "")
        async with session.request(
            method,
            f"{PATH}/{path}",
            params=self._query,
            headers=self._headers,
            json=document(definition),
        ) as answer:
            found = await answer.json()
            if answer.status == 503:
                raise Refused(found)
            assert answer.status in (200, 201), found
            saved: str = found["data"]["id"]
            return saved

    async def is_filling(self, session: aiohttp.ClientSession, audience_id: str) -> bool:
        async with session.get(
            f"{PATH}/{audience_id}/", params=self._query, headers=self._headers
        ) as answer:
            filling: bool = (await answer.json())["data"]["attributes"]["is_filling"]
            return filling

    async def write(self, session: aiohttp.ClientSession, user_id: str, plan: str) -> None:
        entries = [{"name": "plan", "value": plan}]
        item = {"website_id": self.app.app_id, "user_id": user_id, "attributes": entries}
        async with session.post("/data/tracker/attributes/", data=json.dumps([item])) as answer:
            if answer.status == 503:
                raise Refused(await answer.text())
            assert answer.status == 204

    @asynccontextmanager
    async def storm(
        self, session: aiohttp.ClientSession, size: int, seed: int, edits: dict[int, asyncio.Event]
    ) -> AsyncIterator[None]:
        """Write another plan to every user once, 64 at a time; all are written at the end.

        edits: {number of writes left: set when there are so many left}. A failure of any write
        ends the block and the others, in an ExceptionGroup.
        """
        dice = random.Random(seed)  # noqa: S311 - reproducible, not secret
        waiting = [(f"u{number}", dice.choice(PLANS)) for number in range(size)]
        dice.shuffle(waiting)

        async def client() -> None:
            while waiting:
                if len(waiting) in edits:
                    edits[len(waiting)].set()
                await self.write(session, *waiting.pop())

        async with asyncio.TaskGroup() as group:
            for _ in range(64):
                group.create_task(client())
            yield


async def _people(app: App, size: int) -> None:
    await store(
        app,
        (
            profile_of(
                f"01990000-0000-7000-8000-{number:012x}",
                {"user_id": f"u{number}", "attributes": {"plan": PLANS[number % 3]}},
            )
            for number in range(size)
        ),
    )
    await app.rows.execute(
        "INSERT INTO profile_identifiers SELECT app_id, 'user_id', user_id, profile_id, now() "
        "FROM profiles WHERE app_id = $1",
        app.app_id,
    )


async def _edited_in_a_storm(race: Race, size: int, seed: int) -> tuple[str, Any]:
    """Change a definition twice while everybody is written; (audience, last definition)."""
    definition = DEFINITIONS[seed % len(DEFINITIONS)]
    edits = {left: asyncio.Event() for left in (size * 3 // 4, size // 2)}
    async with race.session() as session:
        audience_id = await race.save(session, definition)
        async with race.storm(session, size, seed, edits):
            for number, moment in enumerate(edits.values(), 1):
                await moment.wait()
                definition = DEFINITIONS[(seed + number) % len(DEFINITIONS)]
                await race.save(session, definition, audience_id)
        while await race.is_filling(session, audience_id):
            await asyncio.sleep(0.1)
    return audience_id, definition


async def test_without_the_guard_an_edit_in_a_storm_does_damage(
    app: App, unguarded: str, make_token: MakeToken
) -> None:
    race = Race(unguarded, app, await make_token("admin"))
    await _people(app, FEW)
    for seed in range(MAX_ROUNDS):
        try:
            audience_id, definition = await _edited_in_a_storm(race, FEW, seed)
        except* Refused:
            # Unguarded, a fill and a write can also wait for each other: that shows nothing.
            audience_id = ""
        if not audience_id:
            continue
        try:
            await assert_as_evaluated(app, audience_id, definition)
        except AssertionError:
            return
    pytest.fail(f"{MAX_ROUNDS} rounds without the guard did no damage: the race proves nothing")


@pytest.mark.parametrize("size", [FEW, MANY])
async def test_an_edit_in_a_storm_ends_as_a_full_evaluation(
    app: App, guarded: str, make_token: MakeToken, size: int
) -> None:
    race = Race(guarded, app, await make_token("admin"))
    await _people(app, size)
    for seed in range(3):
        audience_id, definition = await _edited_in_a_storm(race, size, seed)
        await assert_as_evaluated(app, audience_id, definition)


async def test_a_check_through_any_worker_sees_the_write_before_it(
    app: App, guarded: str, make_token: MakeToken
) -> None:
    race = Race(guarded, app, await make_token("admin"))
    visitor = "0123456789abcdef"
    await app.write({"user_id": "m", "analytics_visitor_id": visitor})
    async with race.session() as session:
        for number in range(40):
            plan = PLANS[number % 3]
            # Made through one worker, known to the writer of the other.
            audience_id = await race.save(session, leaf("eq", plan))
            for written in (plan, "other", plan):
                await race.write(session, "m", written)
                async with session.get(
                    f"/data/public/api/profiles/{visitor}/audiences/check/",
                    params={"website_id": app.app_id, "audience_id": audience_id},
                ) as answer:
                    assert await answer.json() == {"result": written == plan}
