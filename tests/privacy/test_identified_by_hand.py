"""Whose data it is when the team says so: confirmed identifiers, letters without an e-mail.

Each person here has a neighbour, of whom nothing is shown and nothing is erased.
"""

import json
from typing import Any

import pytest

from tests.conftest import App
from tests.data_subjects import Office
from tests.database_dump import found_in_dump
from tests.privacy.executing import execute, export_of, preview, receipt_of
from tests.privacy.people import (
    CONSENT_VISITOR,
    MARKERS,
    NEIGHBOUR_CONSENT_VISITOR,
    NEIGHBOUR_VISITOR,
    VISITOR,
    make_people,
    verified_request,
)

NEIGHBOURS = ("neighbour", NEIGHBOUR_VISITOR, NEIGHBOUR_CONSENT_VISITOR)
TABLET = {"identifier_name": "device_id", "identifier_value": "marker-tablet"}
USER_ID = {"identifier_name": "user_id", "identifier_value": "marker-jane"}


async def _make_people(app: App, office: Office) -> None:
    """Jane and her neighbour, and a tablet of Jane's that nothing ties to her."""
    await make_people(app, office)
    seen = [{"name": "seen", "value": "marker-on-tablet"}]
    await app.write({"device_id": "marker-tablet", "attributes": seen})


async def _letter(office: Office, request_type: str, *identities: dict[str, str]) -> str:
    """A verified letter that has identifiers and no e-mail; its id."""
    status, body = await office.create(
        channel="letter", request_type=request_type, identities=list(identities)
    )
    assert status == 201, body
    request_id = str(body["data"]["id"])
    assert (await office.act(request_id, "verify", reason="passport seen"))[0] == 200
    return request_id


def _shows_nothing_of_the_neighbour(data: dict[str, Any], page: str) -> bool:
    whole = json.dumps(data) + page
    return not [text for text in NEIGHBOURS if text in whole]


def _attributes_in(data: dict[str, Any]) -> set[str]:
    return {row["value"] for one in data["profiles"] for row in one["attributes"]}


async def test_confirmed_identifiers_lead_to_more_in_an_export(app: App, office: Office) -> None:
    await _make_people(app, office)
    alone = await verified_request(office, "view_data")
    await execute(office, alone)
    data, page = await export_of(office, alone)
    assert "marker-on-tablet" not in json.dumps(data) + page
    request_id = await verified_request(office, "view_data")
    await execute(office, request_id, confirmed_identifiers=[TABLET])
    data, page = await export_of(office, request_id)
    assert _attributes_in(data) == {"marker-value", 47, "marker-on-tablet"}
    assert "marker-on-tablet" in page
    assert len(data["decisions"]) == 2
    assert _shows_nothing_of_the_neighbour(data, page)


async def test_a_confirmed_visitor_id_leads_to_its_consents(app: App, office: Office) -> None:
    await make_people(app, office)
    visitor = {"identifier_name": "analytics_visitor_id", "identifier_value": VISITOR.upper()}
    request_id = await _letter(office, "view_data", TABLET)
    await execute(office, request_id, confirmed_identifiers=[visitor])
    data, page = await export_of(office, request_id)
    assert [one["visitor_id"] for one in data["consents"]] == [CONSENT_VISITOR]
    assert _shows_nothing_of_the_neighbour(data, page)


async def test_confirmed_identifiers_lead_to_more_in_an_erasure(
    app: App, office: Office, database_url: str
) -> None:
    await _make_people(app, office)
    request_id = await verified_request(office, "delete_data")
    announced = await preview(office, request_id, confirmed_identifiers=[TABLET])
    assert announced["profiles"] == 2
    await execute(office, request_id, confirmed_identifiers=[TABLET])
    await office.deliver()
    assert (await receipt_of(office, request_id))["counts"] == announced
    markers = (*MARKERS, "marker-tablet", "marker-on-tablet")
    assert found_in_dump(database_url, markers) == []
    assert set(found_in_dump(database_url, NEIGHBOURS)) == set(NEIGHBOURS)


