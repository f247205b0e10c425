"""Proof by mail: link and code, tries, expiry; who leads among several requests of one person."""

import asyncio
import io
import re

import pytest

from tests.conftest import App
from tests.data_subjects import Office
from tests.mailbox import body_of, secrets_of


def _other(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def _expire(office: Office) -> None:
    await office.rows.execute(
        "UPDATE data_subject_verifications SET expires_at = expires_at - interval '10 minutes'"
    )


async def test_mail_says_what_was_asked_and_has_link_and_code(office: Office) -> None:
    await office.submit("jane@shop.example", "delete_data")
    (mail,) = await office.deliver()
    assert mail["To"] == "jane@shop.example"
    assert mail["From"] == "Privacy team <privacy@shop.example>"
    assert mail["Subject"] == "Please confirm your request to test"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "en"
    assert mail["Message-ID"].endswith("@shop.example>")
    text = body_of(mail)
    assert "asked test on 20" in text
    assert "to delete the data it holds about you" in text
    assert "https://consent.example/privacy/confirm/" in text
    assert "for 10 minutes" in text


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "Bitte bestätigen Sie Ihre Anfrage an test"),
        ("fr", "Veuillez confirmer votre demande à test"),
        ("ja,pl;q=0.5,en;q=0.1", "Prosimy o potwierdzenie wniosku do test"),
        ("es-MX", "Confirme su solicitud a test"),
        ("ja", "Please confirm your request to test"),
        ("*;q=x", "Please confirm your request to test"),
    ],
)
async def test_mail_and_page_are_in_the_requesters_language(
    office: Office, language: str, subject: str
) -> None:
    await office.submit(language=language)
    (mail,) = await office.deliver()
    assert mail["Subject"] == subject
    status, page, headers = await office.look(secrets_of(mail)[0])
    assert status == 200
    assert f'<html lang="{mail["Content-Language"]}">' in page
    assert headers["Content-Language"] == mail["Content-Language"]
    assert '<html lang="pl">' in (await office.look(secrets_of(mail)[0], language="pl"))[1]


async def test_link_and_code_prove_the_email_once(office: Office) -> None:
    request_id, link, code = await office.ask_and_get_mail()
    assert (await office.get(request_id))["status"] == "unverified"
    status, page = await office.confirm(link, f" {code[:3]} {code[3:]} ")
    assert status == 200
    assert "Your request is confirmed" in page
    shown = await office.get(request_id)
    assert (shown["status"], shown["verified_by"]) == ("to_do", "mail")
    assert shown["is_verified"] is True
    assert [(one["actor"], one["event"]) for one in shown["history"]] == [
        ("requester", "received"),
        ("system", "verification_mail_sent"),
        ("requester", "verified"),
    ]
    for again in (code, _other(code)):
        status, page = await office.confirm(link, again)
        assert status == 200
        assert "Already confirmed" in page
    assert (await office.get(request_id))["verified_at"] == shown["verified_at"]


async def test_opening_the_link_however_often_verifies_nothing(office: Office) -> None:
    request_id, link, _ = await office.ask_and_get_mail()
    for method in ("GET", "HEAD", "GET", "OPTIONS"):
        answer = await office.service.request(method, f"/privacy/confirm/{link}")
        assert answer.status == (405 if method == "OPTIONS" else 200)
    status, page, _ = await office.look(f"{link}/")
    assert status == 200
    assert 'name="code"' in page
    # Not even a scanner that presses buttons: it lacks the code.
    assert (await office.confirm(link, ""))[0] == 400
    assert (await office.get(request_id))["status"] == "unverified"


async def test_third_wrong_code_locks_the_link_for_good(office: Office) -> None:
    request_id, link, code = await office.ask_and_get_mail()
    for left in (2, 1):
        status, page = await office.confirm(link, _other(code))
        assert status == 400
        assert f"Tries left: {left}." in page
    assert (await office.confirm(link, _other(code)))[0] == 403
    for attempt in (code, _other(code)):
        status, page = await office.confirm(link, attempt)
        assert status == 403
        assert "This link is locked" in page
    assert (await office.look(link))[0] == 403
    shown = await office.get(request_id)
    assert shown["status"] == "unverified"
    assert shown["history"][-1]["event"] == "verification_locked"


