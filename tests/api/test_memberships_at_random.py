"""Whatever happens in whatever order, stored memberships are those of a full evaluation."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from audience.audiences.catalogue.audience import AudienceFields
from audience.audiences.catalogue.operations import update_audience
from audience.audiences.definition import parse_definition
from audience.audiences.evaluate import Context, compile_definition
from audience.audiences.memberships.audience_set import dependency_order
from audience.audiences.patterns import compile_pattern
from audience.audiences.references import audience_ids
from audience.profile_changes.curation.undo import undo_merge_by_id
from audience.profiles.storage import PROFILE_DOCUMENT, profile_of
from tests.api.audience_api import Audiences, Clock, stop_clock
from tests.conftest import App, MakeClient
from tests.unit.rule_strategies import trees

ZONE = "Europe/Berlin"
START = datetime(2026, 3, 28, 22, tzinfo=UTC)
STEPS = 40


def _definitions(size: int) -> list[dict[str, Any]]:
    """The same random trees on every run."""
    found: list[dict[str, Any]] = []

    @settings(
        max_examples=size,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(trees())
    def collect(tree: dict[str, Any]) -> None:
        found.append(tree)

    collect()
    return found


DEFINITIONS = _definitions(200)


class World:
    """One app whose audiences ask about anything, and dice that decide what happens next."""

    def __init__(self, audiences: Audiences, clock: Clock, seed: int) -> None:
        self.audiences, self.app, self.clock = audiences, audiences.app, clock
        self.dice = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self.ids: list[str] = []

    async def settle(self) -> None:
        for _ in range(8):
            self.ids.append(await self.audiences.create(self.definition()))

    def definition(self, before: int | None = None) -> Any:
        """A random tree; asks only about audiences made earlier."""
        known = self.ids[:before]

        def with_known(node: dict[str, Any]) -> dict[str, Any]:
            if "conditions" in node:
                return node | {"conditions": [with_known(child) for child in node["conditions"]]}
            return (
                node | {"name": self.dice.choice(known)} if "audiences" in node.values() else node
            )

        while True:
            tree = self.dice.choice(DEFINITIONS)
            if known or "'audiences'" not in str(tree):
                return with_known(tree)

    def value(self) -> Any:
        moment = self.clock.moment + timedelta(hours=self.dice.randrange(-90, 90))
        return self.dice.choice(
            [
                "a",
                "ab",
                "5",
                "",
                5,
                1,
                -1.5,
                2,
                ["a", "b"],
                moment.isoformat(),
                moment.date().isoformat(),
            ]
        )

    async def write(self) -> None:
        names = {"user_id": "u", "device_id": "d"}
        held = {name: f"{kind}{self.dice.randrange(5)}" for name, kind in names.items()}
        held["analytics_visitor_id"] = f"{self.dice.randrange(1, 9):016x}"
        for name in self.dice.sample(sorted(held), self.dice.randrange(3)):
            del held[name]
        entries = [
            {"name": self.dice.choice(["x", "y", "X"]), "value": self.value()}
            for _ in range(self.dice.randrange(3))
        ]
        assert (await self.app.write({**held, "attributes": entries}))[0] in (200, 204)

    async def change_definition(self) -> None:
        number = self.dice.randrange(len(self.ids))
        fields = AudienceFields("changed", self.definition(before=number))
        async with self.app.database.transaction() as conn:
            moment = self.clock.moment
            await update_audience(conn, self.app.app_id, self.ids[number], fields, moment)

    async def undo(self) -> None:
        merge_id = await self.app.rows.fetchval(
            "SELECT merge_id::text FROM profile_merges WHERE undone_at IS NULL "
            "ORDER BY merge_id DESC LIMIT 1"
        )
        if merge_id is not None:
            async with self.app.rows.transaction():
                await undo_merge_by_id(self.app.rows, self.app.app_id, merge_id, self.clock.moment)

    async def step(self) -> None:
        happens = self.dice.choices(
            [self.write, self.change_definition, self.undo, self.pass_time], [8, 1, 1, 2]
        )[0]
        await happens()

    async def pass_time(self) -> None:
        self.clock.moment += timedelta(minutes=self.dice.randrange(60 * 60))
        await self.audiences.run_jobs()

    async def assert_right(self) -> int:
        """Compare; how many memberships there are."""
        stored = {
            (row[0], row[1])
            for row in await self.app.rows.fetch(
                "SELECT audience_id::text, profile_id::text FROM audience_members"
            )
        }
        rows = await self.app.rows.fetch(f"SELECT {PROFILE_DOCUMENT}::text FROM profiles p")
        kept = await self.app.rows.fetch(
            "SELECT audience_id::text, definition::text FROM audiences"
        )
        parsed = {row[0]: parse_definition(json.loads(row[1]), compile_pattern) for row in kept}
        order = dependency_order({one: audience_ids(found) for one, found in parsed.items()})
        zone = ZoneInfo(ZONE)
        expected = set()
        for profile in [profile_of(document) for (document,) in rows]:
            mine: set[str] = set()
            context = Context(self.clock.moment, mine.__contains__)
            for audience_id in order:
                compiled = compile_definition(parsed[audience_id], compile_pattern, zone)
                if compiled.evaluate(profile, context)[0]:
                    mine.add(audience_id)
            expected |= {(audience_id, profile.profile_id) for audience_id in mine}
        assert stored == expected
        return len(stored)


@pytest.mark.parametrize("seed", range(4))
async def test_memberships_are_those_of_a_full_evaluation(
    app: App, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    clock = stop_clock(monkeypatch, START)
    await app.rows.execute("UPDATE apps SET timezone = $1", ZONE)
    world = World(Audiences(app, await make_client("admin")), clock, seed)
    await world.settle()
    counts = set()
    for _ in range(STEPS):
        clock.moment += timedelta(seconds=1)
        await world.step()
        await world.audiences.run_jobs()
        counts.add(await world.assert_right())
    assert len(counts) > 5