@pytest.mark.parametrize("identity", [USER_ID, TABLET], ids=["user_id", "device_id"])
async def test_a_letter_s_identifiers_alone_lead_to_the_export(
    app: App, office: Office, identity: dict[str, str]
) -> None:
    await _make_people(app, office)
    request_id = await _letter(office, "view_data", identity)
    await execute(office, request_id)
    data, page = await export_of(office, request_id)
    held = {row["value"] for one in data["profiles"] for row in one["identifiers"]}
    is_jane = identity is USER_ID
    assert identity["identifier_value"] in held
    assert ("jane@shop.example" in held) == is_jane
    assert len(data["decisions"]) == (2 if is_jane else 0)
    assert _shows_nothing_of_the_neighbour(data, page)


async def test_a_letter_s_identifiers_alone_lead_to_the_erasure(
    app: App, office: Office, database_url: str
) -> None:
    await make_people(app, office)
    # Requests by the e-mail that the profile has are of the same person.
    earlier = await verified_request(office, "view_data")
    await execute(office, earlier)
    await office.deliver()
    waiting = await verified_request(office, "change_data")
    request_id = await _letter(office, "delete_data", USER_ID)
    announced = await preview(office, request_id)
    assert announced["data_subject_requests"] == 3
    await execute(office, request_id)
    # Nobody is told: a letter has no e-mail.
    assert await office.deliver() == []
    assert (await receipt_of(office, request_id))["counts"] == announced
    assert found_in_dump(database_url, MARKERS) == []
    assert (await office.get(waiting))["status"] == "cancelled"
    assert (await app.profile("email", "neighbour@shop.example"))["attributes"]
    assert set(found_in_dump(database_url, NEIGHBOURS)) == set(NEIGHBOURS)


async def test_earlier_requests_are_in_the_export(app: App, office: Office) -> None:
    await make_people(app, office)
    earlier = await verified_request(
        office, "change_data", userRequestedInfo="marker-earlier", language="de"
    )
    assert (await office.change(earlier, status="rejected", reason="marker-reason"))[0] == 204
    # Anybody could have sent this one.
    unproved = await office.ask("jane@shop.example", "delete_data")
    await office.submit("neighbour@shop.example", "view_data", userRequestedInfo="neighbour-wish")
    await office.deliver()
    request_id = await verified_request(office, "view_data")
    await execute(office, request_id)
    data, page = await export_of(office, request_id)
    shown = {one["request_id"]: one for one in data["requests"]}
    assert shown.keys() == {earlier, unproved, request_id}
    assert (shown[earlier]["request_type"], shown[earlier]["status"]) == ("change_data", "rejected")
    assert shown[earlier]["content"] == "marker-earlier"
    assert "moved" in [one["event"] for one in shown[earlier]["history"]]
    assert shown[unproved]["content"] is None
    assert "marker-earlier" in page
    assert _shows_nothing_of_the_neighbour(data, page)


async def test_requests_by_an_e_mail_that_only_a_profile_has_are_shown_without_their_words(
    app: App, office: Office
) -> None:
    await make_people(app, office)
    earlier = await verified_request(office, "change_data", userRequestedInfo="marker-earlier")
    by_letter = await _letter(office, "view_data", USER_ID)
    await execute(office, by_letter)
    data, page = await export_of(office, by_letter)
    shown = {one["request_id"]: one["content"] for one in data["requests"]}
    assert shown == {earlier: None, by_letter: None}
    assert "marker-earlier" not in page
    again = await _letter(office, "view_data", USER_ID)
    email = {"identifier_name": "email", "identifier_value": "Jane@shop.example"}
    await execute(office, again, confirmed_identifiers=[email])
    data, _ = await export_of(office, again)
    shown = {one["request_id"]: one["content"] for one in data["requests"]}
    assert shown[earlier] == "marker-earlier"
