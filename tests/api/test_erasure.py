"""Erasing a person's profiles: nothing stays, and nothing of it comes back."""

from datetime import timedelta
from typing import Any

import pytest

from audience import public
from audience.profile_changes.imports.jobs import apply_imports
from audience.profile_changes.storage import loading_statement
from audience.profiles.identifiers import Identifier
from audience.server import clock
from tests.conftest import App, Authorized, MakeApp
from tests.database_dump import found_in_dump

VISITOR = "fedcba98deadbeef"
MARKERS = (
    "marker-user",
    "marker@example.com",
    "marker-old@example.com",
    "marker-device",
    VISITOR,
    "marker-value",
    "marker-item",
    "marker-form",
)
PERSON = {
    "user_id": "marker-user",
    "email": "Marker@Example.com",
    "device_id": "marker-device",
    "analytics_visitor_id": VISITOR,
}
BY_EMAIL = Identifier("email", "marker@example.com")
BY_USER = Identifier("user_id", "marker-user")
BATCH: dict[str, Any] = {
    **PERSON,
    "attributes": [
        {"name": "color", "value": "marker-value"},
        {"name": "brands", "action": "list-add", "value": "marker-item"},
        {"name": "age", "value": 47},
    ],
}


async def _make_person(app: App) -> None:
    """A person with a changed e-mail, merges, attributes and a form."""
    await app.write({"user_id": "marker-user", "email": "marker-old@example.com"})
    await app.write({"device_id": "marker-device", "attributes": [{"name": "n", "value": "x"}]})
    # The ledger keeps the e-mail as it was, also when it changes later.
    await app.write({"user_id": "marker-user", "device_id": "marker-device"})
    await app.write({"analytics_visitor_id": VISITOR})
    await app.write(BATCH)
    form = {**PERSON, "form_id": "f", "url": "https://marker-form/", "attributes": []}
    answer = await app.service.post(
        "/audiences/tracker/forms/", json=[{"website_id": app.app_id, **form}]
    )
    assert answer.status == 204


async def _erase(app: App, *identifiers: Identifier) -> dict[str, int]:
    async with app.database.transaction() as conn:
        counts = await public.erase_person(conn, app.app_id, identifiers, clock.now())
    is_more = True
    while is_more:
        async with app.database.transaction() as conn:
            _, is_more = await public.erase_some_merges(conn, app.app_id)
    return counts


async def test_no_table_has_a_trace_of_an_erased_person(
    app: App, noise: App, database_url: str
) -> None:
    await _make_person(app)
    assert set(found_in_dump(database_url, MARKERS)) == set(MARKERS)
    kept = await noise.identifier_graph()
    async with app.database.transaction() as conn:
        preview = await public.count_person_rows(conn, app.app_id, [BY_EMAIL])
    counts = await _erase(app, BY_EMAIL)
    assert counts == preview
    assert counts["profiles"] == 1
    assert counts["profile_identifiers"] == 4
    assert counts["profile_merges"] == 2
    assert found_in_dump(database_url, MARKERS) == []
    assert await noise.identifier_graph() == kept


async def test_neighbours_of_the_same_app_and_namesakes_of_other_apps_stay(
    app: App, make_app: MakeApp
) -> None:
    other = await make_app()
    await _make_person(app)
    await _make_person(other)
    await app.write({"user_id": "neighbour", "attributes": [{"name": "color", "value": "red"}]})
    await _erase(app, BY_EMAIL)
    assert (await app.profile("user_id", "neighbour"))["attributes"] == {"color": "red"}
    assert (await other.profile("user_id", "marker-user"))["attributes"]["color"] == "marker-value"
    assert await app.count("profiles") == 1


async def test_erasing_twice_changes_nothing_more(app: App) -> None:
    await _make_person(app)
    await _erase(app, BY_EMAIL, BY_USER)
    assert await _erase(app, BY_EMAIL, BY_USER) == {}


async def test_a_new_write_after_an_erasure_starts_an_empty_profile(app: App) -> None:
    await _make_person(app)
    before = await app.profile("user_id", "marker-user")
    await _erase(app, BY_EMAIL)
    status, _ = await app.write(
        {"user_id": "marker-user", "attributes": [{"name": "color", "value": "blue"}]}
    )
    assert status == 204
    after = await app.profile("user_id", "marker-user")
    assert after["id"] != before["id"]
    assert after["attributes"] == {"color": "blue"}
    assert after["forms"] == {}
    assert "email" not in after


