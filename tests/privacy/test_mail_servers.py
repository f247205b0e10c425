"""Mails through SMTP servers of every kind: TLS at once, STARTTLS, logins, and what goes wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp.test_utils import TestClient

from audience.server.settings import Settings
from consent.app import create_app
from consent.data_subject_requests.mails.operations import MAX_TRIES, pause_after, send_some_mails
from tests.certificates import server_certificate
from tests.conftest import serve_in_test
from tests.data_subjects import Office
from tests.mailbox import Mailbox, secrets_of

EMAIL = "marker-person@shop.example"
LOGIN, ESCAPED = ("us@er", "marker-pa:ss/word"), "us%40er:marker-pa%3Ass%2Fword@"
#: (server speaks TLS from the start, it wants a login)
KINDS = pytest.mark.parametrize(
    ("is_tls_first", "has_login"),
    [(True, True), (True, False), (False, True), (False, False)],
    ids=["smtps with password", "smtps", "STARTTLS with password", "STARTTLS"],
)

#: (url) -> try what is due with this SMTP_URL: the lines of the log.
Try = Callable[[str], Awaitable[list[Any]]]


@pytest.fixture
def try_with(office: Office, database_url: str, tmp_path: Path) -> Try:
    """Try the waiting mails as a service with this SMTP_URL does."""

    async def send(url: str) -> list[Any]:
        await office.rows.execute("UPDATE mails SET next_try_at = now() - interval '1 second'")
        settings = Settings(data_dir=tmp_path, smtp_url=url, public_url="https://consent.example")
        app = create_app(settings, database_url, with_jobs=False)
        with structlog.testing.capture_logs() as lines:
            async with TestClient(serve_in_test(app)):
                while await send_some_mails(app):
                    pass
        for secret in ("marker", "us@er", "us%40er", "confirm/"):
            assert secret not in str(lines)
        return lines

    return send


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(a server's TLS context, how its certificate comes to be trusted)."""
    context, path = server_certificate(tmp_path)
    return context, lambda: monkeypatch.setenv("SSL_CERT_FILE", str(path))


async def _expect_retry(office: Office, lines: list[Any], tries: int) -> None:
    """It was tried, the log says so, and it is tried again after a pause."""
    assert [line["event"] for line in lines] == ["mail not sent"]
    assert (lines[0]["tries"], lines[0]["log_level"]) == (tries, "warning")
    (row,) = await office.rows.fetch("SELECT try_count, next_try_at - now() AS pause FROM mails")
    assert row["try_count"] == tries
    assert abs(row["pause"] - pause_after(tries)) < timedelta(seconds=10)


async def _expect_proof(office: Office, request_id: str, mailbox: Mailbox) -> None:
    """Exactly one mail came, and it proves the request."""
    (mail,) = mailbox.mails
    assert mail["To"] == EMAIL
    assert (await office.confirm(*secrets_of(mail)))[0] == 200
    assert (await office.get(request_id))["status"] == "to_do"
    assert await office.rows.fetchval("SELECT count(*) FROM mails") == 0


@KINDS
async def test_mail_goes_to_a_trusted_server_only_and_never_in_the_clear(
    office: Office, try_with: Try, certificate: Any, *, is_tls_first: bool, has_login: bool
) -> None:
    request_id = await office.ask(EMAIL)
    context, trust = certificate
    with Mailbox(
        tls=context, login=LOGIN if has_login else None, is_tls_first=is_tls_first
    ) as mailbox:
        url = mailbox.url_for(ESCAPED if has_login else "")
        await _expect_retry(office, await try_with(url), 1)
        assert (mailbox.mails, mailbox.logins) == ([], [])
        trust()
        # A certificate for another name is as good as none.
        elsewhere = mailbox.url_for(ESCAPED if has_login else "", "localhost")
        await _expect_retry(office, await try_with(elsewhere), 2)
        assert (mailbox.mails, mailbox.logins) == ([], [])
        assert await try_with(url) == []
        assert mailbox.logins == ([LOGIN] if has_login else [])
        await _expect_proof(office, request_id, mailbox)


