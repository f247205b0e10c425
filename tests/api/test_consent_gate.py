"""Decisions and profiles: what a profile knows, the consent gate, erasure on withdrawal, expiry."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from audience.profiles.attribute_statistics.jobs import count_due_attributes
from audience.server import clock
from consent.decisions.app_batch import Collect
from consent.decisions.collected import parse_collected
from consent.decisions.expiry import operations, storage
from consent.decisions.expiry.operations import expire_consents
from consent.decisions.writer import make_writer
from tests.api.test_consent_forms import change_settings
from tests.api.test_surface import metric
from tests.conftest import App, Authorized
from tests.consents import history, new_visitor

ANALYTICS_ID, OTHER_ID = "0123456789abcdef", "fedcba9876543210"
COLOR = {"name": "color", "value": "green"}
ITEM = {"analytics_visitor_id": ANALYTICS_ID, "attributes": [COLOR]}


async def _consents(app: App, analytics_id: str = ANALYTICS_ID) -> dict[str, int]:
    found = await app.rows.fetchval(
        "SELECT consents::text FROM profiles p JOIN profile_identifiers i USING "
        "(app_id, profile_id) WHERE i.app_id = $1 AND i.identifier_value = $2",
        app.app_id,
        analytics_id,
    )
    consents: dict[str, int] = json.loads(found)
    return consents


async def _attributes(app: App) -> dict[str, Any]:
    attributes: dict[str, Any] = (await app.profile("analytics_visitor_id", ANALYTICS_ID))[
        "attributes"
    ]
    return attributes


async def _tell_profiles(app: App) -> None:
    """Of decisions that count no more, or again."""
    while await expire_consents(app.service.app):  # type: ignore[arg-type]
        pass


async def _change_period(authorized: Authorized, app: App, seconds: int) -> None:
    """Of the app's decisions; what follows from it is done."""
    await change_settings(authorized, app, decision_period_seconds=seconds)
    await _tell_profiles(app)


async def test_a_decision_is_known_to_the_visitors_profile_at_once(app: App) -> None:
    await app.write(ITEM, {"analytics_visitor_id": OTHER_ID})
    await new_visitor(app, ANALYTICS_ID).decide(analytics=1, remarketing=0)
    assert await _consents(app) == {"analytics": 1, "remarketing": 0}
    assert await _consents(app, OTHER_ID) == {}


async def test_many_decisions_of_one_batch_reach_their_profiles(app: App) -> None:
    ids = [f"{number:016x}" for number in range(1, 41)]
    await app.write(*({"analytics_visitor_id": one} for one in ids))
    visitors = [new_visitor(app, one) for one in ids]
    await asyncio.gather(*(one.decide(analytics=n % 2) for n, one in enumerate(visitors)))
    for number, one in enumerate(ids):
        assert await _consents(app, one) == {"analytics": number % 2}


async def test_a_decision_before_the_profile_is_applied_when_it_appears(app: App) -> None:
    await new_visitor(app, ANALYTICS_ID).decide(analytics=0)
    assert await app.count("profiles") == 0
    await app.write(ITEM)
    assert await _consents(app) == {"analytics": 0}


async def test_the_newest_consent_visitor_of_a_browser_counts(app: App) -> None:
    await new_visitor(app, ANALYTICS_ID).decide(analytics=1)
    await new_visitor(app, ANALYTICS_ID).decide(analytics=0)
    await app.write(ITEM)
    assert await _consents(app) == {"analytics": 0}


async def test_a_late_decision_does_not_reach_the_profile(app: App) -> None:
    await app.write(ITEM)
    visitor = new_visitor(app, ANALYTICS_ID)
    await visitor.decide(analytics=0)
    await visitor.decide(analytics=1, decidedAt="2026-01-01T00:00:00Z")
    assert len(await history(app)) == 2
    assert await _consents(app) == {"analytics": 0}


@pytest.fixture
async def gated(authorized: Authorized, app: App) -> App:
    """An app that takes attributes only with consent to analytics."""
    await change_settings(authorized, app, gate_consent_type="analytics")
    return app


SKIPPED = (200, '{"skipped":[{"item":0,"entry":0,"name":"color","reason":"consent"}]}')