async def test_a_late_retry_of_an_old_batch_brings_nothing_back(
    app: App, database_url: str
) -> None:
    await _make_person(app)
    await _erase(app, BY_EMAIL)
    assert await app.write(BATCH) == (204, "")
    old = [{"name": "color", "value": "marker-value"}]
    assert await app.write({"user_id": "marker-user", "attributes": old}) == (204, "")
    # What Android sends: every value is a text.
    age = [{"name": "age", "value": "47"}]
    assert await app.write({**PERSON, "attributes": age}, Prefer="handling=strict") == (204, "")
    form = {**PERSON, "form_id": "f", "url": "https://marker-form/", "website_id": app.app_id}
    answer = await app.service.post("/data/tracker/forms/", json=[{**form, "attributes": []}])
    assert answer.status == 204
    assert await app.count("profiles") == 0
    assert found_in_dump(database_url, MARKERS) == []


async def test_a_mixed_batch_keeps_only_what_is_new(app: App) -> None:
    await _make_person(app)
    await _erase(app, BY_EMAIL)
    entries = [*BATCH["attributes"], {"name": "city", "value": "Rome"}]
    assert (await app.write({"user_id": "marker-user", "attributes": entries}))[0] == 204
    assert (await app.profile("user_id", "marker-user"))["attributes"] == {"city": "Rome"}


async def test_what_cannot_be_told_from_new_is_late_beside_what_is(
    app: App, database_url: str
) -> None:
    await _make_person(app)
    await _erase(app, BY_EMAIL)
    # One act of a client: it is as old as the value by which it is recognised.
    visit = {"name": "visits", "action": "add", "value": 3}
    removed = {"name": "brands", "action": "list-remove", "value": "other"}
    old = {"name": "color", "value": "marker-value"}
    late = {"user_id": "marker-user", "attributes": [old, visit, removed]}
    assert await app.write(late, Prefer="handling=strict") == (204, "")
    form = {**PERSON, "form_id": "f", "url": "https://marker-form/", "website_id": app.app_id}
    answer = await app.service.post("/data/tracker/forms/", json=[{**form, "attributes": [visit]}])
    assert answer.status == 204
    assert await app.count("profiles") == 0
    assert found_in_dump(database_url, MARKERS) == []
    # Beside something new it is new, and so it is alone.
    new = {"name": "city", "value": "Rome"}
    await app.write({"user_id": "marker-user", "attributes": [old, visit, new]})
    await app.write({"user_id": "marker-user", "attributes": [visit]})
    profile = await app.profile("user_id", "marker-user")
    assert profile["attributes"] == {"visits": 6, "city": "Rome"}


async def test_a_late_retry_of_a_value_that_a_merge_has_replaced_brings_nothing_back(
    app: App, database_url: str
) -> None:
    old = {"device_id": "marker-device", "attributes": [{"name": "color", "value": "marker-old"}]}
    await app.write(old)
    color = [{"name": "color", "value": "marker-value"}]
    await app.write({"user_id": "marker-user", "attributes": color})
    await app.write({"user_id": "marker-user", "device_id": "marker-device"})
    assert (await app.profile("user_id", "marker-user"))["attributes"]["color"] == "marker-value"
    await _erase(app, BY_USER)
    assert await app.write(old) == (204, "")
    assert await app.count("profiles") == 0
    assert found_in_dump(database_url, (*MARKERS, "marker-old")) == []


