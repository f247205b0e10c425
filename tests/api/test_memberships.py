"""Memberships follow every change of a profile, in the transaction that makes it."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from audience import public
from audience.audiences import storage as public_storage
from audience.audiences.memberships import cache
from audience.audiences.memberships import storage as membership_storage
from audience.profile_changes.curation.undo import undo_merge_by_id
from audience.profile_changes.storage import loading_statement
from audience.server.session_locks.storage import SWITCH_LOCKS
from tests.api.audience_api import Audiences, group, leaf
from tests.api.test_writes_share_a_batch import Recorder, recorded
from tests.conftest import App, Authorized, MakeApp

__all__ = ["recorded"]

VISITOR, OTHER = "0123456789abcdef", "fedcba9876543210"
GOLD = leaf("eq", "gold")


@pytest.fixture
def audiences(app: App, authorized: Authorized) -> Audiences:
    return Audiences(app, authorized)


async def _write(app: App, visitor_id: str = VISITOR, **attributes: Any) -> None:
    entries = [{"name": name, "value": value} for name, value in attributes.items()]
    item = {"analytics_visitor_id": visitor_id, "attributes": entries}
    assert await app.write(item) == (204, "")


async def test_a_write_is_seen_by_the_next_check(app: App, audiences: Audiences) -> None:
    audience_id = await audiences.create(group("and", GOLD, leaf("gt", 2, name="orders")))
    await _write(app, plan="gold")
    assert not await audiences.check(audience_id, VISITOR)
    await _write(app, orders=3)
    assert await audiences.check(audience_id, VISITOR)
    await _write(app, other="x")
    assert await audiences.check(audience_id, VISITOR)
    await _write(app, plan="silver")
    assert not await audiences.check(audience_id, VISITOR)
    await _write(app, plan="gold")
    assert await audiences.check(audience_id, VISITOR)
    await _write(app, orders=[])
    assert not await audiences.check(audience_id, VISITOR)
    assert await app.count("audience_members") == 0


async def test_a_profile_is_a_member_from_its_first_write(app: App, audiences: Audiences) -> None:
    audience_id = await audiences.create(GOLD)
    everybody = await audiences.create(leaf("not_exists", name="nothing"))
    await _write(app, plan="gold")
    await _write(app, OTHER)
    assert await audiences.check(audience_id, VISITOR)
    assert not await audiences.check(audience_id, OTHER)
    assert await audiences.members(everybody) == 2


async def test_every_field_of_a_profile_counts(app: App, audiences: Audiences) -> None:
    has_user = await audiences.create(leaf("exists", field_type="profile", name="user_id"))
    two_ids = await audiences.create(
        leaf("gte", 2, field_type="profile", name="analytics_visitor_ids", value_selector="count")
    )
    form = await audiences.create(leaf("contains", "/buy", field_type="forms", name="f.url"))
    consenting = await audiences.create(leaf("eq", 1, field_type="consents", name="analytics"))
    await _write(app)
    await app.write({"analytics_visitor_id": VISITOR, "user_id": "m"})
    assert await audiences.check(has_user, VISITOR)
    await app.write({"analytics_visitor_id": OTHER, "user_id": "m"})
    assert await audiences.check(two_ids, VISITOR)
    await app.service.post(
        "/audiences/tracker/forms/",
        json={
            "website_id": app.app_id,
            "user_id": "m",
            "form_id": "f",
            "url": "https://example.com/buy",
            "attributes": [],
        },
    )
    assert await audiences.check(form, VISITOR)
    now = datetime.now(UTC)
    for status in (1, 0):
        async with app.rows.transaction():
            state = public.VisitorConsents({"analytics": status}, now)
            assert await public.set_profile_consents(app.rows, app.app_id, OTHER, state, now)
        assert await audiences.check(consenting, VISITOR) is (status == 1)


async def test_a_merge_decides_anew_and_the_absorbed_profile_leaves(
    app: App, audiences: Audiences
) -> None:
    both = await audiences.create(group("and", GOLD, leaf("exists", name="city")))
    gold = await audiences.create(GOLD)
    await _write(app, VISITOR, plan="gold")
    await _write(app, OTHER, city="Ulm")
    await app.write({"user_id": "m", "analytics_visitor_id": VISITOR})
    await app.write({"user_id": "m", "analytics_visitor_id": OTHER})
    assert await app.count("profiles") == 1
    assert await audiences.check(both, OTHER)
    assert await audiences.members(gold) == 1
    merge_id = await app.rows.fetchval("SELECT merge_id FROM profile_merges")
    async with app.rows.transaction():
        await undo_merge_by_id(app.rows, app.app_id, str(merge_id), datetime.now(UTC))
    assert not await audiences.check(both, VISITOR)
    assert not await audiences.check(both, OTHER)
    assert await audiences.check(gold, VISITOR)
    assert not await audiences.check(gold, OTHER)
    assert await app.count("audience_members") == 1


async def test_a_merge_keeps_since_when_somebody_is_a_member(
    app: App, audiences: Audiences
) -> None:
    await audiences.create(GOLD)
    await audiences.create(leaf("exists", field_type="profile", name="created_at"))
    await _write(app, VISITOR, plan="gold")
    since = "SELECT member_since FROM audience_members ORDER BY member_since"
    first = [row[0] for row in await app.rows.fetch(since)]
    # The older profile survives, and was a member of one of the two.
    await app.write({"user_id": "m"})
    await app.rows.execute("UPDATE profiles SET created_at = '2020-01-01' WHERE user_id = 'm'")
    await app.write({"user_id": "m", "analytics_visitor_id": VISITOR})
    assert await app.count("profiles") == 1
    merged = [row[0] for row in await app.rows.fetch(since)]
    assert len(merged) == 2
    assert merged[0] == first[0]
    assert merged[1] > first[1]


async def test_audiences_may_ask_about_each_other(app: App, audiences: Audiences) -> None:
    gold = await audiences.create(GOLD)

    def asks(audience_id: str, *, value: bool = True) -> dict[str, Any]:
        return leaf("eq", value=value, field_type="audiences", name=audience_id)

    outer = await audiences.create(group("and", asks(gold), leaf("eq", "Ulm", name="city")))
    without = await audiences.create(asks(outer, value=False))
    await _write(app, plan="gold", city="Ulm")
    for plan, in_gold in (("silver", False), ("gold", True), ("silver", False)):
        await _write(app, plan=plan)
        found = [await audiences.check(one, VISITOR) for one in (gold, outer, without)]
        assert found == [in_gold, in_gold, not in_gold]
    await audiences.replace(gold, leaf("eq", "silver"))
    found = [await audiences.check(one, VISITOR) for one in (gold, outer, without)]
    assert found == [True, True, False]


async def test_a_strict_request_that_is_refused_changes_no_membership(
    app: App, audiences: Audiences
) -> None:
    audience_id = await audiences.create(GOLD)
    await _write(app, plan="silver", n=1)
    bad = [{"name": "plan", "value": "gold"}, {"name": "n", "value": "x"}]
    item = {"analytics_visitor_id": VISITOR, "attributes": bad}
    assert (await app.write(item, Prefer="handling=strict"))[0] == 400
    assert not await audiences.check(audience_id, VISITOR)


async def test_one_app_never_sees_the_audiences_of_another(
    app: App, audiences: Audiences, noise: App
) -> None:
    audience_id = await audiences.create(leaf("not_exists", name="nothing"))
    await noise.write({"user_id": "jbond"})
    assert await noise.count("audience_members") == 0
    await app.write({"user_id": "jbond"}, {"website_id": noise.app_id, "user_id": "jbond"})
    assert await noise.count("audience_members") == 0
    assert await audiences.members(audience_id) == 1


async def test_member_since_stays_while_a_member_stays(app: App, audiences: Audiences) -> None:
    await audiences.create(GOLD)
    since = "SELECT member_since FROM audience_members"
    await _write(app, plan="gold")
    first = await app.rows.fetchval(since)
    await _write(app, plan="gold", other=1)
    await app.write({"user_id": "m", "analytics_visitor_id": VISITOR})
    assert await app.rows.fetchval(since) == first
    await _write(app, plan="x")
    await _write(app, plan="gold")
    assert await app.rows.fetchval(since) > first


async def test_audiences_cost_no_further_statement(
    app: App, audiences: Audiences, recorded: tuple[Any, Recorder]
) -> None:
    client, recorder = recorded
    for number in range(20):
        await audiences.create(leaf("eq", number, name="n"))
    body = {
        "website_id": app.app_id,
        "analytics_visitor_id": VISITOR,
        "attributes": [{"name": "n", "value": 1}],
    }
    for _ in range(2):
        # The first one gives the attribute its type, which the second one reads.
        await client.post("/data/tracker/attributes/", json=[body])
    for value in (2, 3, 1000):
        recorder.statements.clear()
        body["attributes"] = [{"name": "n", "value": value}]
        assert (await client.post("/data/tracker/attributes/", json=[body])).status == 204
        sent = [text for text in recorder.statements if text != SWITCH_LOCKS]
        assert len(sent) == 2, sent
    assert await app.count("audience_members") == 0


async def test_a_definition_that_is_not_understood_stops_nothing(
    app: App, audiences: Audiences
) -> None:
    broken, sound = await audiences.create(GOLD), await audiences.create(GOLD)
    await app.rows.execute(
        'UPDATE audiences SET definition = \'{"from": "the future"}\' WHERE audience_id = $1',
        broken,
    )
    cache._known.clear()  # noqa: SLF001 - as after a restart
    await _write(app, plan="gold")
    assert await audiences.check(sound, VISITOR)
    assert not await audiences.check(broken, VISITOR)


async def test_many_changes_in_one_batch_end_in_the_last_state(
    audiences: Audiences, make_app: MakeApp
) -> None:
    other = Audiences(await make_app(), audiences.client)
    ids = [await one.create(GOLD) for one in (audiences, other)]
    await asyncio.gather(
        *(
            _write(one.app, f"{visitor:016x}", plan=plan)
            for plan in ("gold", "silver", "gold", "bronze")
            for visitor in range(1, 20)
            for one in (audiences, other)
        )
    )
    for one, audience_id in zip((audiences, other), ids, strict=True):
        stored = await one.app.rows.fetch(
            "SELECT p.attributes ->> 'plan' = 'gold', m.profile_id IS NOT NULL FROM profiles p "
            "LEFT JOIN audience_members m USING (app_id, profile_id) WHERE p.app_id = $1",
            one.app.app_id,
        )
        assert len(stored) == 19
        assert all(row[0] == row[1] for row in stored)
        assert await one.members(audience_id) == sum(row[0] for row in stored)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(
            loading_statement(has_audiences=True, may_change_by_time=True), id="load of a batch"
        ),
        pytest.param(membership_storage.GET_BEFORE, id="load of other changes"),
        pytest.param(public_storage.LIST_MEMBERSHIPS, id="public list"),
    ],
)
async def test_memberships_of_a_profile_are_found_by_the_profile(
    app: App, audiences: Audiences, statement: str
) -> None:
    for _ in range(30):
        await audiences.create(leaf("not_exists", name="nothing"))
    await app.write(*({"user_id": f"u{number}"} for number in range(200)))
    # The primary key has the same columns, but would be walked audience by audience.
    await app.rows.execute("ANALYZE audience_members")
    async with app.rows.transaction():
        await app.rows.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await app.rows.execute(f"PREPARE looking AS {statement}")
        found = await app.rows.fetchval(
            "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'looking'"
        )
        nothing = ", ".join(["NULL"] * found)
        plan = await app.rows.fetch(f"EXPLAIN EXECUTE looking({nothing})")
        await app.rows.execute("DEALLOCATE looking")
    text = "\n".join(row[0] for row in plan)
    assert "ix__audience_members__profile_id__app_id" in text
    assert "pk__audience_members" not in text
