"""The receipt says what was done, which is what the preview has announced."""

import json

import jwt
import pytest

from tests.conftest import App
from tests.data_subjects import REQUESTS, Office
from tests.mailbox import body_of
from tests.privacy.executing import execute, preview, receipt_of
from tests.privacy.people import MARKERS, make_people, verified_request


async def _make_people(app: App, office: Office) -> None:
    """Jane and her neighbour; Jane's profile has absorbed another one."""
    await make_people(app, office)
    await app.write({"device_id": "marker-jane-phone"})
    await app.write({"device_id": "marker-jane-phone", "email": "jane@shop.example"})


async def test_a_receipt_is_verifiable_and_names_nobody(app: App, office: Office) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "delete_data")
    path = f"{REQUESTS}/{request_id}/receipt"
    assert (await office.team.get(path))[0] == 409
    await execute(office, request_id)
    claims = await receipt_of(office, request_id)
    assert claims["request_id"] == request_id
    assert claims["request_type"] == "delete_data"
    assert claims["received_at"] <= claims["completed_at"]
    assert not [marker for marker in MARKERS if marker in json.dumps(claims)]
    _, body = await office.team.get(path)
    receipt = body["data"]["attributes"]["receipt"]
    keys = await (await office.service.get("/auth/jwks.json")).json()
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(receipt[:-8] + "AAAAAAAA", jwt.PyJWK(keys["keys"][0]), algorithms=["RS256"])


async def test_an_erasure_does_what_its_preview_has_announced(app: App, office: Office) -> None:
    await _make_people(app, office)
    view = await verified_request(office, "view_data")
    await execute(office, view)
    (ready,) = await office.deliver()
    assert "/privacy/exports/" in body_of(ready)
    # One request waits for its proof; mails wait for another, for the erasure, and for nobody's.
    await office.ask("jane@shop.example", "change_data")
    await office.deliver()
    await office.ask("jane@shop.example", "view_data")
    await app.rows.execute(STRAY_MAIL, app.app_id)
    request_id = await verified_request(office, "delete_data", deliver=False)
    announced = await preview(office, request_id)
    assert announced == {
        "profiles": 1,
        "profile_identifiers": 5,
        "profile_merges": 1,
        "audience_members": 1,
        "consent_visitors": 1,
        "consent_visitor_keys": 1,
        "consent_decisions": 2,
        "data_subject_requests": 4,
        "data_subject_verifications": 1,
        "data_subject_exports": 1,
        "data_subject_export_parts": 5,
        "mails": 3,
    }
    await execute(office, request_id)
    assert (await receipt_of(office, request_id))["counts"] == announced


async def test_an_access_export_holds_as_much_as_its_preview_has_announced(
    app: App, office: Office
) -> None:
    await _make_people(app, office)
    request_id = await verified_request(office, "view_data")
    announced = await preview(office, request_id)
    await execute(office, request_id)
    counts = (await receipt_of(office, request_id))["counts"]
    assert counts.keys() == {
        "profiles",
        "profile_merges",
        "consent_visitors",
        "consent_decisions",
        "data_subject_requests",
    }
    assert counts == {table: announced[table] for table in counts}


STRAY_MAIL = """
INSERT INTO mails (app_id, mail_id, purpose, recipient, language, parameters, created_at,
    next_try_at)
VALUES ($1, gen_random_uuid(), 'rejection', 'jane@shop.example', 'en', '{}', now(), now())
"""
