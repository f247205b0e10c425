"""Requests without an e-mail, which name the person's user ID or address, in the others' execution.

Letters and OpenDSR requests. Each person here has a neighbour, who has written such letters too.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from audience.server.database import Database
from consent.data_subject_requests import storage
from consent.data_subject_requests.execution import erasing
from consent.data_subject_requests.execution.jobs import execute_step
from tests.conftest import App
from tests.data_subjects import Office
from tests.database_dump import found_in_dump
from tests.mailbox import secrets_of
from tests.privacy.controller import PATH, request_body, send
from tests.privacy.executing import execute, export_of, preview, receipt_of, run
from tests.privacy.people import MARKERS, make_people, verified_request

USER_ID = {"identifier_name": "user_id", "identifier_value": "marker-jane"}
EMAIL = {"identifier_name": "email", "identifier_value": " Jane@Shop.example "}
NEIGHBOURS_ID = {"identifier_name": "user_id", "identifier_value": "neighbour-joe"}


async def _letter(
    office: Office,
    *identities: dict[str, str],
    content: str = "marker-letter",
    is_verified: bool = False,
    **members: Any,
) -> str:
    """A letter with these identities; its id."""
    given = {"request_type": "change_data", "identities": list(identities), "content": content}
    status, body = await office.create(**{**given, **members})
    assert status == 201, body
    request_id = str(body["data"]["id"])
    if is_verified:
        assert (await office.act(request_id, "verify", reason="passport seen"))[0] == 200
    return request_id


async def _opendsr(office: Office, user_id: str) -> str:
    """A controller's access request that names a user ID only; our id of it."""
    identity = {
        "identity_type": "controller_customer_id",
        "identity_value": user_id,
        "identity_format": "raw",
    }
    body = request_body(
        subject_request_type="access",
        subject_identities=[identity],
        property_id=office.app_id,
        extensions={"consent.example": {"website_id": office.app_id}},
    )
    status, answer, _ = await send(office, "POST", PATH, json=body)
    assert status == 201, answer
    return str(
        await office.rows.fetchval(
            "SELECT request_id FROM opendsr_requests WHERE subject_request_id = $1",
            body["subject_request_id"],
        )
    )


async def _claim(office: Office) -> str:
    """A request whose e-mail is proved, and the user ID only claimed; its id."""
    claim = await _letter(
        office, USER_ID, email="joe@shop.example", content="neighbour-claim", asks_for_proof=True
    )
    (mail,) = await office.deliver()
    assert (await office.confirm(*secrets_of(mail)))[0] == 200
    return claim


async def test_an_erasure_reaches_requests_that_name_the_user_id_or_the_address(
    app: App, office: Office, database_url: str
) -> None:
    await make_people(app, office)
    device = {"identifier_name": "device_id", "identifier_value": "marker-letter-device"}
    theirs = [
        await _letter(office, USER_ID, device),
        await _letter(office, EMAIL, request_type="view_data"),
        await _letter(office, USER_ID, is_verified=True),
        await _opendsr(office, "marker-jane"),
    ]
    await execute(office, theirs[3])
    neighbours = [
        await _letter(office, NEIGHBOURS_ID, content="neighbour-letter"),
        # Each has an e-mail of its own: the user ID is only claimed.
        await _letter(office, USER_ID, email="joe@shop.example", content="neighbour-claim"),
    ]
    request_id = await verified_request(office, "delete_data")
    announced = await preview(office, request_id)
    assert announced["data_subject_requests"] == 1 + len(theirs)
    await execute(office, request_id)
    await office.deliver()
    assert (await receipt_of(office, request_id))["counts"] == announced
    left = found_in_dump(database_url, (*MARKERS, "marker-letter", "marker-letter-device"))
    assert left == ["marker-jane"]  # the neighbour's claim
    statuses = [(await office.get(one))["status"] for one in (*theirs, *neighbours)]
    assert statuses == [*["cancelled"] * 3, "resolved", *["unverified"] * 2]
    for one, content in zip(neighbours, ("neighbour-letter", "neighbour-claim"), strict=True):
        assert (await office.get(one))["content"] == content


