"""Erasing a person whose identifiers another profile held before: its merges tell nothing of them.

The other profile is somebody else's and stays, and so does all that its merges tell of it.
"""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from audience import public
from audience.profile_changes.erasure import operations
from audience.profiles.identifiers import Identifier
from audience.server import clock
from audience.server.database import raw
from tests.conftest import App, Authorized
from tests.database_dump import found_in_dump

VISITOR = "fedcba98deadbeef"
DEVICE = "marker-device"
MARKERS = (VISITOR, DEVICE)
HELD: dict[str, Any] = {"analytics_visitor_id": VISITOR, "device_id": DEVICE}
COLOR = [{"name": "color", "value": "green"}]


async def _erase(app: App, name: str, value: str) -> None:
    async with app.database.transaction() as conn:
        await public.erase_person(conn, app.app_id, [Identifier(name, value)], clock.now())


async def _finish(app: App) -> int:
    """The rest of all erasures; in how many steps."""
    steps, is_more = 0, True
    while is_more:
        async with app.database.transaction() as conn:
            _, is_more = await public.erase_some_merges(conn, app.app_id)
        steps += is_more
    return steps


async def _forget_erasures(app: App) -> None:
    """Let the days pass for which an erasure is remembered."""
    later = clock.now() + timedelta(days=8)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clock, "now", lambda: later)
        while await public.finish_erasures(app.service.server.app):  # type: ignore[attr-defined]
            pass
    assert await app.count("erased_identifiers") == 0


async def _merged(app: App) -> str:
    """Jane's profile has absorbed the one with VISITOR and DEVICE; its id."""
    await app.write({**HELD, "attributes": COLOR})
    await app.write({"user_id": "jane", "device_id": "jane-phone"})
    await app.write({"user_id": "jane", "device_id": DEVICE})
    return str((await app.profile("user_id", "jane"))["id"])


async def _split(app: App, client: Authorized, profile_id: str) -> None:
    identifiers = [{"identifier": name, "value": value} for name, value in HELD.items()]
    url = f"/api/audiences/v1/profiles/{profile_id}/split/?website_id={app.app_id}"
    status, _ = await client.post(url, json={"identifiers": identifiers})
    assert status == 201


async def _undo(app: App, client: Authorized, number: int = 0) -> tuple[int, Any]:
    """Undo the first merge of the ledger, or one that came later."""
    merge_id = await app.rows.fetchval(
        "SELECT merge_id::text FROM profile_merges WHERE app_id = $1 ORDER BY sequence OFFSET $2"
        " LIMIT 1",
        *(app.app_id, number),
    )
    return await client.post(f"/api/audiences/v1/merges/{merge_id}/undo/?website_id={app.app_id}")


async def _assert_clean(app: App, database_url: str, *markers: str) -> None:
    assert found_in_dump(database_url, markers or MARKERS) == []
    assert await app.count("moved_identifiers") == 0


async def test_identifiers_that_were_split_off(
    app: App, authorized: Authorized, database_url: str
) -> None:
    await _split(app, authorized, await _merged(app))
    assert set(found_in_dump(database_url, MARKERS)) == set(MARKERS)
    await _erase(app, "device_id", DEVICE)
    # At once: there are few documents.
    await _assert_clean(app, database_url)
    assert await app.count("profile_merges") == 1
    assert (await app.profile("user_id", "jane"))["attributes"] == {"color": "green"}


async def test_a_device_that_changed_hands(app: App, database_url: str) -> None:
    await _merged(app)
    await app.write({"user_id": "marker-user", "device_id": DEVICE})
    await app.write({"user_id": "marker-user", "analytics_visitor_id": VISITOR})
    await _erase(app, "user_id", "marker-user")
    await _assert_clean(app, database_url, "marker-user", *MARKERS)
    assert (await app.profile("user_id", "jane"))["device_ids"] == ["jane-phone"]