async def test_visitor_ids_of_an_erased_person_are_blocked_for_a_day(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _make_person(app)
    await _erase(app, BY_EMAIL)
    new = [{"name": "city", "value": "Rome"}]
    only = {"analytics_visitor_id": VISITOR.upper(), "attributes": new}
    assert await app.write(only) == (204, "")
    # A placeholder beside it is no identifier either, and no reason for a 400.
    assert await app.write({**only, "user_id": "null"}) == (204, "")
    assert await app.count("profiles") == 0
    assert (await app.write({**only, "user_id": "marker-user"}))[0] == 204
    assert "analytics_visitor_id" not in await app.profile("user_id", "marker-user")
    later = clock.now() + timedelta(hours=24, minutes=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert (await app.write(only))[0] == 204
    assert (await app.profile("analytics_visitor_id", VISITOR))["attributes"] == {"city": "Rome"}


async def test_what_is_remembered_is_looked_up_however_small_its_table_was(app: App) -> None:
    await app.write({"user_id": "jane"})
    async with app.database.transaction() as conn:
        await public.erase_person(conn, app.app_id, [Identifier("user_id", "jane")], clock.now())
    await app.rows.execute("ANALYZE erased_identifiers")
    writer = await app.database.connect()
    try:
        statement = loading_statement(has_erased=True)
        wanted = [app.app_id], ["{user_id}"], ["{jane}"]
        plan = await writer.fetch(f"EXPLAIN {statement}", *wanted)
        text = "\n".join(row[0] for row in plan)
        assert "Seq Scan" not in text
        assert "pk__erased_identifiers" in text
    finally:
        await writer.close()


async def test_others_in_a_batch_with_an_erased_person_are_stored(app: App) -> None:
    await _make_person(app)
    await _erase(app, BY_EMAIL)
    new = [{"name": "city", "value": "Rome"}]
    status, _ = await app.write(BATCH, {"user_id": "somebody", "attributes": new})
    assert status == 204
    assert (await app.profile("user_id", "somebody"))["attributes"] == {"city": "Rome"}
    assert await app.count("profiles") == 1


async def test_facts_from_before_the_erasure_are_dropped(app: App, authorized: Authorized) -> None:
    await _make_person(app)
    earlier = clock.now() - timedelta(minutes=5)
    await _erase(app, BY_EMAIL)
    fact = {"website_id": app.app_id, "analytics_visitor_id": VISITOR, "visit": True}
    facts = [
        {**fact, "occurred_at": earlier.isoformat(), "user_id": "marker-user"},
        {**fact, "occurred_at": clock.now().isoformat()},
    ]
    status, answer = await authorized.post("/api/audiences/v1/analytics/", json=facts)
    assert (status, answer["erased"]) == (200, 2)
    assert await app.count("profiles") == 0
    fact |= {"occurred_at": clock.now().isoformat(), "user_id": "marker-user"}
    status, answer = await authorized.post("/api/audiences/v1/analytics/", json=[fact])
    assert (status, answer["erased"]) == (200, 0)
    assert "analytics_visitor_id" not in await app.profile("user_id", "marker-user")


async def test_an_absorbed_profile_s_id_erases_its_survivor(app: App) -> None:
    await app.write({"device_id": "marker-device"})
    absorbed = (await app.profile("device_id", "marker-device"))["id"]
    await app.write({"user_id": "marker-user"})
    await app.write(PERSON)
    assert (await app.profile("user_id", "marker-user"))["id"] != absorbed
    async with app.database.transaction() as conn:
        counts = await public.erase_profile(conn, app.app_id, absorbed, clock.now())
    assert counts["profiles"] == 1
    assert await app.count("profiles") == 0


async def test_two_erasures_of_one_person_are_both_remembered(app: App) -> None:
    await _make_person(app)
    await _erase(app, BY_EMAIL)
    second = {**PERSON, "attributes": [{"name": "color", "value": "marker-second"}]}
    await app.write(second)
    await _erase(app, BY_EMAIL)
    await app.write(BATCH, second)
    assert await app.count("profiles") == 0


async def test_erasures_are_forgotten_after_some_days(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _make_person(app)
    await _erase(app, BY_EMAIL)
    key = "SELECT erasure_key FROM apps WHERE app_id = $1"
    assert await app.rows.fetchval(key, app.app_id) is not None
    service_app = app.service.server.app  # type: ignore[attr-defined]
    while await public.finish_erasures(service_app):
        pass
    assert await app.count("erasures") == 1
    later = clock.now() + timedelta(days=7, minutes=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    while await public.finish_erasures(service_app):
        pass
    assert await app.count("erasures") == 0
    assert await app.count("erased_identifiers") == 0
    assert await app.rows.fetchval(key, app.app_id) is None
    await app.write(BATCH)
    assert (await app.profile("user_id", "marker-user"))["attributes"]["color"] == "marker-value"


async def test_the_ledger_of_an_erased_person_goes_in_bounded_steps(app: App) -> None:
    await _make_person(app)
    await app.rows.execute(MANY_MERGES, app.app_id)
    assert await app.count("profile_merges") == 1202
    async with app.database.transaction() as conn:
        await public.erase_person(conn, app.app_id, [BY_EMAIL], clock.now())
    removed = []
    is_more = True
    while is_more:
        async with app.database.transaction() as conn:
            count, is_more = await public.erase_some_merges(conn)
        removed.append(count)
    assert await app.count("profile_merges") == 0
    assert sum(removed) == 1202
    assert max(removed) == 1_000


async def test_a_late_item_without_values_brings_no_identifiers_back(app: App) -> None:
    await _make_person(app)
    await _erase(app, BY_EMAIL)
    assert await app.write({**PERSON, "attributes": []}) == (204, "")
    assert await app.count("profiles") == 0
    # Who comes back and does something is served.
    await app.write({**PERSON, "attributes": [{"name": "color", "value": "new"}]})
    assert (await app.profile("user_id", "marker-user"))["attributes"] == {"color": "new"}


#: Gives the first merge's survivor 1,200 more absorbed profiles.
MANY_MERGES = """
INSERT INTO profile_merges (app_id, merge_id, survivor_profile_id, absorbed_profile_id, identifiers,
    survivor_before, absorbed_before, merged_at)
SELECT app_id, gen_random_uuid(), survivor_profile_id, gen_random_uuid(), identifiers,
    survivor_before, absorbed_before, merged_at
FROM (SELECT * FROM profile_merges WHERE app_id = $1 ORDER BY merge_id LIMIT 1) one,
    generate_series(1, 1200)
"""


async def test_rows_of_a_file_that_waits_do_not_bring_anybody_back(
    app: App, authorized: Authorized, database_url: str
) -> None:
    await _make_person(app)
    rows = ["user_id,email,color", "marker-user,,marker-file", "other,,red"]
    rows += [f"u{number},,red" for number in range(1200)] + ["m,marker@example.com,marker-file"]
    query = {"website_id": app.app_id}
    status, _ = await authorized.post(
        "/api/audiences/v1/profiles/import/",
        params=query,
        data="\n".join(rows),
        headers={"Content-Type": "text/csv"},
    )
    assert status == 202
    await _erase(app, BY_EMAIL)
    after: tuple[str, int] | None = public.IMPORTS_BEGINNING
    removed, steps = 0, 0
    while after is not None:
        async with app.database.transaction() as conn:
            after, count = await public.erase_from_imports(conn, app.app_id, after)
        removed, steps = removed + count, steps + 1
    assert (removed, steps) == (2, 3)
    assert found_in_dump(database_url, (*MARKERS, "marker-file")) == []
    while await apply_imports(app.service.app):
        pass
    assert await app.count("profiles") == 1201


async def test_a_file_that_is_applied_before_it_is_cleaned_brings_nobody_back(
    app: App, authorized: Authorized, database_url: str
) -> None:
    await _make_person(app)
    status, _ = await authorized.post(
        "/api/audiences/v1/profiles/import/",
        params={"website_id": app.app_id},
        data="user_id,color\nmarker-user,marker-file\nother,red",
        headers={"Content-Type": "text/csv"},
    )
    assert status == 202
    await _erase(app, BY_EMAIL)
    while await apply_imports(app.service.app):
        pass
    assert found_in_dump(database_url, (*MARKERS, "marker-file")) == []
    # What comes in afterwards is a new write.
    new = [{"name": "color", "value": "marker-file"}]
    await app.write({"user_id": "marker-user", "attributes": new})
    assert await app.count("profiles") == 2


async def _undo_merge(app: App, client: Authorized) -> tuple[int, Any]:
    merge_id = await app.rows.fetchval("SELECT max(merge_id::text) FROM profile_merges")
    url = f"/api/audiences/v1/merges/{merge_id}/undo/?website_id={app.app_id}"
    return await client.post(url)


async def test_undoing_a_merge_brings_no_erased_identifier_back(
    app: App, authorized: Authorized
) -> None:
    await app.write({"device_id": "marker-device", "analytics_visitor_id": VISITOR})
    await app.write({"user_id": "jane"}, {"user_id": "jane", "device_id": "marker-device"})
    # The last login wins: the visitor ID is somebody else's now, who is erased.
    await app.write({"user_id": "marker-user", "analytics_visitor_id": VISITOR})
    await _erase(app, BY_USER)
    status, body = await _undo_merge(app, authorized)
    assert status == 200
    assert body["data"]["attributes"]["device_ids"] == ["marker-device"]
    assert await app.profiles("analytics_visitor_id", VISITOR) == []


async def test_undoing_a_merge_brings_no_erased_person_back(
    app: App, authorized: Authorized
) -> None:
    color = [{"name": "color", "value": "marker-value"}]
    await app.write({"device_id": "marker-device", "attributes": color}, {"user_id": "jane"})
    await app.write({"user_id": "jane", "device_id": "marker-device"})
    await app.write({"user_id": "marker-user", "device_id": "marker-device"})
    await _erase(app, BY_USER)
    status, body = await _undo_merge(app, authorized)
    assert (status, body["errors"][0]["code"]) == (409, "person_erased")
    assert await app.count("profiles") == 1
    # Whoever comes back since is somebody new.
    await app.write({"device_id": "marker-device", "attributes": [{"name": "n", "value": 1}]})
    assert (await app.profile("device_id", "marker-device"))["attributes"] == {"n": 1}


async def test_an_undone_merge_shows_nothing_of_an_erased_person(
    app: App, authorized: Authorized
) -> None:
    color = [{"name": "color", "value": "marker-value"}]
    await app.write({"device_id": "marker-device", "attributes": color}, {"user_id": "jane"})
    await app.write({"user_id": "jane", "device_id": "marker-device"})
    assert (await _undo_merge(app, authorized))[0] == 200
    async with app.database.transaction() as conn:
        whom = [Identifier("device_id", "marker-device")]
        counts = await public.erase_person(conn, app.app_id, whom, clock.now())
    assert counts["profile_merges"] == 1
    # At once, whenever the rest of the ledger follows.
    profile_id = (await app.profile("user_id", "jane"))["id"]
    url = f"/api/audiences/v1/profiles/{profile_id}/merges/?website_id={app.app_id}"
    assert (await authorized.get(url))[1]["data"] == []