async def test_attributes_are_refused_without_consent_and_taken_with_it(gated: App) -> None:
    visitor = new_visitor(gated, ANALYTICS_ID)
    before = await metric(gated.service, 'audience_skipped_entries_total{reason="consent"}')
    await visitor.decide(analytics=0)
    assert await gated.write(ITEM) == SKIPPED
    assert await gated.count("profiles") == 0
    await visitor.decide(analytics=1)
    assert await gated.write(ITEM) == (204, "")
    assert await _attributes(gated) == {"color": "green"}
    await visitor.decide(analytics=0)
    changed = {**ITEM, "attributes": [{"name": "color", "value": "red"}]}
    assert await gated.write(changed) == SKIPPED
    assert await _attributes(gated) == {"color": "green"}
    after = await metric(gated.service, 'audience_skipped_entries_total{reason="consent"}')
    assert after == before + 2


async def test_undecided_visitors_are_refused_and_unknown_ones_are_not(gated: App) -> None:
    await new_visitor(gated, ANALYTICS_ID).decide(analytics=-1)
    assert await gated.write(ITEM) == SKIPPED
    assert await gated.write({**ITEM, "analytics_visitor_id": OTHER_ID}) == (204, "")


async def test_the_gate_knows_a_person_by_every_identifier(gated: App) -> None:
    await gated.write({"analytics_visitor_id": ANALYTICS_ID, "user_id": "jbond"})
    await new_visitor(gated, ANALYTICS_ID).decide(analytics=0)
    assert await gated.write({"user_id": "jbond", "attributes": [COLOR]}) == SKIPPED
    login = {"analytics_visitor_id": ANALYTICS_ID, "user_id": "other", "attributes": []}
    status, text = await gated.write(login)
    assert (status, json.loads(text)["skipped"][0]["reason"]) == (200, "consent")
    assert await gated.profiles("user_id", "other") == []


async def test_forms_are_refused_and_a_strict_request_is_refused_whole(gated: App) -> None:
    await new_visitor(gated, ANALYTICS_ID).decide(analytics=0)
    form = {"website_id": gated.app_id, "form_id": "f", "url": "https://shop.example/", **ITEM}
    answer = await gated.service.post("/audiences/tracker/forms/", json=form)
    assert answer.status == 200
    reasons = [(skip["name"], skip["reason"]) for skip in (await answer.json())["skipped"]]
    assert reasons == [("form_id", "consent"), ("color", "consent")]
    other = {"analytics_visitor_id": OTHER_ID, "attributes": [COLOR]}
    status, _ = await gated.write(ITEM, other, Prefer="handling=strict")
    assert status == 400
    assert await gated.count("profiles") == 0
    assert await gated.write(ITEM, other) == SKIPPED
    assert await gated.count("profiles") == 1


async def test_an_old_decision_counts_as_none(authorized: Authorized, gated: App) -> None:
    await new_visitor(gated, ANALYTICS_ID).decide(analytics=1)
    assert await gated.write(ITEM) == (204, "")
    await change_settings(authorized, gated, decision_period_seconds=3600)
    assert await gated.write(ITEM) == (204, "")
    for table, column in (("profiles", "consents_at"), ("consent_visitors", "last_decided_at")):
        await gated.rows.execute(f"UPDATE {table} SET {column} = {column} - interval '2 hours'")
    assert await gated.write(ITEM) == SKIPPED
    await gated.rows.execute("DELETE FROM profiles")
    assert await gated.write(ITEM) == SKIPPED
    await change_settings(authorized, gated, decision_period_seconds=0)
    assert await gated.write(ITEM) == (204, "")


async def test_expired_decisions_leave_the_profile(authorized: Authorized, app: App) -> None:
    await app.write(ITEM, {"analytics_visitor_id": OTHER_ID})
    await new_visitor(app, ANALYTICS_ID).decide(analytics=1)
    await new_visitor(app).decide(analytics=1)
    await new_visitor(app, "0" * 15 + "1").decide(analytics=1)
    await app.rows.execute(
        "UPDATE consent_visitors SET last_decided_at = last_decided_at - interval '2 hours';"
        "UPDATE profiles SET consents_at = consents_at - interval '2 hours'"
    )
    await new_visitor(app, OTHER_ID).decide(analytics=1)
    assert not await expire_consents(app.service.app)  # type: ignore[arg-type]
    await change_settings(authorized, app, decision_period_seconds=3600)
    assert await expire_consents(app.service.app)  # type: ignore[arg-type]
    assert not await expire_consents(app.service.app)  # type: ignore[arg-type]
    assert await _consents(app) == {}
    assert await _consents(app, OTHER_ID) == {"analytics": 1}
    # A profile that appears later is told the same.
    await app.write({"analytics_visitor_id": "0" * 15 + "1"})
    assert await _consents(app, "0" * 15 + "1") == {}
    await new_visitor(app, ANALYTICS_ID).decide(analytics=0)
    assert await _consents(app) == {"analytics": 0}