async def test_many_guesses_at_once_are_still_three(office: Office) -> None:
    request_id, link, code = await office.ask_and_get_mail()
    guesses = [f"{(int(code) + 1 + n) % 1_000_000:06d}" for n in range(12)]
    answers = await asyncio.gather(*(office.confirm(link, guess) for guess in guesses))
    assert sorted(status for status, _ in answers) == [400, 400] + [403] * 10
    assert (await office.confirm(link, code))[0] == 403
    assert (await office.get(request_id))["status"] == "unverified"


async def test_expired_link_proves_nothing_and_a_new_mail_can_be_had(office: Office) -> None:
    request_id, link, code = await office.ask_and_get_mail()
    await _expire(office)
    status, page = await office.confirm(link, code)
    assert status == 410
    assert "This link has expired" in page
    assert (await office.get(request_id))["status"] == "unverified"
    again = {"action": "send_again"}
    answer = await office.service.post(f"/privacy/confirm/{link}", data=again)
    assert answer.status == 200
    assert "A new mail is on its way" in await answer.text()
    # The old link is none any more, so that pressing again sends nothing.
    assert (await office.service.post(f"/privacy/confirm/{link}", data=again)).status == 404
    (mail,) = await office.deliver()
    new_link, new_code = secrets_of(mail)
    assert new_link != link
    assert (await office.confirm(link, code))[0] == 404
    assert (await office.confirm(new_link, new_code))[0] == 200
    assert (await office.get(request_id))["status"] == "to_do"


async def test_no_more_than_three_mails_for_one_request(office: Office) -> None:
    _, link, _ = await office.ask_and_get_mail()
    for _ in range(2):
        await _expire(office)
        await office.service.post(f"/privacy/confirm/{link}", data={"action": "send_again"})
        (mail,) = await office.deliver()
        link = secrets_of(mail)[0]
    await _expire(office)
    answer = await office.service.post(f"/privacy/confirm/{link}", data={"action": "send_again"})
    assert answer.status == 429
    assert "No further mail" in await answer.text()
    assert await office.deliver() == []


async def test_live_link_sends_no_other_mail(office: Office) -> None:
    _, link, code = await office.ask_and_get_mail()
    await office.service.post(f"/privacy/confirm/{link}", data={"action": "send_again"})
    assert await office.deliver() == []
    assert (await office.confirm(link, code))[0] == 200


async def test_secrets_are_stored_as_hashes_only(office: Office) -> None:
    await office.submit()
    before = str([dict(row) for row in await office.rows.fetch("SELECT * FROM mails")])
    (mail,) = await office.deliver()
    link, code = secrets_of(mail)
    stored = str(
        [dict(row) for row in await office.rows.fetch("SELECT * FROM data_subject_verifications")]
    )
    for secret in (link, code):
        assert secret not in before
        assert secret not in stored


@pytest.mark.parametrize("link", ["x", "A" * 43, "%00", "..%2Fx", "é" * 40, "a" * 3000])
async def test_unknown_link_is_a_404_page(office: Office, link: str) -> None:
    for status, page in [(await office.look(link))[:2], await office.confirm(link, "123456")]:
        assert status == 404
        assert "This link is not valid" in page


async def test_page_loads_nothing_and_is_nobodys_frame_or_cache(office: Office) -> None:
    _, link, _ = await office.ask_and_get_mail()
    _, page, headers = await office.look(link)
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Access-Control-Allow-Origin" not in headers
    assert not re.search(r"<script|<link|<img|src=|url\(|//", page)


async def test_page_never_shows_the_email_and_escapes_the_apps_name(office: Office) -> None:
    await office.rows.execute(
        "UPDATE apps SET name = '<b>{code} & co' WHERE app_id = $1", office.app_id
    )
    _, link, code = await office.ask_and_get_mail()
    _, page, _ = await office.look(link)
    assert "&lt;b&gt;{code} &amp; co" in page
    assert "jane" not in page
    assert (await office.confirm(link, code))[0] == 200


async def test_every_refusal_below_privacy_is_a_page(office: Office) -> None:
    for method, path, expected in (
        ("GET", "/privacy/", 404),
        ("PUT", "/privacy/confirm/x", 405),
        ("GET", "//privacy//nothing", 404),
    ):
        answer = await office.service.request(method, path)
        assert answer.status == expected
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<h1>" in await answer.text()


