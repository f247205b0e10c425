"""/api/privacy/v1/requests: noting, listing, changing, extending; who may, and what is recorded."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audience.apps.deletion import erase_deleted_app
from tests.conftest import App, Authorized, MakeClient
from tests.consents import Visitor
from tests.data_subjects import KIND, REQUESTS, Office
from tests.mailbox import body_of

UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"
USER = [{"identifier_name": "user_id", "identifier_value": "jbond"}]


async def _ids(office: Office, **query: Any) -> list[str]:
    status, body = await office.team.get(REQUESTS, params=query)
    assert status == 200, body
    return [one["id"] for one in body["data"]]


async def _shift(office: Office, request_id: str, column: str, days: int) -> None:
    await office.rows.execute(
        f"UPDATE data_subject_requests SET {column} = {column} + $2::interval "
        "WHERE request_id = $1::uuid",
        request_id,
        timedelta(days=days),
    )


async def test_request_by_letter_is_noted_with_the_day_it_arrived(office: Office) -> None:
    arrived = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
    status, body = await office.create(
        email="Jane@Shop.example",
        channel="letter",
        content="please correct my name",
        request_type="change_data",
        identities=USER,
        received_at=arrived.isoformat().replace("+00:00", "Z"),
        language="de",
    )
    assert status == 201
    shown = body["data"]["attributes"]
    assert body["data"]["type"] == KIND
    assert shown["received_at"] == arrived.isoformat().replace("+00:00", "Z")
    assert 24 <= shown["days_left"] <= 28
    assert shown | {"received_at": 0, "due_at": 0, "days_left": 0, "history": []} == {
        "website_id": office.app_id,
        "request_type": "change_data",
        "status": "unverified",
        "channel": "letter",
        "email": "jane@shop.example",
        "content": "please correct my name",
        "identities": USER,
        "language": "de",
        "is_verified": False,
        "is_overdue": False,
        "received_at": 0,
        "due_at": 0,
        "days_left": 0,
        "history": [],
        "duplicates": [],
    }
    assert [(one["actor"], one["event"]) for one in shown["history"]] == [("team", "received")]
    assert await office.deliver() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"request_type": "export"}, "request_type"),
        ({"request_type": None}, "request_type"),
        ({"website_id": "shop"}, "website_id"),
        ({}, "email"),
        ({"email": "nobody"}, "email"),
        ({"identities": USER, "asks_for_proof": True}, "email"),
        (
            {"identities": [{"identifier_name": "phone", "identifier_value": "1"}]},
            "identities/0/identifier_name",
        ),
        ({"identities": USER * 21}, "identities"),
        ({"email": "a@b.example", "content": "x" * 4001}, "content"),
        ({"email": "a@b.example", "language": "ja"}, "language"),
        ({"email": "a@b.example", "channel": "form"}, "channel"),
        ({"email": "a@b.example", "received_at": "yesterday"}, "received_at"),
        ({"email": "a@b.example", "received_at": "2999-01-01T00:00:00Z"}, "received_at"),
        ({"email": "a@b.example", "received_at": "2001-01-01T00:00:00Z"}, "received_at"),
        ({"email": "a@b.example", "status": "to_do"}, "status"),
    ],
)
async def test_wrong_request_is_400_names_the_field_and_stores_nothing(
    office: Office, change: dict[str, Any], field: str
) -> None:
    status, body = await office.create(**change)
    assert status == 400
    assert {"pointer": f"/data/attributes/{field}"} in [one["source"] for one in body["errors"]]
    assert await office.rows.fetchval("SELECT count(*) FROM data_subject_requests") == 0


async def test_list_filters_by_type_status_email_and_app(
    office: Office, make_app: Any, noise: App
) -> None:
    access = await office.ask_and_confirm("jane@shop.example", "view_data")
    erasure = await office.ask("john@shop.example", "delete_data")
    await office.submit("jane@shop.example", websiteId=noise.app_id)
    elsewhere = str(
        await office.rows.fetchval(
            "SELECT request_id FROM data_subject_requests WHERE app_id = $1", noise.app_id
        )
    )
    foreign = await make_app("other")
    await office.submit("jane@shop.example", websiteId=foreign.app_id)
    assert await _ids(office) == [elsewhere, erasure, access]
    assert await _ids(office, website_id=office.app_id) == [erasure, access]
    assert await _ids(office, type="delete_data") == [erasure]
    assert await _ids(office, status="to_do") == [access]
    assert await _ids(office, email="Jane@shop.example", website_id=office.app_id) == [access]
    assert await _ids(office, email="jane") == []
    # Stored in comparable form: what the requester writes is found in any.
    abroad = await office.ask("j@xn--bcher-kva.example")
    for email in ("j@xn--bcher-kva.example", " J@BÜCHER.example "):
        assert await _ids(office, email=email) == [abroad]
    await office.rows.execute(
        "DELETE FROM data_subject_requests WHERE request_id = $1::uuid", abroad
    )
    assert await _ids(office, limit=1, offset=1) == [erasure]
    assert await _ids(office, order_by="received_at") == [access, erasure, elsewhere]
    assert await _ids(office, order_by="-due_at", limit=1) == [elsewhere]
    _, body = await office.team.get(REQUESTS, params={"limit": "1"})
    assert body["meta"] == {"total": 3}
    assert (await office.team.get(REQUESTS, params={"website_id": foreign.app_id}))[0] == 404


async def test_overdue_ones_are_open_and_past_their_date(office: Office) -> None:
    late = await office.ask_and_confirm("a@shop.example")
    unproved = await office.ask("b@shop.example")
    rejected = await office.ask_and_confirm("c@shop.example")
    in_time = await office.ask_and_confirm("d@shop.example")
    await office.change(rejected, status="rejected")
    for request_id in (late, unproved, rejected):
        await _shift(office, request_id, "due_at", -40)
    assert await _ids(office, overdue="true") == [late]
    assert await _ids(office, overdue="false") == [in_time, rejected, unproved]
    shown = await office.get(late)
    assert shown["is_overdue"] is True
    assert -13 <= shown["days_left"] <= -9
    assert (await office.get(rejected))["is_overdue"] is False


async def test_letter_is_overdue_also_before_it_is_verified(office: Office) -> None:
    _, body = await office.create(channel="letter", email="jane@shop.example")
    letter = body["data"]["id"]
    assert await _ids(office, overdue="true") == []
    await _shift(office, letter, "due_at", -40)
    assert await _ids(office, overdue="true") == [letter]
    assert (await office.get(letter))["is_overdue"] is True
    await office.change(letter, status="cancelled")
    assert await _ids(office, overdue="true") == []


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("type=export", "type"),
        ("status=open", "status"),
        ("overdue=perhaps", "overdue"),
        ("website_id=1", "website_id"),
        ("order_by=email", "order_by"),
        ("limit=101", "limit"),
        ("email=", "email"),
    ],
)
async def test_wrong_filter_names_the_parameter(office: Office, query: str, parameter: str) -> None:
    status, body = await office.team.get(f"{REQUESTS}?{query}")
    assert status == 400
    assert body["errors"][0]["source"] == {"parameter": parameter}


async def test_status_note_and_assignee_change_with_who_and_when(office: Office) -> None:
    request_id = await office.ask_and_confirm()
    assert await office.change(request_id, note="call back", assignee="Ann") == (204, "")
    assert await office.change(request_id, status="in_progress", reason="started") == (204, "")
    assert await office.change(request_id, status="resolved") == (204, "")
    assert await office.change(request_id, note=None) == (204, "")
    shown = await office.get(request_id)
    assert (shown["status"], shown["assignee"]) == ("resolved", "Ann")
    assert "note" not in shown
    assert shown["closed_at"]
    entries = [
        tuple(one.get(name) for name in ("actor", "event", "from_status", "to_status", "detail"))
        for one in shown["history"][3:]
    ]
    assert entries == [
        ("team", "noted", None, None, None),
        ("team", "assigned", None, None, None),
        ("team", "moved", "to_do", "in_progress", "started"),
        ("team", "moved", "in_progress", "resolved", None),
        ("team", "noted", None, None, None),
    ]
    times = [one["occurred_at"] for one in shown["history"]]
    assert times == sorted(times)


async def test_change_that_is_refused_changes_nothing(office: Office) -> None:
    request_id = await office.ask_and_confirm()
    status, body = await office.change(request_id, status="resolved", note="done")
    assert status == 409
    (error,) = body["errors"]
    assert error["code"] == "move_not_allowed"
    assert error["detail"] == (
        "after to_do may come in_progress, rejected, cancelled, duplicate, not resolved"
    )
    shown = await office.get(request_id)
    assert shown["status"] == "to_do"
    assert "note" not in shown


async def test_same_status_again_changes_nothing(office: Office) -> None:
    request_id = await office.ask_and_confirm()
    before = (await office.get(request_id))["history"]
    assert await office.change(request_id, status="to_do") == (204, "")
    assert (await office.get(request_id))["history"] == before


@pytest.mark.parametrize(
    ("attributes", "field"),
    [
        ({"status": "open"}, "status"),
        ({"note": "x" * 4001}, "note"),
        ({"assignee": "x" * 201}, "assignee"),
        ({"email": "new@shop.example"}, "email"),
        ({"due_at": "2999-01-01T00:00:00Z"}, "due_at"),
    ],
)
async def test_wrong_change_names_the_field(
    office: Office, attributes: dict[str, Any], field: str
) -> None:
    request_id = await office.ask_and_confirm()
    status, body = await office.change(request_id, **attributes)
    assert status == 400
    assert body["errors"][0]["source"] == {"pointer": f"/data/attributes/{field}"}


async def test_requester_is_told_of_a_rejection_in_their_language(office: Office) -> None:
    request_id = await office.ask_and_confirm()
    await office.rows.execute("UPDATE data_subject_requests SET language = 'fr'")
    await office.change(request_id, status="rejected", reason="manifestement infondée")
    (mail,) = await office.deliver()
    assert mail["Subject"] == "Votre demande à test a été rejetée"
    assert "Le motif : manifestement infondée" in body_of(mail)


async def test_nobody_is_told_whose_email_is_not_proved(office: Office) -> None:
    request_id = await office.ask()
    await office.deliver()
    await office.change(request_id, status="rejected", reason="spam")
    assert await office.deliver() == []


async def test_extension_gives_two_months_once_and_tells_the_requester(office: Office) -> None:
    request_id = await office.ask_and_confirm()
    await office.rows.execute(
        "UPDATE data_subject_requests SET received_at = '2999-01-31 10:00+00', "
        "due_at = '2999-02-28 10:00+00'"
    )
    status, body = await office.act(request_id, "extend", reason="many systems")
    assert status == 200
    shown = body["data"]["attributes"]
    assert shown["due_at"] == "2999-04-30T10:00:00Z"
    assert shown["extension_reason"] == "many systems"
    assert shown["history"][-1]["event"] == "extended"
    assert shown["history"][-1]["detail"] == "many systems"
    (mail,) = await office.deliver()
    assert "by 2999-04-30 at the latest" in body_of(mail)
    assert "many systems" in body_of(mail)
    status, body = await office.act(request_id, "extend", reason="again")
    assert (status, body["errors"][0]["code"]) == (409, "already_extended")


async def test_extension_needs_a_reason_an_open_request_and_time(office: Office) -> None:
    request_id = await office.ask_and_confirm()
    status, body = await office.act(request_id, "extend")
    assert (status, body["errors"][0]["source"]["pointer"]) == (400, "/data/attributes/reason")
    await _shift(office, request_id, "due_at", -40)
    status, body = await office.act(request_id, "extend", reason="late")
    assert (status, body["errors"][0]["code"]) == (409, "too_late")
    await office.change(request_id, status="cancelled")
    status, body = await office.act(request_id, "extend", reason="late")
    assert (status, body["errors"][0]["code"]) == (409, "move_not_allowed")


async def test_due_date_follows_the_apps_timezone(office: Office) -> None:
    await office.rows.execute(
        "UPDATE apps SET timezone = 'Pacific/Auckland' WHERE app_id = $1", office.app_id
    )
    received = datetime.now(UTC).replace(microsecond=0) - timedelta(days=40)
    _, body = await office.create(identities=USER, received_at=received.isoformat())
    due = datetime.fromisoformat(body["data"]["attributes"]["due_at"])
    assert 27 <= (due - received).days <= 31
    assert body["data"]["attributes"]["days_left"] < 0


async def test_request_of_another_organization_answers_like_none(
    office: Office, make_client: MakeClient
) -> None:
    request_id = await office.ask()
    token = (await make_client("privacy", organization="other")).token
    stranger = Authorized(office.service, token)
    assert (await stranger.get(REQUESTS))[1]["data"] == []
    for path, method in (
        ("", "GET"),
        ("", "PATCH"),
        ("/verify", "POST"),
        ("/extend", "POST"),
        ("/execute", "POST"),
    ):
        answers = []
        for one in (request_id, UNKNOWN):
            document = {"data": {"type": KIND, "id": one, "attributes": {"reason": "mine"}}}
            if path == "/execute":
                document["data"]["attributes"] = {}
            status, body = await stranger.request(method, f"{REQUESTS}/{one}{path}", json=document)
            answers.append((status, str(body).replace(one, "")))
        assert answers[0] == answers[1]
        assert answers[0][0] == 404
    status, body = await stranger.post(
        REQUESTS,
        json={
            "data": {
                "type": KIND,
                "attributes": {
                    "website_id": office.app_id,
                    "request_type": "view_data",
                    "email": "a@b.example",
                },
            }
        },
    )
    assert status == 404


@pytest.mark.parametrize("scope", ["read", "write"])
async def test_other_scopes_get_403_and_an_audit_row(
    office: Office, make_client: MakeClient, scope: str
) -> None:
    request_id = await office.ask_and_confirm()
    lacking = Authorized(office.service, (await make_client(scope, name="marketing")).token)
    for method, path, operation in (
        ("GET", REQUESTS, "list_requests"),
        ("GET", f"{REQUESTS}/{request_id}", "get_request"),
        ("PATCH", f"{REQUESTS}/{request_id}", "update_request"),
        ("POST", f"{REQUESTS}/{request_id}/verify", "verify_request"),
        ("POST", f"{REQUESTS}/{request_id}/execute", "execute_request"),
    ):
        status, body = await lacking.request(method, path)
        assert (status, body["errors"][0]["code"]) == (403, "missing_scope")
        entry = await office.rows.fetchrow(
            "SELECT actor, operation, outcome FROM audit_entries ORDER BY entry_id DESC LIMIT 1"
        )
        assert tuple(entry) == ("marketing", operation, "refused")
    assert (await office.get(request_id))["status"] == "to_do"


async def test_reading_and_writing_leave_audit_rows_without_personal_data(office: Office) -> None:
    request_id = await office.ask_and_confirm("marker-person@shop.example")
    await office.get(request_id)
    await _ids(office, email="marker-person@shop.example")
    await office.change(request_id, note="marker-note")
    await office.act(request_id, "extend", reason="marker-reason")
    entries = await office.rows.fetch("SELECT * FROM audit_entries ORDER BY entry_id")
    assert [row["operation"] for row in entries] == [
        "get_request",
        "list_requests",
        "update_request",
        "extend_request",
    ]
    assert {row["actor"] for row in entries} == {"team"}
    assert str(entries[0]["target_id"]) == request_id
    assert "marker-" not in str([dict(row) for row in entries])


async def test_request_that_is_being_executed_moves_by_itself_only(office: Office) -> None:
    request_id = await office.ask_and_confirm()
    assert (await office.act(request_id, "execute"))[0] == 202
    for status in ("to_do", "resolved", "rejected", "cancelled"):
        code, body = await office.change(request_id, status=status)
        assert (code, body["errors"][0]["code"]) == (409, "executing")
    assert await office.change(request_id, note="still fine") == (204, "")


async def test_team_sees_what_the_visitor_who_sent_it_agrees_to(office: Office, app: App) -> None:
    visitor = Visitor(app, "0a1b2c3d-0000-4000-8000-000000000001")
    request_id = await office.ask()
    assert "consents" not in await office.get(request_id)
    await visitor.decide(analytics=1, remarketing=0)
    assert (await office.get(request_id))["consents"] == {"analytics": 1, "remarketing": 0}


async def test_team_makes_a_duplicate_by_naming_the_request_that_leads(office: Office) -> None:
    leader = await office.ask_and_confirm("jane@shop.example")
    other_type = await office.ask_and_confirm("jane@shop.example", "delete_data")
    _, body = await office.create(identities=USER)
    letter = body["data"]["id"]
    for wrong in (None, letter, other_type, UNKNOWN):
        attributes = {"status": "duplicate"} | ({} if wrong is None else {"leader_id": wrong})
        status, body = await office.change(letter, **attributes)
        assert status == 400
        assert body["errors"][0]["source"] == {"pointer": "/data/attributes/leader_id"}
    assert await office.change(letter, status="duplicate", leader_id=leader) == (204, "")
    shown = await office.get(letter)
    assert (shown["status"], shown["leader_id"]) == ("duplicate", leader)
    assert (await office.get(leader))["duplicates"] == [letter]
    # It is still not proved, so it can't be taken up.
    status, body = await office.change(letter, status="to_do")
    assert (status, body["errors"][0]["code"]) == (409, "not_verified")
    assert (await office.act(letter, "verify", reason="passport"))[0] == 200
    assert await office.change(letter, status="to_do") == (204, "")
    assert "leader_id" not in await office.get(letter)


async def test_requests_go_with_their_app(
    office: Office, authorized: Authorized, noise: App
) -> None:
    await office.ask_and_confirm()
    await office.submit("john@shop.example")
    assert (await office.submit("john@shop.example", websiteId=noise.app_id))[0] == 204
    path = f"/api/apps/v2/{office.app_id}"
    assert await authorized.delete(f"{path}?confirm=test") == (204, "")
    assert await _ids(office, website_id=noise.app_id) != []
    assert len(await _ids(office)) == 1
    while await erase_deleted_app(office.service.app):  # type: ignore[arg-type]
        pass
    for table in ("data_subject_requests", "data_subject_request_events", "mails"):
        kept = await office.rows.fetch(f"SELECT DISTINCT app_id::text FROM {table}")
        assert [row[0] for row in kept] == [noise.app_id], table


async def test_wrong_id_and_wrong_type_are_named(office: Office) -> None:
    status, body = await office.team.get(f"{REQUESTS}/1")
    assert (status, body["errors"][0]["source"]) == (400, {"pointer": "/request_id"})
    request_id = await office.ask()
    document = {"data": {"type": "request", "id": request_id, "attributes": {}}}
    status, body = await office.team.patch(f"{REQUESTS}/{request_id}", json=document)
    assert (status, body["errors"][0]["source"]) == (400, {"pointer": "/data/type"})