async def test_a_decision_whose_period_is_being_made_longer_does_not_expire(
    authorized: Authorized, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.write(ITEM)
    await new_visitor(app, ANALYTICS_ID).decide(analytics=1)
    await app.rows.execute(
        "UPDATE consent_visitors SET last_decided_at = last_decided_at - interval '2 hours';"
        "UPDATE profiles SET consents_at = consents_at - interval '2 hours'"
    )
    await change_settings(authorized, app, decision_period_seconds=3600)
    lock_consents = storage.lock_consents

    async def lock_late(*arguments: Any) -> None:
        monkeypatch.undo()
        await change_settings(authorized, app, decision_period_seconds=86_400)
        await lock_consents(*arguments)

    monkeypatch.setattr(storage, "lock_consents", lock_late)
    await _tell_profiles(app)
    assert await _consents(app) == {"analytics": 1}


@pytest.mark.parametrize("seconds", [86_400, 0])
async def test_an_expired_decision_counts_again_when_the_period_is_made_longer(
    authorized: Authorized, gated: App, seconds: int
) -> None:
    await gated.write({"analytics_visitor_id": OTHER_ID})
    await new_visitor(gated, ANALYTICS_ID).decide(analytics=1, remarketing=0)
    assert await gated.write(ITEM) == (204, "")
    await new_visitor(gated, OTHER_ID).decide(analytics=1)
    # The newest decision of a browser counts, whichever is told first.
    await new_visitor(gated, OTHER_ID).decide(analytics=0)
    await change_settings(authorized, gated, decision_period_seconds=3600)
    for table, column in (("profiles", "consents_at"), ("consent_visitors", "last_decided_at")):
        await gated.rows.execute(f"UPDATE {table} SET {column} = {column} - interval '2 hours'")
    await _tell_profiles(gated)
    assert (await _consents(gated), await _consents(gated, OTHER_ID)) == ({}, {})
    await _change_period(authorized, gated, seconds)
    assert await _consents(gated) == {"analytics": 1, "remarketing": 0}
    assert await _consents(gated, OTHER_ID) == {"analytics": 0}
    assert await gated.write(ITEM) == (204, "")


async def _age(app: App, hours: float) -> None:
    """Let so much time pass since all decisions."""
    microseconds = int(hours * 3_600_000_000)
    await app.rows.execute(
        "UPDATE profiles SET consents_at = consents_at - $1::interval", timedelta(hours=hours)
    )
    await app.rows.execute(
        "UPDATE consent_visitors SET last_decided_at = last_decided_at - $1::interval, state = ("
        "SELECT jsonb_object_agg(key, jsonb_set(value, '{1}', to_jsonb((value->>1)::bigint - $2)))"
        " FROM jsonb_each(state))",
        timedelta(hours=hours),
        microseconds,
    )


async def test_types_whose_own_decision_is_too_old_do_not_count_again(
    authorized: Authorized, app: App
) -> None:
    await app.write(ITEM)
    visitor = new_visitor(app, ANALYTICS_ID)
    await visitor.decide(analytics=1)
    await _age(app, 5)
    await visitor.decide(remarketing=1)
    await _age(app, 2)
    await _change_period(authorized, app, 3600)
    assert await _consents(app) == {}
    await _change_period(authorized, app, 3 * 3600)
    assert await _consents(app) == {"remarketing": 1}


async def test_a_late_decision_does_not_keep_an_expired_one_from_counting_again(
    authorized: Authorized, app: App
) -> None:
    await app.write(ITEM)
    visitor = new_visitor(app, ANALYTICS_ID)
    await visitor.decide(analytics=1)
    await _age(app, 2)
    await _change_period(authorized, app, 3600)
    await change_settings(authorized, app, decision_period_seconds=86_400)
    late = (clock.now() - timedelta(hours=4)).isoformat()
    sent = await visitor.send({"consents": {"analytics": {"status": 0}}, "decidedAt": late})
    assert sent[0] == 204
    await _tell_profiles(app)
    assert await _consents(app) == {"analytics": 1}


async def test_of_expired_decisions_only_those_within_the_longer_period_count_again(
    authorized: Authorized, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_AT_ONCE", 1)
    ids = [f"{number:016x}" for number in range(1, 5)]
    await app.write(*({"analytics_visitor_id": one} for one in ids))
    for number, one in enumerate(ids):
        await new_visitor(app, one).decide(analytics=1)
        for table, column in (("profiles", "consents_at"), ("consent_visitors", "last_decided_at")):
            await app.rows.execute(
                f"UPDATE {table} SET {column} = {column} - $1::interval "
                "WHERE analytics_visitor_id = $2",
                timedelta(hours=2 + number),
                one,
            )
    await _change_period(authorized, app, 3600)
    assert [await _consents(app, one) for one in ids] == [{}] * 4
    await _change_period(authorized, app, int(3.5 * 3600))
    assert [await _consents(app, one) for one in ids] == [{"analytics": 1}] * 2 + [{}] * 2


async def test_the_gate_can_be_opened_again(authorized: Authorized, gated: App) -> None:
    await new_visitor(gated, ANALYTICS_ID).decide(analytics=0)
    assert await gated.write(ITEM) == SKIPPED
    await change_settings(authorized, gated, gate_consent_type=None)
    assert await gated.write(ITEM) == (204, "")


async def test_withdrawal_erases_what_was_collected(authorized: Authorized, gated: App) -> None:
    await change_settings(authorized, gated, is_erased_on_withdrawal=True)
    visitor = new_visitor(gated, ANALYTICS_ID)
    await visitor.decide(analytics=1, remarketing=1)
    marker = {"name": "color", "value": "marker-1729"}
    item = {"analytics_visitor_id": ANALYTICS_ID, "attributes": [marker]}
    await gated.write({**item, "user_id": "jbond"})
    await gated.write({"device_id": "d", "attributes": [marker]})
    await gated.write({"device_id": "d", "user_id": "jbond"})
    form = {"website_id": gated.app_id, "form_id": "f", "url": "https://marker-1729/", **item}
    assert (await gated.service.post("/audiences/tracker/forms/", json=form)).status == 204
    await visitor.decide(analytics=1, remarketing=0)
    assert (await _attributes(gated))["color"] == "marker-1729"
    await visitor.decide(analytics=0, remarketing=0)
    document = await gated.profile("analytics_visitor_id", ANALYTICS_ID)
    assert (document["attributes"], document["forms"]) == ({}, {})
    assert document["user_id"] == "jbond"
    for table in ("profiles", "profile_merges"):
        text = str(await gated.rows.fetch(f"SELECT x::text FROM {table} x"))
        assert "marker-1729" not in text, table


async def _undo_last_merge(app: App, client: Authorized) -> None:
    merge_id = await app.rows.fetchval("SELECT max(merge_id::text) FROM profile_merges")
    url = f"/api/audiences/v1/merges/{merge_id}/undo/?website_id={app.app_id}"
    assert (await client.post(url))[0] == 200


@pytest.mark.parametrize("own", [{"user_id": "jbond"}, {}], ids=["survives", "is absorbed"])
async def test_withdrawal_erases_nothing_of_somebody_whose_merge_was_undone(
    authorized: Authorized, gated: App, own: dict[str, str]
) -> None:
    await change_settings(authorized, gated, is_erased_on_withdrawal=True)
    visitor = new_visitor(gated, ANALYTICS_ID)
    await visitor.decide(analytics=1)
    theirs = {"name": "color", "value": "theirs"}
    # Somebody else's profile has absorbed another one.
    await gated.write({"device_id": "d", "attributes": [theirs]}, {"email": "bob@example.org"})
    await gated.write({"device_id": "d", "email": "bob@example.org"})
    mine = {"name": "size", "value": "marker-1729"}
    await gated.write({"analytics_visitor_id": ANALYTICS_ID, "attributes": [mine], **own})
    await gated.write({"analytics_visitor_id": ANALYTICS_ID, "email": "bob@example.org", **own})
    assert await gated.count("profiles") == 1
    await _undo_last_merge(gated, authorized)
    await visitor.decide(analytics=0)
    assert await _attributes(gated) == {}
    text = str(await gated.rows.fetch("SELECT x::text FROM profile_merges x"))
    assert "marker-1729" not in text
    first = "SELECT absorbed_before::text FROM profile_merges ORDER BY merge_id LIMIT 1"
    assert "theirs" in await gated.rows.fetchval(first)
    assert (await gated.profile("device_id", "d"))["attributes"] == {"color": "theirs"}


async def test_withdrawal_takes_values_out_of_the_statistics(
    authorized: Authorized, gated: App
) -> None:
    await change_settings(authorized, gated, is_erased_on_withdrawal=True)
    visitor = new_visitor(gated, ANALYTICS_ID)
    await visitor.decide(analytics=1)
    await gated.write(ITEM)
    while await count_due_attributes(gated.service.app):
        pass
    statistics = "SELECT most_common::text FROM attribute_statistics WHERE app_id = $1"
    assert "green" in await gated.rows.fetchval(statistics, gated.app_id)
    await visitor.decide(analytics=0)
    assert await gated.rows.fetchval(statistics, gated.app_id) == "[]"


async def _decide_at_once(app: App, *decisions: tuple[int, datetime]) -> None:
    """Consent visitors of one browser decide about analytics, in one batch."""
    collects = []
    for status, decided_at in decisions:
        body = {
            "websiteId": app.app_id,
            "visitorId": str(uuid4()),
            "hostname": "shop.example",
            "event": "consent_change",
            "consents": {"analytics": {"status": status}},
            "decidedAt": decided_at.isoformat(),
            "cookies": f"_pk_id.{app.app_id}.1fff={ANALYTICS_ID}.1.2.3",
        }
        collects.append(Collect(parse_collected(body, is_gpc_signalled=False), None))
    writer = make_writer(app.database.hold())
    try:
        assert await writer.write(collects) == [None] * len(collects)
    finally:
        await writer.close()


async def test_of_decisions_of_one_batch_the_newest_of_a_browser_counts(
    authorized: Authorized, gated: App
) -> None:
    await change_settings(authorized, gated, is_erased_on_withdrawal=True)
    await gated.write(ITEM)
    now = clock.now()
    await _decide_at_once(gated, (1, now), (0, now - timedelta(hours=1)))
    assert await _consents(gated) == {"analytics": 1}
    assert await gated.write(ITEM) == (204, "")
    await _decide_at_once(gated, (0, now), (1, now - timedelta(minutes=1)))
    assert await _consents(gated) == {"analytics": 0}


async def test_withdrawal_erases_nothing_unless_the_app_wants_it(gated: App) -> None:
    visitor = new_visitor(gated, ANALYTICS_ID)
    await visitor.decide(analytics=1)
    await gated.write(ITEM)
    await visitor.decide(analytics=0)
    assert await _attributes(gated) == {"color": "green"}


async def test_a_decision_without_cookies_reaches_the_profile_it_was_tied_to(
    authorized: Authorized, gated: App
) -> None:
    await change_settings(authorized, gated, is_erased_on_withdrawal=True)
    visitor = new_visitor(gated, ANALYTICS_ID)
    await visitor.decide(analytics=1)
    await gated.write(ITEM)
    visitor.cookies = None
    await visitor.decide(analytics=0)
    assert await _consents(gated) == {"analytics": 0}
    assert await _attributes(gated) == {}
    assert await gated.write(ITEM) == SKIPPED


async def test_a_withdrawal_older_than_another_decision_of_the_browser_erases_nothing(
    authorized: Authorized, gated: App
) -> None:
    await change_settings(authorized, gated, is_erased_on_withdrawal=True)
    first, second = new_visitor(gated, ANALYTICS_ID), new_visitor(gated, ANALYTICS_ID)
    moments = [(clock.now() - timedelta(hours=hours)).isoformat() for hours in (3, 2, 1)]
    await first.decide(analytics=1, decidedAt=moments[2])
    await gated.write(ITEM)
    await second.decide(analytics=1, decidedAt=moments[0])
    await second.decide(analytics=0, decidedAt=moments[1])
    assert len(await history(gated)) == 3
    assert await _consents(gated) == {"analytics": 1}
    assert await _attributes(gated) == {"color": "green"}
