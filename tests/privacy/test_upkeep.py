"""Reminders before a request is due, and retention of personal content; settings of both."""

from datetime import timedelta
from typing import Any

import pytest

from audience.server import clock
from consent.data_subject_requests.upkeep.operations import forget_some, remind_some
from tests.conftest import App, MakeClient
from tests.data_subjects import Office
from tests.mailbox import body_of

SETTINGS = "/api/privacy/v1/settings"


async def _set(office: Office, **attributes: Any) -> tuple[int, Any]:
    document = {"data": {"type": "privacy/settings", "id": office.app_id, "attributes": attributes}}
    status, body = await office.team.patch(
        SETTINGS, params={"website_id": office.app_id}, json=document
    )
    return status, body


async def _age(office: Office, request_id: str, **days: int) -> None:
    """Move moments of a request into the past."""
    for name, number in days.items():
        await office.rows.execute(
            f"UPDATE data_subject_requests SET {name} = {name} - $2::interval "
            "WHERE request_id = $1::uuid",
            request_id,
            timedelta(days=number),
        )


async def _age_history(office: Office, days: int) -> None:
    """Move what happened to all requests into the past."""
    await office.rows.execute(
        "UPDATE data_subject_request_events SET occurred_at = occurred_at - $1::interval",
        timedelta(days=days),
    )


async def _remind(office: Office) -> list[Any]:
    await remind_some(office.service.app)  # type: ignore[arg-type]
    return await office.deliver()


async def _forget(office: Office) -> None:
    while await forget_some(office.service.app):  # type: ignore[arg-type]
        pass


async def test_settings_have_defaults_and_keep_what_is_left_out(office: Office) -> None:
    query = {"website_id": office.app_id}
    status, body = await office.team.get(SETTINGS, params=query)
    assert status == 200
    assert body["data"] == {
        "type": "privacy/settings",
        "id": office.app_id,
        "attributes": {
            "retention_days": 365,
            "unverified_retention_days": 30,
            "reminder_days": 7,
            "team_email": None,
            "team_language": "en",
        },
    }
    assert await _set(office, team_email="Team@Shop.example", retention_days=10) == (204, "")
    assert await _set(office, reminder_days=3) == (204, "")
    _, body = await office.team.get(SETTINGS, params=query)
    attributes = body["data"]["attributes"]
    assert (attributes["team_email"], attributes["retention_days"]) == ("team@shop.example", 10)
    assert attributes["reminder_days"] == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retention_days", 0),
        ("retention_days", 3651),
        ("retention_days", "10"),
        ("unverified_retention_days", 366),
        ("reminder_days", 31),
        ("team_email", "team"),
        ("team_language", "ja"),
        ("nonsense", 1),
    ],
)
async def test_wrong_setting_is_400_and_names_the_field(
    office: Office, name: str, value: Any
) -> None:
    status, body = await _set(office, **{name: value})
    assert status == 400
    assert body["errors"][0]["source"] == {"pointer": f"/data/attributes/{name}"}


async def test_settings_of_another_organization_are_404(
    office: Office, make_client: MakeClient
) -> None:
    stranger = await make_client("privacy", organization="other")
    assert (await stranger.get(SETTINGS, params={"website_id": office.app_id}))[0] == 404


async def test_team_is_reminded_once_before_a_request_is_due(office: Office) -> None:
    await _set(office, team_email="team@shop.example", team_language="de")
    request_id = await office.ask_and_confirm("jane@shop.example", "delete_data")
    assert await _remind(office) == []
    await _age(office, request_id, due_at=24)
    (mail,) = await _remind(office)
    assert mail["To"] == "team@shop.example"
    assert mail["Subject"].startswith("Betroffenenanfrage fällig am 20")
    text = body_of(mail)
    assert request_id in text
    assert "delete_data" in text
    assert "jane" not in text
    assert await _remind(office) == []
    events = [one["event"] for one in (await office.get(request_id))["history"]]
    assert events.count("reminder_mail_sent") == 1


async def test_reminder_goes_to_the_assignee_when_the_team_has_no_address(office: Office) -> None:
    request_id = await office.ask_and_confirm()
    await _age(office, request_id, due_at=40)
    assert await _remind(office) == []
    await office.change(request_id, assignee="Ann")
    assert await _remind(office) == []
    await office.change(request_id, assignee="ann@shop.example")
    (mail,) = await _remind(office)
    assert mail["To"] == "ann@shop.example"


@pytest.mark.parametrize("status", ["rejected", "cancelled"])
async def test_nobody_is_reminded_of_what_is_answered(office: Office, status: str) -> None:
    await _set(office, team_email="team@shop.example")
    answered, waiting = await office.ask_and_confirm(), await office.ask("john@shop.example")
    await office.change(answered, status=status)
    await office.deliver()
    for request_id in (answered, waiting):
        await _age(office, request_id, due_at=30)
    assert await _remind(office) == []


async def test_request_answered_after_the_reminder_was_queued_gets_none(office: Office) -> None:
    await _set(office, team_email="team@shop.example")
    request_id = await office.ask_and_confirm()
    await _age(office, request_id, due_at=30)
    await remind_some(office.service.app)  # type: ignore[arg-type]
    await office.change(request_id, status="cancelled")
    assert await office.deliver() == []


