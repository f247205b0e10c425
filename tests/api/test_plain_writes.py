"""Plain writes: saved in one statement, and never otherwise than the usual way would.

Two apps get the same random batches. One is written to as ever, in the twin nothing is plain. At
every step both must have the same profiles and the same members.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from audience import public
from audience.errors import Invalid, Unavailable
from audience.profile_changes import operations
from audience.profile_changes.items import parse_items
from audience.profile_changes.plain_writes import operations as plain_operations
from audience.profile_changes.write_request import SkippedStrictly, WriteRequest
from audience.profile_changes.writer import Writer, make_writer
from audience.profiles.identifiers import Identifier
from audience.server import clock
from audience.server.database import Database
from tests.api.audience_api import Clock, group, leaf, stop_clock
from tests.conftest import App, MakeApp

VISITORS = [f"{number:016x}" for number in (0xA1, 0xA2, 0xA3)]
START = datetime.fromisoformat("2026-05-04T10:00:00Z")
GOLD, OLD, LIKES = leaf("eq", "gold"), leaf("gte", 18, name="age"), leaf("contains", "x", name="t")

#: What audiences an app has: none, ones that ask for attributes alone, ones that time changes too.
AUDIENCES: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "of attributes": [
        {"definition": GOLD},
        {"definition": group("and", OLD, group("not", GOLD))},
        {"definition": group("or", LIKES, OLD)},
    ],
    "of other attributes": [{"definition": leaf("eq", "z", name="other")}],
    "with a duration": [{"definition": GOLD, "membership_duration_days": 1}],
    "of the update": [
        {"definition": GOLD},
        {
            "definition": leaf(
                "within_last",
                {"amount": 1, "unit": "hours"},
                name="updated_at",
                field_type="profile",
            )
        },
    ],
    "of identifiers": [
        {"definition": leaf("contains", "u1", name="user_id", field_type="profile")}
    ],
}


def check_email(value: str) -> str | None:
    return value.strip().lower() if "@" in value else None


def random_item(dice: random.Random) -> dict[str, Any]:
    """An item about one of few people, that mostly sets what is known."""
    item: dict[str, Any] = {}
    chosen = dice.randrange(3)
    others = [chosen if dice.random() < 0.9 else dice.randrange(3) for _ in range(4)]
    if dice.random() < 0.7:
        item["user_id"] = f"u{others[0]}"
    if dice.random() < 0.4:
        spelled = dice.choice(["e{}@x.org", "E{}@X.org", " e{}@x.ORG", "bad{}"])
        item["email"] = spelled.format(others[1])
    if dice.random() < 0.3:
        item["device_id"] = dice.choice([f"d{others[2]}", "undefined", "house"])
    if dice.random() < 0.8 or not item.keys() - {"email"}:
        item["analytics_visitor_id"] = VISITORS[others[3]]
    entries: list[dict[str, Any]] = []
    for _ in range(dice.randrange(4)):
        name = dice.choice(["plan", "age", "city", "t", "rare"])
        values: list[Any] = ["gold", "x", "7", 7, 20, 2.0, 2.5, ["x", "y", "x"], [], "z" * 1025]
        weights = [6, 6, 3, 6, 6, 2, 2, 2, 1, 1]
        entry = {"name": name, "value": dice.choices(values, weights)[0]}
        if dice.random() < 0.1:
            action = dice.choice(["add", "list-add", "list-remove"])
            entry |= {"action": action, "value": 1 if action == "add" else "x"}
        entries.append(entry)
    return {**item, "attributes": entries}


def requests_of(app: App, batch: Sequence[Sequence[dict[str, Any]]]) -> list[WriteRequest]:
    found = []
    for number, items in enumerate(batch):
        whole = [{**item, "website_id": app.app_id} for item in items]
        found.append(WriteRequest(parse_items(whole, check_email), is_strict=number % 5 == 4))
    return found


@dataclass
class Pair:
    """The app, and the twin in which nothing is plain."""

    app: App
    twin: App
    writer: Writer
    monkeypatch: pytest.MonkeyPatch
    #: Places of the last batch that were plain, all in all, and how many requests there were.
    last: list[int] = field(default_factory=list)
    plain: int = 0
    requests: int = 0

    async def write(self, batch: Sequence[Sequence[dict[str, Any]]]) -> None:
        """Write a batch to both; the twin gets in a batch of their own what was plain here."""
        self.last = []
        results = await self.writer.write(requests_of(self.app, batch))
        self.plain += len(self.last)
        self.requests += len(batch)
        others = [place for place in range(len(batch)) if place not in self.last]
        twins = requests_of(self.twin, batch)
        with self.monkeypatch.context() as usual:
            usual.setattr(operations, "save_plain", nobody)
            for places in filter(None, (self.last, others)):
                for place, result in zip(
                    places, await self.writer.write([twins[one] for one in places]), strict=True
                ):
                    assert outcome(result) == outcome(results[place])

    async def require_same(self) -> None:
        assert await state(self.app) == await state(self.twin)


def outcome(result: Any) -> Any:
    if isinstance(result, SkippedStrictly):
        return result.skipped
    return result if isinstance(result, list) else (type(result), str(result))


async def nobody(*_arguments: Any) -> None:
    return


async def state(app: App) -> list[Any]:
    """Every profile of the app with its memberships, by what does not differ between two apps."""
    rows = await app.rows.fetch(
        "SELECT to_jsonb(p) - 'app_id' - 'profile_id' AS profile, ("
        " SELECT jsonb_agg(jsonb_build_array(a.name, m.member_since, m.matched_at) ORDER BY a.name)"
        " FROM audience_members m JOIN audiences a USING (app_id, audience_id)"
        " WHERE m.app_id = p.app_id AND m.profile_id = p.profile_id) AS members, ("
        " SELECT jsonb_agg(r.changes_at) FROM profile_reevaluations r"
        " WHERE r.app_id = p.app_id AND r.profile_id = p.profile_id) AS due"
        " FROM profiles p WHERE p.app_id = $1",
        app.app_id,
    )
    return sorted([tuple(row) for row in rows])


@pytest.fixture
async def pair(
    make_app: MakeApp, database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Pair]:
    writer = make_writer(database.hold())
    pair = Pair(await make_app(), await make_app(), writer, monkeypatch)
    genuine = operations.save_plain

    async def noted(conn: Any, requests: Any, now: Any, saved: set[int]) -> None:
        await genuine(conn, requests, now, saved)
        pair.last += sorted(saved)

    monkeypatch.setattr(operations, "save_plain", noted)
    # Also with few that turn out to be plain.
    monkeypatch.setattr(plain_operations, "_WORTH", 0)
    yield pair
    await writer.close()


async def add_audiences(pair: Pair, kind: str) -> None:
    for app in (pair.app, pair.twin):
        for number, members in enumerate(AUDIENCES[kind]):
            fields = public.AudienceFields(f"{number}", **members)
            async with app.database.transaction() as conn:
                await public.create_audience(conn, app.app_id, fields, "test", clock.now())


async def erase(pair: Pair, identifier: Identifier) -> None:
    await pair.writer.locks.unlock()
    for app in (pair.app, pair.twin):
        async with app.database.transaction() as conn:
            await public.erase_person(conn, app.app_id, [identifier], clock.now())


@pytest.mark.parametrize("kind", AUDIENCES)
@pytest.mark.parametrize("is_erased", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_random_batches_end_as_they_do_the_usual_way(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, kind: str, seed: int, *, is_erased: bool
) -> None:
    moment: Clock = stop_clock(monkeypatch, START)
    dice = random.Random(f"{kind} {seed}")  # noqa: S311 - the same on every run, no secret
    await add_audiences(pair, kind)
    if seed == 2:
        await pair.app.rows.execute(
            "UPDATE apps SET blocked_identifier_values = ARRAY['house'] WHERE app_id = ANY($1)",
            [pair.app.app_id, pair.twin.app_id],
        )
    for number in range(60):
        moment.moment += timedelta(seconds=dice.choice([0, 1, 3600]))
        batch = [
            [random_item(dice) for _ in range(dice.choice([1, 1, 1, 1, 2]))]
            for _ in range(dice.choice([1, 1, 2, 5]))
        ]
        await pair.write(batch)
        await pair.require_same()
        if is_erased and number % 20 == 10:
            await erase(pair, Identifier("user_id", f"u{dice.randrange(3)}"))
    is_usual = seed == 2 or kind in ("with a duration", "of the update")
    assert pair.plain == 0 if is_usual else pair.plain >= 5


async def know(pair: Pair, *names: str) -> None:
    """Make a profile that has these attributes, and let the process know the app."""
    entries = [{"name": name, "value": "before"} for name in names]
    for _ in range(2):
        await pair.write([[{"user_id": "u0", "attributes": entries}]])


def sets(**attributes: Any) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in attributes.items()]


async def test_a_later_write_of_a_batch_wins_whatever_the_earlier_one_is(pair: Pair) -> None:
    await know(pair, "plan", "city")
    who = {"user_id": "u0"}
    for number, earlier in enumerate(
        (
            [{**who, "attributes": sets(plan="earlier", unseen="new")}],
            [{**who, "attributes": sets(plan="earlier", absent=1)}, {**who, "attributes": []}],
            [{**who, "attributes": [{"name": "plan", "action": "list-add", "value": "earlier"}]}],
        )
    ):
        later = f"later {number}"
        batch = [earlier, [{**who, "attributes": sets(plan=later)}]]
        assert await pair.writer.write(requests_of(pair.app, batch)) == [[], []]
        assert (await pair.app.profile("user_id", "u0"))["attributes"]["plan"] == later


@pytest.mark.parametrize("value", ["z" * 1024, "\x01" * 1024], ids=["usual", "long as JSON"])
async def test_a_profile_that_is_too_large_grows_no_further(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    # Both are small when they are compressed.
    stop_clock(monkeypatch, START)
    await know(pair, "plan", "many")
    many = [f"{number}{value}"[:1020] for number in range(1024 if value[0] == "z" else 200)]
    for attributes in (sets(many=many), sets(plan="gold")):
        await pair.write([[{"user_id": "u0", "attributes": attributes}]])
        await pair.require_same()
    assert not pair.last


async def test_attributes_of_some_size_are_not_plain(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_clock(monkeypatch, START)
    dice = random.Random(5)  # noqa: S311
    await know(pair, "plan", "long")
    for length in (100, 2, 1024):
        # Rows of more than two kilobytes are compressed, which these values hardly can be.
        long = ["".join(dice.choices("abcdefghijklmnop", k=length)) for _ in range(10)]
        await pair.write([[{"user_id": "u0", "attributes": sets(long=long)}]])
        await pair.write([[{"user_id": "u0", "attributes": sets(plan="gold")}]])
        assert pair.last == ([0] if length < 1024 else [])
    await pair.require_same()


#: What a write names and what the profile of u0 is, and whether it is plain.
CASES: list[tuple[dict[str, str], bool]] = [
    ({"user_id": "u0"}, True),
    ({"user_id": "u0", "email": "E0@x.org"}, True),
    ({"user_id": "u0", "email": "other@x.org"}, False),
    ({"email": "e0@x.org", "device_id": "d0"}, True),
    ({"email": "e0@x.org", "device_id": "d1"}, False),
    ({"device_id": "d0", "analytics_visitor_id": VISITORS[0]}, True),
    ({"device_id": "d0", "analytics_visitor_id": VISITORS[1]}, False),
    ({"analytics_visitor_id": VISITORS[0].upper()}, True),
    ({"user_id": "u1", "email": "e0@x.org"}, False),
    ({"user_id": "u0", "email": "bad", "device_id": "d0"}, True),
]


@pytest.mark.parametrize("is_watched", [False, True])
@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize(("named", "is_plain"), CASES)
async def test_a_write_is_plain_when_one_profile_holds_what_it_names(
    pair: Pair,
    monkeypatch: pytest.MonkeyPatch,
    named: dict[str, str],
    *,
    is_plain: bool,
    is_strict: bool,
    is_watched: bool,
) -> None:
    moment = stop_clock(monkeypatch, START)
    if is_watched:
        await add_audiences(pair, "of attributes")
    held = {"email": "e0@x.org", "device_id": "d0", "analytics_visitor_id": VISITORS[0]}
    for value in ("a", "b"):
        await pair.write([[{"user_id": "u0", **held, "attributes": sets(plan=value, age=1)}]])
    moment.moment += timedelta(hours=1)
    place = 4 if is_strict else 0
    batch: list[list[dict[str, Any]]]
    batch = [[{"device_id": f"x{number}", "attributes": []}] for number in range(5)]
    batch[place] = [{**named, "attributes": sets(plan="gold", age="20")}]
    await pair.write(batch)
    # What is to be skipped makes a strict write one of which nothing is done.
    is_refused = is_strict and "bad" in named.values()
    assert (place in pair.last) == (is_plain and not is_refused)
    await pair.require_same()


async def test_write_times_of_a_profile_do_not_go_back(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = stop_clock(monkeypatch, START)
    await know(pair, "plan")
    moment.moment -= timedelta(seconds=1)
    await pair.write([[{"user_id": "u0", "attributes": sets(plan="gold")}]])
    assert not pair.last
    await pair.require_same()


async def test_an_app_that_has_changed_is_read_again(pair: Pair) -> None:
    await know(pair, "plan")
    change = "UPDATE apps SET blocked_identifier_values = ARRAY['u0'] WHERE app_id = $1"
    await pair.app.rows.execute(change, pair.app.app_id)
    batch = [[{"user_id": "u0", "attributes": sets(plan="gold")}]]
    (result,) = await pair.writer.write(requests_of(pair.app, batch))
    assert isinstance(result, Invalid)
    assert not pair.last


class _Failure(Exception):
    pass


@pytest.mark.parametrize("failure", [_Failure, Unavailable])
async def test_what_is_saved_already_is_not_written_again_when_the_rest_fails(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    await know(pair, "plan")
    version = "SELECT xmin::text FROM profiles WHERE app_id = $1 AND user_id = 'u0'"
    written: list[int] = []
    seen: list[str] = []
    genuine = operations._write_loaded  # noqa: SLF001

    async def fail_first(conn: Any, requests: Any, *arguments: Any, **options: Any) -> Any:
        written.append(len(requests))
        seen.append(await pair.app.rows.fetchval(version, pair.app.app_id))
        if len(written) == 1:
            raise failure("on purpose")
        return await genuine(conn, requests, *arguments, **options)

    monkeypatch.setattr(operations, "_write_loaded", fail_first)
    batch = [
        [{"user_id": "u0", "attributes": sets(plan="gold")}],
        [{"user_id": "u1", "attributes": sets(plan="gold")}],
        [{"user_id": "u2", "attributes": sets(plan="gold")}],
    ]
    results = await pair.writer.write(requests_of(pair.app, batch))
    seen.append(await pair.app.rows.fetchval(version, pair.app.app_id))
    assert len(set(seen)) == 1
    assert results[0] == []
    if failure is Unavailable:
        assert written == [2]
        assert all(isinstance(result, Unavailable) for result in results[1:])
    else:
        assert written == [2, 1, 1]
        assert results[1:] == [[], []]
    assert (await pair.app.profile("user_id", "u0"))["attributes"]["plan"] == "gold"


@pytest.mark.parametrize(("kind", "expected"), [("none", 1), ("of attributes", 2)])
async def test_a_plain_batch_takes_few_statements(pair: Pair, kind: str, expected: int) -> None:
    await add_audiences(pair, kind)
    await know(pair, "plan")
    batch = [[{"user_id": "u0", "attributes": sets(plan="gold")}]]
    sent: list[str] = []
    async with pair.writer._held.use() as conn:  # noqa: SLF001
        conn.add_query_logger(lambda record: sent.append(record.query))
    await pair.writer.write(requests_of(pair.app, batch))
    # Loggers are told in the next turn of the loop.
    await asyncio.sleep(0)
    assert len(sent) == expected, sent


async def test_it_is_tried_where_it_is_worth_a_statement(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    tries: list[int] = []
    genuine = plain_operations.save_plain_writes

    async def noted(conn: Any, batch: Any, now: datetime) -> set[int]:
        tries.append(len(batch.writes[pair.app.app_id]))
        return await genuine(conn, batch, now)

    monkeypatch.setattr(plain_operations, "save_plain_writes", noted)
    await pair.writer.write(requests_of(pair.app, [[{"user_id": "u", "attributes": sets(n=1)}]]))
    # Visitors that nobody knows yet: none of them can be saved so.
    for number in range(100):
        new = {"user_id": f"new {number}", "attributes": sets(n=1)}
        await pair.writer.write(requests_of(pair.app, [[new]]))
    assert 5 < len(tries) < 20
    # They come back.
    for number in range(1000):
        known = {"user_id": f"new {number % 100}", "attributes": sets(n=2)}
        await pair.writer.write(requests_of(pair.app, [[known]]))
    tries.clear()
    batch = [[{"user_id": f"new {number}", "attributes": sets(n=3)}] for number in range(10)]
    await pair.writer.write(requests_of(pair.app, batch))
    assert tries == [10]
    # One of many is not worth it.
    others = [[{"user_id": f"new {number}", "attributes": sets(other=3)}] for number in range(10)]
    await pair.writer.write(requests_of(pair.app, [*batch[:1], *others[1:]]))
    assert tries == [10]


async def test_held_connections_compile_nothing(database: Database) -> None:
    conn = await database.connect()
    assert await conn.fetchval("SHOW jit") == "off"
    await conn.close()