async def test_a_device_that_changed_hands_in_the_request_that_merged(
    app: App, database_url: str
) -> None:
    await app.write({**HELD}, {"user_id": "marker-user"})
    await app.write(
        {"user_id": "jane", "analytics_visitor_id": VISITOR},
        {"user_id": "jane", "device_id": DEVICE},
        {"user_id": "marker-user", "device_id": DEVICE},
        {"user_id": "marker-user", "analytics_visitor_id": VISITOR},
    )
    await app.write({"user_id": "marker-user", "device_id": DEVICE})
    await app.write({"user_id": "marker-user", "analytics_visitor_id": VISITOR})
    await _erase(app, "user_id", "marker-user")
    await _finish(app)
    await _assert_clean(app, database_url, "marker-user", *MARKERS)


async def test_writes_of_one_batch_that_merge_and_move(app: App, database_url: str) -> None:
    await app.write({**HELD}, {"user_id": "marker-user"}, {"user_id": "jane"})
    await asyncio.gather(
        app.write({"user_id": "jane", "device_id": DEVICE}),
        app.write({"user_id": "jane", "analytics_visitor_id": VISITOR}),
        app.write({"user_id": "marker-user", "device_id": DEVICE}),
        app.write({"user_id": "marker-user", "analytics_visitor_id": VISITOR}),
    )
    assert await app.count("profile_merges") == 1
    await _erase(app, "user_id", "marker-user")
    await _assert_clean(app, database_url, "marker-user", *MARKERS)


async def test_identifiers_that_left_a_profile_within_another_one(
    app: App, database_url: str
) -> None:
    await _merged(app)
    # Jane's profile lives on in that of an e-mail; the profile with the markers within hers.
    await app.write({"email": "jane@example.com", "attributes": COLOR})
    await app.write({"user_id": "jane", "email": "jane@example.com"})
    await app.write({"user_id": "marker-user", **HELD})
    await app.write({"user_id": "marker-user", "device_id": DEVICE})
    assert await app.profile("device_id", DEVICE) == await app.profile("user_id", "marker-user")
    await _erase(app, "user_id", "marker-user")
    await _assert_clean(app, database_url, "marker-user", *MARKERS)
    assert await app.count("profile_merges") == 2


async def test_an_e_mail_that_was_given_up_and_taken_by_another_person(
    app: App, database_url: str
) -> None:
    await app.write({"user_id": "jane", "email": "marker@example.com"}, {"device_id": "phone"})
    await app.write({"user_id": "jane", "device_id": "phone"})
    await app.write({"user_id": "jane", "email": "jane@example.com"})
    await app.write({"user_id": "bob", "email": "marker@example.com"})
    await _erase(app, "user_id", "bob")
    await _assert_clean(app, database_url, "marker@example.com")


async def test_an_identifier_that_only_the_cause_of_a_merge_names(
    app: App, database_url: str
) -> None:
    await app.write({"user_id": "bob", "email": "marker@example.com"}, {"device_id": "phone"})
    await app.write({"user_id": "jane"})
    await app.write({"user_id": "jane", "email": "marker@example.com", "device_id": "phone"})
    assert (await app.profile("email", "marker@example.com"))["user_id"] == "bob"
    assert await app.count("profile_merges") == 1
    await _erase(app, "user_id", "bob")
    await _assert_clean(app, database_url, "marker@example.com")


async def test_identifiers_of_somebody_whose_merge_was_undone(
    app: App, authorized: Authorized, database_url: str
) -> None:
    await _merged(app)
    await app.write({"device_id": "tablet"})
    # The second merge's document of Jane has the markers too.
    await app.write({"user_id": "jane", "device_id": "tablet"})
    assert (await _undo(app, authorized))[0] == 200
    await _erase(app, "device_id", DEVICE)
    await _assert_clean(app, database_url)
    assert await app.count("profile_merges") == 1
    assert (await _undo(app, authorized))[0] == 200
    assert (await app.profile("device_id", "tablet"))["device_ids"] == ["tablet"]


