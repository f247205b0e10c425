"""Mails are rows that a job sends: SMTP with STARTTLS and login, retries, the outbox without."""

import asyncio
import email
import stat
from dataclasses import replace
from datetime import timedelta
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp.test_utils import TestClient

from audience.server.database import Database
from audience.server.keys import SETTINGS
from audience.server.settings import Settings
from consent.app import create_app
from consent.data_subject_requests.mails.operations import (
    MAX_TRIES,
    pause_after,
    queue_mail,
    send_some_mails,
)
from tests.certificates import server_certificate
from tests.conftest import serve_in_test
from tests.data_subjects import Office
from tests.mailbox import Mailbox, body_of, secrets_of
from tests.service_process import free_port


async def _make_due(office: Office) -> None:
    await office.rows.execute("UPDATE mails SET next_try_at = now() - interval '1 second'")


async def _submit_to(office: Office, settings: Settings, database_url: str) -> None:
    """Have the office's waiting mails sent with other settings."""
    app = create_app(settings, database_url, with_jobs=False)
    async with TestClient(serve_in_test(app)):
        await _make_due(office)
        while await send_some_mails(app):
            pass


async def test_request_is_answered_without_a_mail_server(office: Office) -> None:
    office.mailbox.refuse("451 later")
    assert (await office.submit())[0] == 204
    waiting = await office.rows.fetch("SELECT purpose, try_count FROM mails")
    assert [tuple(row) for row in waiting] == [("verification", 0)]


async def test_line_breaks_in_an_apps_name_break_no_mail_and_add_no_header(office: Office) -> None:
    name = "Shop\r\nBcc: everybody@shop.example"
    await office.rows.execute("UPDATE apps SET name = $2 WHERE app_id = $1", office.app_id, name)
    await office.submit()
    (mail,) = await office.deliver()
    assert "Shop Bcc: everybody@shop.example" in mail["Subject"]
    assert mail["Bcc"] is None


async def test_sent_mail_leaves_no_row(office: Office) -> None:
    await office.submit()
    assert len(await office.deliver()) == 1
    assert await office.rows.fetchval("SELECT count(*) FROM mails") == 0
    assert await office.deliver() == []


async def test_mail_is_tried_again_after_longer_and_longer_pauses(office: Office) -> None:
    request_id = await office.ask()
    office.mailbox.refuse("451 later", "421 busy")
    for tries in (1, 2):
        assert await office.deliver() == []
        row = await office.rows.fetchrow(
            "SELECT try_count, next_try_at - now() AS pause FROM mails"
        )
        assert row["try_count"] == tries
        assert abs(row["pause"] - pause_after(tries)) < timedelta(seconds=10)
        assert await office.deliver() == []
        await _make_due(office)
    (mail,) = await office.deliver()
    assert (await office.confirm(*secrets_of(mail)))[0] == 200
    events = [one["event"] for one in (await office.get(request_id))["history"]]
    assert events == ["received", "verification_mail_sent", "verified"]


def test_pauses_double_up_to_six_hours_and_last_a_working_day() -> None:
    pauses = [pause_after(tries) for tries in range(1, MAX_TRIES)]
    assert pauses[:4] == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 8)]
    assert max(pauses) == timedelta(hours=6)
    assert sum(pauses, timedelta()) > timedelta(hours=8)


async def test_mail_is_given_up_after_the_last_try_and_the_team_sees_it(office: Office) -> None:
    request_id = await office.ask()
    await office.rows.execute("UPDATE mails SET try_count = $1", MAX_TRIES - 1)
    office.mailbox.refuse("451 later")
    assert await office.deliver() == []
    assert await office.rows.fetchval("SELECT count(*) FROM mails") == 0
    shown = await office.get(request_id)
    assert shown["history"][-1]["event"] == "verification_mail_given_up"


async def test_unknown_recipient_is_not_tried_again(office: Office) -> None:
    request_id = await office.ask()
    office.mailbox.refuse("550 no such user")
    assert await office.deliver() == []
    assert await office.rows.fetchval("SELECT count(*) FROM mails") == 0
    shown = await office.get(request_id)
    assert shown["history"][-1]["event"] == "verification_mail_refused"


async def test_one_mail_that_fails_keeps_no_other_waiting(
    office: Office, database: Database
) -> None:
    from audience.server import clock  # noqa: PLC0415

    async with database.transaction() as conn:
        await queue_mail(
            conn,
            app_id=office.app_id,
            purpose="nonsense",
            recipient="a@b.example",
            language="en",
            now=clock.now() - timedelta(minutes=1),
        )
    await office.submit()
    with pytest.raises(KeyError):
        await office.deliver()
    assert len(await office.deliver()) == 1
    await office.rows.execute("UPDATE mails SET try_count = $1", MAX_TRIES)
    assert await _due(office) == []
    assert await office.rows.fetchval("SELECT count(*) FROM mails") == 0


