"""Requests from the visitor's form: POST /consent/collect (contract L3, E4.6)."""

from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient

from audience.server.settings import Settings
from consent.app import create_app
from tests.conftest import App, serve_in_test
from tests.data_subjects import Office


async def _count(rows: asyncpg.Connection) -> int:
    found: int = await rows.fetchval("SELECT count(*) FROM data_subject_requests")
    return found


@pytest.mark.parametrize("event", ["view_data", "change_data", "delete_data"])
async def test_request_is_stored_unverified_with_what_the_form_sent(
    office: Office, event: str
) -> None:
    assert await office.submit(" Jane@Shop.Example ", event, language="de-AT,en;q=0.5") == (204, "")
    row = await office.rows.fetchrow("SELECT * FROM data_subject_requests")
    assert row["request_type"] == event
    assert (row["status"], row["channel"]) == ("unverified", "form")
    assert row["email"] == "jane@shop.example"
    assert row["content"] == "please"
    assert row["hostname"] == "shop.example"
    assert str(row["visitor_id"]) == "0a1b2c3d-0000-4000-8000-000000000001"
    assert row["analytics_visitor_id"] == "0123456789abcdef"
    assert row["language"] == "de"
    assert row["verified_at"] is None
    assert 27 < (row["due_at"] - row["received_at"]).days < 32
    assert "marker" not in str(dict(row))
    events = await office.rows.fetch("SELECT actor, event FROM data_subject_request_events")
    assert [tuple(event) for event in events] == [("requester", "received")]


async def test_text_plain_and_missing_optional_members_are_fine(office: Office) -> None:
    answer = await office.service.post(
        "/consent/collect/",
        data=f'{{"websiteId": "{office.app_id}", "event": "view_data", "email": "a@b.example"}}',
        headers={"Content-Type": "text/plain"},
    )
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": ...}, "email is required"),
        ({"email": ""}, "email is required"),
        ({"email": "nobody"}, "email must be an e-mail address like name@example.com"),
        ({"email": "a@b"}, "email must be"),
        ({"email": ["a@b.example"]}, "email must be"),
        ({"email": "x" * 250 + "@b.example"}, "email must be"),
        ({"email": "a@b.example\nBcc: c@d.example"}, "email must be"),
        ({"websiteId": "shop"}, "websiteId must be"),
        ({"websiteId": ...}, "websiteId is required"),
        ({"visitorId": "me"}, "visitorId must be"),
        ({"userRequestedInfo": "x" * 4001}, "userRequestedInfo must be a text of at most 4000"),
        ({"userRequestedInfo": 1}, "userRequestedInfo must be"),
        ({"userRequestedInfo": "a\x00b"}, "userRequestedInfo must be"),
        ({"hostname": "x" * 254}, "hostname must be"),
        ({"cookies": 5}, "cookies must be"),
        ({"event": "export_data"}, "event must be one of consent_change"),
    ],
)
async def test_malformed_request_is_400_names_the_field_and_stores_nothing(
    office: Office, change: dict[str, Any], field: str
) -> None:
    status, text = await office.submit(**change)
    assert status == 400
    assert text.startswith(f"Bad Request: {field}")
    assert await _count(office.rows) == 0
    assert await office.rows.fetchval("SELECT count(*) FROM mails") == 0


async def test_content_may_be_empty_or_4000_characters_long(office: Office) -> None:
    assert (await office.submit("a@b.example", userRequestedInfo=""))[0] == 204
    assert (await office.submit("c@b.example", userRequestedInfo="é" * 4000))[0] == 204
    assert (await office.submit("d@b.example", userRequestedInfo=...))[0] == 204


async def test_unknown_app_is_403(office: Office) -> None:
    status, text = await office.submit(websiteId="01234567-89ab-cdef-0123-456789abcdef")
    assert (status, text) == (403, "Forbidden\n")