async def test_identifiers_that_did_not_come_back_when_a_merge_was_undone(
    app: App, authorized: Authorized, database_url: str
) -> None:
    await app.write(HELD, {"email": "old@example.com"})
    await app.write({"email": "old@example.com", "device_id": DEVICE})
    await app.write({"user_id": "jane"})
    await app.write({"user_id": "jane", "email": "old@example.com"})
    await app.write({"user_id": "marker-user", **HELD})
    await app.write({"user_id": "marker-user", "device_id": DEVICE})
    # The profile of the e-mail, with a merge of its own, is no part of Jane's any more.
    assert (await _undo(app, authorized, 1))[0] == 200
    await _erase(app, "user_id", "jane")
    await _finish(app)
    await _erase(app, "user_id", "marker-user")
    await _assert_clean(app, database_url, "marker-user", *MARKERS)
    assert await app.profiles("email", "old@example.com")


async def test_a_merge_whose_documents_lost_an_identifier_is_undone(
    app: App, authorized: Authorized
) -> None:
    await _merged(app)
    await app.write({"user_id": "marker-user", "analytics_visitor_id": VISITOR})
    await _erase(app, "user_id", "marker-user")
    await _forget_erasures(app)
    status, body = await _undo(app, authorized)
    assert status == 200
    restored = body["data"]["attributes"]
    assert restored["device_ids"] == [DEVICE]
    assert restored["attributes"] == {"color": "green"}
    assert not {"analytics_visitor_id", "analytics_visitor_ids"} & restored.keys()
    assert (await app.profile("user_id", "jane"))["attributes"] == {}
    assert await app.profiles("analytics_visitor_id", VISITOR) == []


async def test_nobody_is_brought_back_without_an_identifier(
    app: App, authorized: Authorized
) -> None:
    await _split(app, authorized, await _merged(app))
    await _erase(app, "device_id", DEVICE)
    await _forget_erasures(app)
    status, body = await _undo(app, authorized)
    assert (status, body["errors"][0]["code"]) == (409, "person_erased")
    assert await app.count("profiles") == 1


async def test_two_erasures_at_once(app: App, database_url: str) -> None:
    await _merged(app)
    await app.write({"user_id": "marker-user", "device_id": DEVICE})
    await app.write({"user_id": "marker-other", "analytics_visitor_id": VISITOR})
    await asyncio.gather(
        _erase(app, "user_id", "marker-user"), _erase(app, "user_id", "marker-other")
    )
    await _assert_clean(app, database_url, "marker-user", "marker-other", *MARKERS)