async def test_an_erasure_by_letter_reaches_other_letters_and_nobody_s_claim(
    app: App, office: Office, database_url: str
) -> None:
    await app.write({"user_id": "marker-jane", "attributes": [{"name": "a", "value": "marker-a"}]})
    others = [
        await _letter(office, USER_ID, request_type="view_data"),
        # Checked by the team: then the address is the person's as well.
        await _letter(office, USER_ID, email="marker@other.example", is_verified=True),
    ]
    claim = await _claim(office)
    request_id = await _letter(office, USER_ID, request_type="delete_data", is_verified=True)
    assert (await preview(office, request_id))["data_subject_requests"] == 3
    await execute(office, request_id)
    markers = ("marker-a", "marker-letter", "marker@other.example")
    assert found_in_dump(database_url, markers) == []
    assert [(await office.get(one))["status"] for one in others] == ["cancelled"] * 2
    shown = await office.get(claim)
    assert (shown["status"], shown["content"]) == ("to_do", "neighbour-claim")


async def test_an_erasure_that_began_before_user_ids_counted_keeps_the_e_mails_it_has_found(
    app: App, office: Office, database: Database, database_url: str, tmp_path: Path
) -> None:
    await app.write({"email": "jane@shop.example", "user_id": "marker-jane"})
    await app.write({"email": "marker-old@shop.example", "device_id": "marker-device"})
    earlier = await office.ask("marker-old@shop.example", "view_data")
    await office.deliver()
    request_id = await verified_request(office, "delete_data")
    device = {"identifier_name": "device_id", "identifier_value": "marker-device"}
    status, _ = await office.act(request_id, "execute", confirmed_identifiers=[device])
    assert status == 202
    await execute_step(database, tmp_path, request_id)
    await office.rows.execute(
        "UPDATE data_subject_executions SET cursor = cursor - 'identifiers' || $1::text::jsonb",
        json.dumps({"emails": ["jane@shop.example", "marker-old@shop.example"]}),
    )
    await run(office)
    await office.deliver()
    assert found_in_dump(database_url, (*MARKERS, "marker-old", "marker-device")) == []
    assert (await office.get(earlier))["status"] == "cancelled"


async def test_a_user_id_that_is_only_claimed_reaches_no_other_request(
    app: App, office: Office
) -> None:
    await make_people(app, office)
    neighbours = await _letter(office, NEIGHBOURS_ID, content="neighbour-letter")
    claiming = await _letter(
        office,
        NEIGHBOURS_ID,
        request_type="delete_data",
        email="jane@shop.example",
        asks_for_proof=True,
    )
    (mail,) = await office.deliver()
    assert mail["To"] == "jane@shop.example"
    assert (await office.confirm(*secrets_of(mail)))[0] == 200
    await execute(office, claiming)
    shown = await office.get(neighbours)
    assert (shown["content"], shown["status"]) == ("neighbour-letter", "unverified")


async def test_an_export_shows_letters_that_name_the_user_id(app: App, office: Office) -> None:
    await make_people(app, office)
    proved = await _letter(office, USER_ID, content="marker-proved", is_verified=True)
    unproved = await _letter(office, USER_ID, content="marker-unproved", request_type="delete_data")
    await _letter(office, NEIGHBOURS_ID, content="neighbour-letter", is_verified=True)
    await _letter(office, USER_ID, email="neighbour@other.example", content="neighbour-claim")
    # The e-mail is proved; that the user ID is the same person's, only the profile says.
    request_id = await verified_request(office, "view_data")
    assert (await preview(office, request_id))["data_subject_requests"] == 3
    await execute(office, request_id)
    data, page = await export_of(office, request_id)
    words = {one["request_id"]: one["content"] for one in data["requests"]}
    assert words == {proved: None, unproved: None, request_id: "marker-wish"}
    again = await verified_request(office, "view_data")
    await execute(office, again, confirmed_identifiers=[USER_ID])
    confirmed, confirmed_page = await export_of(office, again)
    words = {one["request_id"]: one["content"] for one in confirmed["requests"]}
    assert (words[proved], words[unproved]) == ("marker-proved", None)
    assert "marker-proved" in confirmed_page
    for whole in (json.dumps(data), page, json.dumps(confirmed), confirmed_page):
        assert "neighbour" not in whole