async def test_host_names_are_checked_as_for_decisions(office: Office) -> None:
    await office.rows.execute(
        "INSERT INTO consent_settings (app_id, origins, updated_at) VALUES ($1, $2, now())",
        office.app_id,
        ["*.shop.example"],
    )
    assert (await office.submit("a@b.example", hostname="www.shop.example"))[0] == 204
    for hostname in ("shop.example", "evilshop.example", ...):
        status, text = await office.submit("a@b.example", hostname=hostname)
        assert status == 403
        assert "hostname" in text


async def test_one_address_may_send_ten_a_minute(office: Office) -> None:
    answers = [
        await office.submit(f"a{number}@b.example", address="198.51.100.7") for number in range(11)
    ]
    assert [status for status, _ in answers] == [204] * 10 + [429]
    assert answers[-1][1] == "Too Many Requests: at most 10 a minute from one address\n"
    assert (await office.submit("other@b.example", address="198.51.100.8"))[0] == 204
    assert await _count(office.rows) == 11


async def test_one_email_may_be_named_five_times_a_day(office: Office, noise: App) -> None:
    statuses = [(await office.submit("a@b.example"))[0] for _ in range(6)]
    assert statuses == [204] * 5 + [429]
    assert (await office.submit("A@B.example"))[0] == 429
    assert (await office.submit("c@b.example"))[0] == 204
    assert (await office.submit("a@b.example", websiteId=noise.app_id))[0] == 204


async def test_limit_of_an_email_holds_for_many_at_once(office: Office) -> None:
    import asyncio  # noqa: PLC0415

    answers = await asyncio.gather(*(office.submit("a@b.example") for _ in range(12)))
    assert sorted(status for status, _ in answers) == [204] * 5 + [429] * 7


async def test_one_app_takes_a_thousand_an_hour(office: Office, noise: App) -> None:
    await office.rows.execute(
        "INSERT INTO data_subject_requests (app_id, request_id, request_type, status, channel, "
        "received_at, due_at) SELECT $1, ($2 || lpad(to_hex(n), 8, '0'))::uuid, 'view_data', "
        "'unverified', 'form', now(), now() FROM generate_series(1, 1000) n",
        office.app_id,
        "ffffffff-0000-7000-8000-0000",
    )
    status, text = await office.submit("a@b.example")
    assert (status, text) == (429, "Too Many Requests: at most 1000 an hour to one app\n")
    assert (await office.submit("a@b.example", websiteId=noise.app_id))[0] == 204


async def test_letters_and_controllers_requests_take_nobodys_place(office: Office) -> None:
    for channel, prefix in (("letter", "a"), ("opendsr", "b")):
        await office.rows.execute(
            "INSERT INTO data_subject_requests (app_id, request_id, request_type, status, channel, "
            "email, received_at, due_at) SELECT $1, ($2 || lpad(to_hex(n), 8, '0'))::uuid, "
            "'view_data', 'unverified', $3, 'a@b.example', now(), now() "
            "FROM generate_series(1, 1000) n",
            office.app_id,
            f"ffffffff-0000-7000-8000-000{prefix}",
            channel,
        )
    statuses = [(await office.submit("a@b.example"))[0] for _ in range(6)]
    assert statuses == [204] * 5 + [429]


@pytest.mark.parametrize(("workers", "share"), [(2, 5), (4, 3), (10, 1), (64, 1)])
async def test_each_worker_allows_its_share_of_an_addresss_requests(
    app: App, database_url: str, workers: int, share: int
) -> None:
    settings = Settings(workers=workers)
    body = {"websiteId": app.app_id, "event": "view_data"}
    async with TestClient(
        serve_in_test(create_app(settings, database_url, with_jobs=False))
    ) as service:
        statuses = [
            (
                await service.post("/consent/collect", json=body | {"email": f"a{n}@b.example"})
            ).status
            for n in range(share + 1)
        ]
    assert statuses == [204] * share + [429]


async def test_addresses_are_stored_nowhere(office: Office) -> None:
    address = "203.0.113.77"
    assert (await office.submit(address=address))[0] == 204
    for table in ("data_subject_requests", "data_subject_request_events", "mails"):
        for row in await office.rows.fetch(f"SELECT * FROM {table}"):
            assert address not in str(dict(row))