async def test_many_documents_are_cleaned_in_steps(
    app: App, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr(operations, "_MOVED_AT_ONCE", 1)
    monkeypatch.setattr(operations, "_DOCUMENTS_AT_ONCE", 2)
    await _merged(app)
    for number in range(5):
        await app.write({"device_id": f"phone-{number}"})
        await app.write({"user_id": "jane", "device_id": f"phone-{number}"})
    await app.write({"user_id": "marker-user", "device_id": DEVICE})
    await app.write({"user_id": "marker-user", "analytics_visitor_id": VISITOR})
    await _erase(app, "user_id", "marker-user")
    assert set(found_in_dump(database_url, MARKERS)) == set(MARKERS)
    assert await _finish(app) > 5
    await _assert_clean(app, database_url, "marker-user", *MARKERS)
    assert await app.count("profile_merges") == 6


async def test_a_step_takes_as_many_statements_for_many_documents_as_for_one(app: App) -> None:
    counts = []
    for number, phones in enumerate((1, 6)):
        device = f"marker-{number}"
        await app.write({"user_id": f"jane-{number}", "device_id": device})
        for phone in range(phones):
            await app.write({"device_id": f"phone-{number}-{phone}"})
            await app.write({"user_id": f"jane-{number}", "device_id": f"phone-{number}-{phone}"})
        await app.write({"user_id": f"bob-{number}", "device_id": device})
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(operations, "_MOVED_AT_ONCE", 0)
            await _erase(app, "user_id", f"bob-{number}")
        sent: list[str] = []
        async with app.database.transaction() as conn:
            driver = await raw(conn)
            with driver.query_logger(lambda record: sent.append(record.query)):  # noqa: B023
                assert (await public.erase_some_merges(conn, app.app_id))[1]
        counts.append(len(sent))
        assert await app.count("moved_identifiers") == 0
    assert counts[0] == counts[1] < 10


async def test_a_merge_that_is_undone_meanwhile_brings_nothing_back(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr(operations, "_MOVED_AT_ONCE", 0)
    await _merged(app)
    await app.write({"email": "jane@example.com"}, {"device_id": "tablet"})
    await app.write({"user_id": "jane", "email": "jane@example.com"})
    await app.write({"user_id": "jane", "device_id": "tablet"})
    await app.write({"user_id": "marker-user", "device_id": DEVICE})
    await app.write({"user_id": "marker-user", "analytics_visitor_id": VISITOR})
    await _erase(app, "user_id", "marker-user")
    assert set(found_in_dump(database_url, MARKERS)) == set(MARKERS)
    assert (await _undo(app, authorized, 1))[0] == 200
    monkeypatch.setattr(operations, "_MOVED_AT_ONCE", 1)
    assert await _finish(app) > 2
    assert found_in_dump(database_url, ("marker-user", *MARKERS)) == []
    # Jane's e-mail has left her.
    assert await app.count("moved_identifiers") == 1


async def test_the_former_holder_s_erasure_forgets_what_had_left(
    app: App, authorized: Authorized
) -> None:
    await _split(app, authorized, await _merged(app))
    assert await app.count("moved_identifiers") == 2
    await _erase(app, "user_id", "jane")
    await _finish(app)
    assert await app.count("moved_identifiers") == 0
    assert (await app.profile("device_id", DEVICE))["device_ids"] == [DEVICE]


async def test_the_former_holder_s_deletion_forgets_what_had_left(
    app: App, authorized: Authorized
) -> None:
    profile_id = await _merged(app)
    await _split(app, authorized, profile_id)
    url = f"/api/audiences/v1/profiles/{profile_id}/?website_id={app.app_id}"
    assert (await authorized.delete(url))[0] == 204
    assert await app.count("moved_identifiers") == 0


async def test_a_profile_that_is_deleted_by_hand_is_in_nobody_s_merges(
    app: App, authorized: Authorized, database_url: str
) -> None:
    profile_id = await _merged(app)
    await _split(app, authorized, profile_id)
    assert await app.count("moved_identifiers") == 2
    split_off = (await app.profile("device_id", DEVICE))["id"]
    url = f"/api/audiences/v1/profiles/{split_off}/?website_id={app.app_id}"
    assert (await authorized.delete(url))[0] == 204
    # Nothing is left to be done: nothing is remembered of it that could keep it from coming back.
    await _assert_clean(app, database_url)
    assert (await _undo(app, authorized))[0] == 409
    jane = await app.profile("user_id", "jane")
    assert (jane["id"], jane["device_ids"]) == (profile_id, ["jane-phone"])
    await _assert_clean(app, database_url)


async def test_many_documents_of_a_profile_that_is_deleted_by_hand(
    app: App, authorized: Authorized, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_DOCUMENTS_AT_ONCE", 2)
    await app.write({"user_id": "jane", **HELD})
    for number in range(5):
        await app.write({"device_id": f"phone-{number}"})
        await app.write({"user_id": "jane", "device_id": f"phone-{number}"})
    await app.write({"user_id": "marker-bob", "device_id": DEVICE})
    await app.write({"user_id": "marker-bob", "analytics_visitor_id": VISITOR})
    bob = (await app.profile("user_id", "marker-bob"))["id"]
    url = f"/api/audiences/v1/profiles/{bob}/?website_id={app.app_id}"
    assert (await authorized.delete(url))[0] == 204
    await _assert_clean(app, database_url, *MARKERS, "marker-bob")
    assert await app.count("profile_merges") == 5


async def test_nothing_is_noted_of_profiles_without_a_merge(app: App) -> None:
    await app.write({"user_id": "jane", **HELD})
    await app.write({"user_id": "bob", "device_id": DEVICE})
    await app.write({"user_id": "bob", "analytics_visitor_id": VISITOR})
    assert await app.count("moved_identifiers") == 0