async def test_huge_form_is_refused_with_a_page(office: Office) -> None:
    answer = await office.service.post(
        "/privacy/confirm/x",
        data=io.BytesIO(b"code=" + b"1" * 2_000_000),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status == 413
    assert "<h1>" in await answer.text()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"code=\xff"),
        ("application/x-www-form-urlencoded; charset=none", b"code=1"),
        ("multipart/form-data", b"code=1"),
    ],
)
async def test_form_that_can_not_be_decoded_is_refused_with_a_page(
    office: Office, content_type: str, body: bytes
) -> None:
    answer = await office.service.post(
        "/privacy/confirm/x", data=body, headers={"Content-Type": content_type}
    )
    assert answer.status == 400
    assert "<h1>" in await answer.text()


# --- several requests of one person


async def test_first_proved_request_leads_and_the_others_are_duplicates(office: Office) -> None:
    first, first_link, first_code = await office.ask_and_get_mail()
    second, second_link, second_code = await office.ask_and_get_mail()
    other_type = await office.ask_and_confirm("jane@shop.example", "delete_data")
    stranger = await office.ask("john@shop.example")
    await office.confirm(second_link, second_code)
    leader, duplicate = await office.get(second), await office.get(first)
    assert (leader["status"], duplicate["status"]) == ("to_do", "duplicate")
    assert duplicate["leader_id"] == second
    assert leader["duplicates"] == [first]
    assert duplicate["is_verified"] is False
    # Its own link still proves it, and it stays a duplicate.
    assert (await office.confirm(first_link, first_code))[0] == 200
    assert (await office.get(first))["status"] == "duplicate"
    assert (await office.get(first))["is_verified"] is True
    assert (await office.get(other_type))["status"] == "to_do"
    assert (await office.get(stranger))["status"] == "unverified"


async def test_request_after_an_open_one_is_its_duplicate_once_proved(office: Office) -> None:
    leader = await office.ask_and_confirm()
    later, link, code = await office.ask_and_get_mail()
    assert (await office.get(later))["status"] == "unverified"
    await office.confirm(link, code)
    shown = await office.get(later)
    assert (shown["status"], shown["leader_id"]) == ("duplicate", leader)


async def test_request_after_a_closed_one_leads_itself(office: Office) -> None:
    leader = await office.ask_and_confirm()
    assert await office.change(leader, status="rejected", reason="no") == (204, "")
    later = await office.ask_and_confirm()
    assert (await office.get(later))["status"] == "to_do"


async def test_same_email_of_another_app_is_another_person(office: Office, noise: App) -> None:
    await office.ask_and_confirm()
    assert (await office.submit(websiteId=noise.app_id))[0] == 204
    (mail,) = await office.deliver()
    await office.confirm(*secrets_of(mail))
    statuses = await office.rows.fetch("SELECT status FROM data_subject_requests")
    assert [row[0] for row in statuses] == ["to_do", "to_do"]


async def test_of_requests_proved_at_once_exactly_one_leads(office: Office) -> None:
    for round_number in range(5):
        email = f"p{round_number}@shop.example"
        asked = [await office.ask_and_get_mail(email) for _ in range(4)]
        answers = await asyncio.gather(*(office.confirm(link, code) for _, link, code in asked))
        assert [status for status, _ in answers] == [200] * 4
        shown = [(await office.get(request_id))["status"] for request_id, _, _ in asked]
        assert sorted(shown) == ["duplicate"] * 3 + ["to_do"]


@pytest.mark.parametrize("status", ["to_do", "in_progress", "resolved"])
async def test_no_approval_before_verification_also_not_of_a_duplicate(
    office: Office, status: str
) -> None:
    unproved = await office.ask("jane@shop.example")
    follower = await office.ask("john@shop.example")
    await office.deliver()
    await office.ask_and_confirm("john@shop.example")
    assert (await office.get(follower))["status"] == "duplicate"
    for request_id in (unproved, follower):
        code, body = await office.change(request_id, status=status)
        assert code == 409
        expected = {"not_verified", "move_not_allowed"}
        if status == "to_do":
            expected = {"not_verified"}
        assert body["errors"][0]["code"] in expected
        executed, body = await office.act(request_id, "execute")
        assert (executed, body["errors"][0]["code"]) == (409, "not_verified")
        assert (await office.row(request_id))["verified_at"] is None
        assert (await office.get(request_id))["status"] in ("unverified", "duplicate")