async def test_team_is_reminded_of_a_letter_that_is_not_verified(office: Office) -> None:
    await _set(office, team_email="team@shop.example")
    _, body = await office.create(channel="letter", email="jane@shop.example")
    await _age(office, body["data"]["id"], due_at=30)
    (mail,) = await _remind(office)
    assert "Status: unverified" in body_of(mail)
    assert await _remind(office) == []


async def test_extended_request_is_reminded_of_again(office: Office) -> None:
    await _set(office, team_email="team@shop.example")
    request_id = await office.ask_and_confirm()
    await _age(office, request_id, received_at=25, due_at=25)
    assert len(await _remind(office)) == 1
    assert (await office.act(request_id, "extend", reason="complex"))[0] == 200
    await office.deliver()
    await _age(office, request_id, due_at=60)
    assert len(await _remind(office)) == 1


async def _personal(office: Office, request_id: str) -> str:
    """Everything stored about a request, as one text."""
    found = [dict(await office.row(request_id))]
    for table in ("data_subject_request_events", "data_subject_verifications", "mails"):
        found += [
            dict(row)
            for row in await office.rows.fetch(
                f"SELECT * FROM {table} WHERE request_id = $1::uuid", request_id
            )
        ]
    return str(found)


async def test_closed_request_loses_its_personal_content_after_a_year(office: Office) -> None:
    request_id = await office.ask_and_confirm()
    await office.change(request_id, note="marker-note")
    await office.change(request_id, status="rejected", reason="marker-reason")
    await _age(office, request_id, closed_at=364)
    await _forget(office)
    assert "marker-note" in await _personal(office, request_id)
    await _age(office, request_id, closed_at=1)
    await _forget(office)
    stored = await _personal(office, request_id)
    for marker in ("jane", "please", "marker-", "0123456789abcdef", "0a1b2c3d", "shop.example"):
        assert marker not in stored
    shown = await office.get(request_id)
    assert shown["status"] == "rejected"
    assert "email" not in shown
    assert shown["content_erased_at"]
    assert [one["event"] for one in shown["history"]][-2:] == ["moved", "content_erased"]
    before = await _personal(office, request_id)
    await _forget(office)
    assert await _personal(office, request_id) == before


async def test_unverified_request_loses_it_after_thirty_days_and_is_cancelled(
    office: Office,
) -> None:
    request_id, link, code = await office.ask_and_get_mail()
    await _age_history(office, 29)
    await _forget(office)
    assert (await office.get(request_id))["email"] == "jane@shop.example"
    await _age_history(office, 1)
    await _forget(office)
    shown = await office.get(request_id)
    assert shown["status"] == "cancelled"
    assert "email" not in shown
    assert "jane" not in await _personal(office, request_id)
    assert (await office.confirm(link, code))[0] == 404


async def test_duplicate_that_was_never_confirmed_loses_it_after_thirty_days_too(
    office: Office,
) -> None:
    duplicate = await office.ask()
    await office.deliver()
    leader = await office.ask_and_confirm()
    assert (await office.get(duplicate))["status"] == "duplicate"
    await _age_history(office, 29)
    await _forget(office)
    assert (await office.get(duplicate))["email"] == "jane@shop.example"
    await _age_history(office, 1)
    await _forget(office)
    shown = await office.get(duplicate)
    assert (shown["status"], "email" in shown) == ("duplicate", False)
    assert "jane" not in await _personal(office, duplicate)
    assert (await office.get(leader))["email"] == "jane@shop.example"


async def test_letter_noted_late_is_kept_from_when_it_was_noted(office: Office) -> None:
    received_at = (clock.now() - timedelta(days=60)).isoformat()
    status, body = await office.create(
        channel="letter", email="jane@shop.example", received_at=received_at
    )
    assert status == 201, body
    request_id = body["data"]["id"]
    await _age_history(office, 29)
    await _forget(office)
    assert (await office.get(request_id))["status"] == "unverified"
    assert (await office.act(request_id, "verify", reason="passport seen"))[0] == 200
    await _forget(office)
    assert (await office.get(request_id))["email"] == "jane@shop.example"


async def test_open_request_keeps_its_content_however_old(office: Office) -> None:
    request_id = await office.ask_and_confirm()
    await _age(office, request_id, received_at=4000, due_at=4000)
    await _age_history(office, 4000)
    await _forget(office)
    assert (await office.get(request_id))["email"] == "jane@shop.example"


async def test_retention_is_the_apps_own(office: Office, noise: App) -> None:
    await _set(office, retention_days=5, unverified_retention_days=2)
    mine = await office.ask()
    assert (await office.submit(websiteId=noise.app_id))[0] == 204
    await _age_history(office, 3)
    await _forget(office)
    kept = await office.rows.fetch(
        "SELECT request_id::text FROM data_subject_requests WHERE email IS NULL"
    )
    assert [row[0] for row in kept] == [mine]


async def test_more_than_a_hundred_are_forgotten_in_steps(office: Office) -> None:
    await office.rows.execute(
        "INSERT INTO data_subject_requests (app_id, request_id, request_type, status, channel, "
        "email, received_at, due_at, closed_at) SELECT $1, gen_random_uuid(), 'view_data', "
        "'cancelled', 'form', 'x@y.example', now(), now(), now() - interval '366 days' "
        "FROM generate_series(1, 150)",
        office.app_id,
    )
    assert await forget_some(office.service.app) is True  # type: ignore[arg-type]
    assert await forget_some(office.service.app) is False  # type: ignore[arg-type]
    assert not await office.rows.fetchval(
        "SELECT count(*) FROM data_subject_requests WHERE email IS NOT NULL"
    )