@pytest.mark.parametrize("is_tls_first", [True, False], ids=["smtps", "STARTTLS"])
async def test_wrong_password_is_tried_again_until_the_operator_mends_it(
    office: Office, try_with: Try, certificate: Any, *, is_tls_first: bool
) -> None:
    request_id = await office.ask(EMAIL)
    context, trust = certificate
    trust()
    with Mailbox(tls=context, login=LOGIN, is_tls_first=is_tls_first) as mailbox:
        for tries in (1, 2):
            lines = await try_with(mailbox.url_for("us%40er:marker-wrong@"))
            await _expect_retry(office, lines, tries)
        assert set(mailbox.logins) == {("us@er", "marker-wrong")}
        assert mailbox.mails == []
        assert await try_with(mailbox.url_for(ESCAPED)) == []
        await _expect_proof(office, request_id, mailbox)


@pytest.mark.parametrize("login", ["", ESCAPED], ids=["no password", "password"])
async def test_server_without_tls_gets_nothing_when_tls_is_wanted(
    office: Office, try_with: Try, login: str
) -> None:
    await office.ask(EMAIL)
    with Mailbox(login=LOGIN) as mailbox:
        await _expect_retry(office, await try_with(f"smtps://{login}127.0.0.1:{mailbox.port}"), 1)
        assert (mailbox.mails, mailbox.logins) == ([], [])


async def test_server_that_was_down_gets_the_mail_once_when_it_is_up(
    office: Office, try_with: Try
) -> None:
    request_id = await office.ask(EMAIL)
    mailbox = Mailbox()
    for tries in (1, 2, 3):
        await _expect_retry(office, await try_with(mailbox.url), tries)
    with mailbox:
        assert await try_with(mailbox.url) == []
        assert await try_with(mailbox.url) == []
        await _expect_proof(office, request_id, mailbox)


async def test_of_many_processes_one_sends_the_mail(office: Office) -> None:
    for number in range(3):
        await office.ask(f"p{number}@shop.example")
    app: Any = office.service.app
    for _ in range(3):
        await asyncio.gather(*(send_some_mails(app) for _ in range(6)))
    recipients = sorted(mail["To"] for mail in office.mailbox.mails)
    assert recipients == [f"p{number}@shop.example" for number in range(3)]


@pytest.mark.parametrize("refused", ["sender", "content"])
async def test_server_that_takes_nothing_is_not_tried_for_ever(
    office: Office, try_with: Try, refused: str
) -> None:
    request_id = await office.ask(EMAIL)
    answers = [f"554 5.7.1 <{EMAIL}>: marker-policy"] * (MAX_TRIES + 5)
    with Mailbox() as mailbox:
        setattr(mailbox, f"{refused}_refusals", answers)
        for tries in range(1, MAX_TRIES):
            await _expect_retry(office, await try_with(mailbox.url), tries)
        lines = await try_with(mailbox.url)
        assert [line["event"] for line in lines] == ["mail not sent", "mail given up"]
        assert await try_with(mailbox.url) == []
        assert len(answers) == 5
        assert mailbox.mails == []
    shown = await office.get(request_id)
    assert shown["history"][-1]["event"] == "verification_mail_given_up"
    assert shown["status"] == "unverified"


@pytest.mark.parametrize("answer", ["550 5.1.1", "551", "553 5.1.3", "554 5.7.1"])
async def test_refused_recipient_is_logged_without_the_address_and_not_tried_again(
    office: Office, try_with: Try, answer: str
) -> None:
    request_id = await office.ask(EMAIL)
    with Mailbox() as mailbox:
        mailbox.refuse(f"{answer} <{EMAIL}>: no such user")
        lines = await try_with(mailbox.url)
        assert [line["event"] for line in lines] == ["mail refused"]
        assert await try_with(mailbox.url) == []
        assert mailbox.mails == []
    assert await office.rows.fetchval("SELECT count(*) FROM mails") == 0
    assert (await office.get(request_id))["history"][-1]["event"] == "verification_mail_refused"


@pytest.mark.parametrize("answer", ["450 4.2.1", "451 4.7.1", "452 4.2.2"])
async def test_recipient_refused_for_now_is_tried_again(
    office: Office, try_with: Try, answer: str
) -> None:
    request_id = await office.ask(EMAIL)
    with Mailbox() as mailbox:
        mailbox.refuse(f"{answer} <{EMAIL}>: greylisted")
        await _expect_retry(office, await try_with(mailbox.url), 1)
        assert await try_with(mailbox.url) == []
        await _expect_proof(office, request_id, mailbox)