async def test_database_itself_refuses_work_without_proof(office: Office) -> None:
    import asyncpg  # noqa: PLC0415

    await office.ask()
    with pytest.raises(asyncpg.CheckViolationError, match="verified"):
        await office.rows.execute("UPDATE data_subject_requests SET status = 'to_do'")


# --- by hand


async def test_request_by_letter_is_verified_by_hand_with_a_reason(office: Office) -> None:
    status, body = await office.create(
        identities=[{"identifier_name": "user_id", "identifier_value": "jbond"}]
    )
    assert status == 201
    request_id = body["data"]["id"]
    status, body = await office.act(request_id, "verify")
    assert status == 400
    assert body["errors"][0]["source"] == {"pointer": "/data/attributes/reason"}
    status, body = await office.act(request_id, "verify", reason="passport seen")
    assert status == 200
    shown = body["data"]["attributes"]
    assert (shown["status"], shown["verified_by"]) == ("to_do", "hand")
    assert shown["verification_reason"] == "passport seen"
    assert shown["history"][-1] | {"occurred_at": ""} == {
        "occurred_at": "",
        "actor": "team",
        "event": "verified",
        "from_status": "unverified",
        "to_status": "to_do",
        "detail": "passport seen",
    }
    again = await office.act(request_id, "verify", reason="other")
    assert again[1]["data"]["attributes"]["verification_reason"] == "passport seen"


async def test_team_can_have_link_and_code_sent(office: Office) -> None:
    status, body = await office.create(
        email="Jane@shop.example", asks_for_proof=True, channel="phone", language="fr"
    )
    assert status == 201
    request_id = body["data"]["id"]
    (mail,) = await office.deliver()
    assert (mail["To"], mail["Content-Language"]) == ("jane@shop.example", "fr")
    await office.rows.execute("UPDATE data_subject_verifications SET tries_left = 0")
    assert (await office.act(request_id, "verify", method="mail"))[0] == 200
    (mail,) = await office.deliver()
    assert (await office.confirm(*secrets_of(mail)))[0] == 200
    assert (await office.get(request_id))["verified_by"] == "mail"


async def test_mail_can_not_be_sent_without_an_email(office: Office) -> None:
    _, body = await office.create(
        identities=[{"identifier_name": "user_id", "identifier_value": "jbond"}]
    )
    status, refusal = await office.act(body["data"]["id"], "verify", method="mail")
    assert (status, refusal["errors"][0]["code"]) == (409, "no_email")


@pytest.mark.parametrize("status", ["cancelled", "rejected"])
async def test_closed_request_can_not_be_verified(office: Office, status: str) -> None:
    request_id, link, code = await office.ask_and_get_mail()
    assert (await office.change(request_id, status=status))[0] == 204
    refusal = await office.act(request_id, "verify", reason="seen")
    assert (refusal[0], refusal[1]["errors"][0]["code"]) == (409, "move_not_allowed")
    # The page does not say that it is confirmed: it leads nowhere any more.
    for answer in (await office.look(link), await office.confirm(link, code)):
        assert answer[0] == 404
        assert "This link is not valid" in answer[1]
    shown = await office.get(request_id)
    assert (shown["status"], shown["is_verified"]) == (status, False)


@pytest.mark.parametrize("status", ["cancelled", "rejected"])
async def test_closed_request_sends_no_link(office: Office, status: str) -> None:
    request_id = await office.ask()
    assert (await office.change(request_id, status=status))[0] == 204
    # Neither the mail that waited nor another one.
    assert await office.deliver() == []
    refusal = await office.act(request_id, "verify", method="mail")
    assert (refusal[0], refusal[1]["errors"][0]["code"]) == (409, "move_not_allowed")
    assert await office.deliver() == []
    assert [one["event"] for one in (await office.get(request_id))["history"]] == [
        "received",
        "moved",
        "verification_mail_dropped",
    ]