async def test_an_export_by_letter_shows_nothing_of_who_only_claims_the_user_id(
    app: App, office: Office
) -> None:
    await make_people(app, office)
    await _claim(office)
    checked = await _letter(
        office, USER_ID, email="neighbour@other.example", content="neighbour", is_verified=True
    )
    request_id = await _letter(office, USER_ID, request_type="view_data", is_verified=True)
    await execute(office, request_id)
    data, page = await export_of(office, request_id)
    assert {one["request_id"] for one in data["requests"]} == {checked, request_id}
    # Nothing but the letter says that the address is the person's too.
    assert "neighbour" not in json.dumps(data) + page


@pytest.mark.parametrize("is_guarded", [False, True])
async def test_a_letter_that_is_verified_while_the_person_is_erased_follows_no_erased_request(
    app: App, office: Office, monkeypatch: pytest.MonkeyPatch, *, is_guarded: bool
) -> None:
    """Two letters, one of them verified: the second must not become its duplicate once it is gone.

    Without the lock of the user ID the verification reads the leader before the erasure and
    writes after it.
    """
    await make_people(app, office)
    leader = await _letter(office, USER_ID, is_verified=True)
    late = await _letter(office, USER_ID)
    request_id = await verified_request(office, "delete_data")
    assert (await office.act(request_id, "execute"))[0] == 202
    has_looked, may_go_on = asyncio.Event(), asyncio.Event()
    list_requests_of = erasing.storage.list_requests_of

    async def look_and_wait(*arguments: Any) -> Any:
        found = await list_requests_of(*arguments)
        if arguments[-1] > 1:
            has_looked.set()
            await may_go_on.wait()
        return found

    async def lock_nothing(*_arguments: object) -> None:
        return

    monkeypatch.setattr(erasing.storage, "list_requests_of", look_and_wait)
    if not is_guarded:
        monkeypatch.setattr(erasing, "lock_person", lock_nothing)
        monkeypatch.setattr(storage, "lock_person", lock_nothing)
    erasure = asyncio.create_task(run(office))
    await asyncio.wait_for(has_looked.wait(), 20)
    verification = asyncio.create_task(office.act(late, "verify", reason="passport seen"))
    done, _ = await asyncio.wait([verification], timeout=0.3 if is_guarded else 30)
    may_go_on.set()
    await erasure
    status, _ = await verification
    assert bool(done) is not is_guarded
    # After the erasure it is closed, and nobody verifies what is closed.
    assert status == (409 if is_guarded else 200)
    assert {(await office.get(one))["status"] for one in (leader, late)} <= {
        "cancelled",
        "duplicate",
    }


@pytest.mark.parametrize(
    ("identity", "normal"),
    [
        (EMAIL, "jane@shop.example"),
        ({"identifier_name": "user_id", "identifier_value": "Jane"}, "Jane"),
        (
            {"identifier_name": "analytics_visitor_id", "identifier_value": "FEDCBA98DEADBEEF"},
            "fedcba98deadbeef",
        ),
    ],
)
async def test_identities_are_stored_as_profiles_have_them(
    office: Office, identity: dict[str, str], normal: str
) -> None:
    shown = await office.get(await _letter(office, identity))
    assert shown["identities"] == [{**identity, "identifier_value": normal}]


async def test_an_identity_that_cannot_be_one_is_refused(office: Office) -> None:
    identity = {"identifier_name": "analytics_visitor_id", "identifier_value": "not hexadecimal"}
    status, body = await office.create(identities=[USER_ID, identity])
    assert status == 400
    (error,) = body["errors"]
    assert error["source"]["pointer"].endswith("identities/1/identifier_value"), error
    assert "can't be a value of analytics_visitor_id" in error["detail"]
    request_id = await verified_request(office, "view_data")
    status, body = await office.act(request_id, "preview", confirmed_identifiers=[identity])
    assert status == 400, body