async def test_server_that_is_away_is_tried_again_without_addresses_in_the_log(
    office: Office, database_url: str, tmp_path: Path
) -> None:
    await office.submit("marker-person@shop.example")
    with structlog.testing.capture_logs() as logs:
        url = f"smtp://127.0.0.1:{free_port()}"
        settings = Settings(data_dir=tmp_path, smtp_url=url, public_url="https://consent.example")
        await _submit_to(office, settings, database_url)
    assert [line["event"] for line in logs] == ["mail not sent"]
    assert "marker-person" not in str(logs)
    assert len(await _due(office)) == 1


async def _due(office: Office) -> list[Any]:
    await _make_due(office)
    return await office.deliver()


async def test_mail_whose_sending_is_cut_off_is_sent_again(
    office: Office, database_url: str, tmp_path: Path
) -> None:
    await office.submit()
    is_connected = asyncio.Event()

    async def never_answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_connected.set()
        await asyncio.sleep(60)
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Settings(data_dir=tmp_path, smtp_url=f"smtp://127.0.0.1:{port}")
    app = create_app(settings, database_url, with_jobs=False)
    async with TestClient(serve_in_test(app)):
        sending = asyncio.create_task(send_some_mails(app))
        await asyncio.wait_for(is_connected.wait(), 10)
        # As when the process is killed while the mail is on its way.
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    server.close()
    assert await office.rows.fetchval("SELECT try_count FROM mails") == 1
    (mail,) = await _due(office)
    assert (await office.confirm(*secrets_of(mail)))[0] == 200


async def test_starttls_and_login(
    office: Office, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.submit()
    context, certificate = server_certificate(tmp_path)
    with Mailbox(tls=context, login=("us@er", "pa:ss/word")) as mailbox:
        url = f"smtp://us%40er:pa%3Ass%2Fword@127.0.0.1:{mailbox.port}"
        settings = Settings(data_dir=tmp_path, smtp_url=url)
        # Its certificate is nobody's that we trust: no password goes there.
        await _submit_to(office, settings, database_url)
        assert (mailbox.mails, mailbox.logins) == ([], [])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await _submit_to(office, settings, database_url)
        assert mailbox.logins == [("us@er", "pa:ss/word")]
        assert len(mailbox.mails) == 1


async def test_password_is_never_sent_without_tls(
    office: Office, database_url: str, tmp_path: Path
) -> None:
    await office.submit()
    with Mailbox(login=("user", "password")) as mailbox:
        settings = Settings(
            data_dir=tmp_path, smtp_url=f"smtp://user:password@127.0.0.1:{mailbox.port}"
        )
        await _submit_to(office, settings, database_url)
        assert (mailbox.mails, mailbox.logins) == ([], [])
    assert len(await _due(office)) == 1


async def test_without_a_mail_server_mails_land_in_the_outbox(
    office: Office, database_url: str, tmp_path: Path
) -> None:
    await office.submit("jane@shop.example", language="de")
    settings = replace(office.service.app[SETTINGS], smtp_url=None)  # type: ignore[union-attr]
    with structlog.testing.capture_logs() as logs:
        await _submit_to(office, settings, database_url)
    (file,) = (tmp_path / "outbox").iterdir()
    assert file.suffix == ".eml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    mail: Any = email.message_from_bytes(file.read_bytes(), policy=default)
    assert mail["To"] == "jane@shop.example"
    assert "Guten Tag" in body_of(mail)
    assert (await office.confirm(*secrets_of(mail)))[0] == 200
    assert logs == [
        {
            "event": "SMTP_URL is not set: mail written to the outbox",
            "file": str(file),
            "log_level": "info",
        }
    ]


async def test_name_and_address_of_the_sender_are_written_as_mail_has_it(
    office: Office, database_url: str, tmp_path: Path
) -> None:
    await office.submit()
    settings = Settings(data_dir=tmp_path, mail_from="Zespół, Prywatność <p@shop.example>")
    await _submit_to(office, settings, database_url)
    (file,) = (tmp_path / "outbox").iterdir()
    mail: Any = email.message_from_bytes(file.read_bytes(), policy=default)
    assert mail["From"].addresses[0].display_name == "Zespół, Prywatność"
    assert mail["From"].addresses[0].addr_spec == "p@shop.example"
