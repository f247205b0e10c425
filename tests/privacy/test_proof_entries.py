"""Every way in to a proof, each with a link or code that is expired, used, replaced or guessed."""

import asyncio
from typing import Any

import pytest

from consent.data_subject_requests.verification import operations
from consent.data_subject_requests.verification.proof import WRONG_CODE
from tests.data_subjects import Office
from tests.mailbox import secrets_of


def _other(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def _send_again(office: Office, link: str) -> int:
    path = f"/privacy/confirm/{link}"
    answer = await office.service.post(path, data={"action": "send_again"})
    return answer.status


async def _tries_left(office: Office, request_id: str) -> int:
    left: int = await office.rows.fetchval(
        "SELECT tries_left FROM data_subject_verifications WHERE request_id = $1::uuid", request_id
    )
    return left


#: {what became of the link: (how, the link's page, the right code, a wrong one, a new mail)}
_STATES: dict[str, tuple[str | None, int, int, int, int]] = {
    "expired": ("expires_at = now()", 410, 410, 410, 200),
    "used": ("used_at = now()", 200, 200, 200, 200),
    "used and expired": ("used_at = now(), expires_at = now()", 200, 200, 200, 200),
    "locked": ("tries_left = 0", 403, 403, 403, 403),
    "locked and expired": ("tries_left = 0, expires_at = now()", 403, 403, 403, 403),
    "expired after three mails": ("expires_at = now(), mail_count = 3", 410, 410, 410, 429),
    "replaced": ("link_hash = sha256(link_hash)", 404, 404, 404, 404),
    "unknown": (None, 404, 404, 404, 404),
}


@pytest.mark.parametrize("state", _STATES)
async def test_no_way_in_proves_anything(office: Office, state: str) -> None:
    change, page, right, wrong, again = _STATES[state]
    request_id, link, code = await office.ask_and_get_mail()
    if change is None:
        link = link[::-1]
    else:
        await office.rows.execute(f"UPDATE data_subject_verifications SET {change}")
    tries = await _tries_left(office, request_id)
    for _ in range(4):
        assert (await office.look(link))[0] == page
        assert (await office.confirm(link, code))[0] == right
        assert (await office.confirm(link, _other(code)))[0] == wrong
    # None of them was a try.
    assert await _tries_left(office, request_id) == tries
    row = await office.row(request_id)
    assert (row["status"], row["verified_at"]) == ("unverified", None)
    assert await _send_again(office, link) == again
    mails = await office.deliver()
    assert len(mails) == (state == "expired")
    assert (await office.row(request_id))["verified_at"] is None


async def test_code_of_another_request_or_mail_is_a_wrong_one(office: Office) -> None:
    first, first_link, first_code = await office.ask_and_get_mail("jane@shop.example")
    second, second_link, second_code = await office.ask_and_get_mail("john@shop.example")
    if first_code == second_code:  # once in a million
        return
    assert (await office.confirm(first_link, second_code))[0] == 400
    assert (await _tries_left(office, first), await _tries_left(office, second)) == (2, 3)
    assert (await office.act(first, "verify", method="mail"))[0] == 200
    (mail,) = await office.deliver()
    new_link, new_code = secrets_of(mail)
    if new_code != first_code:
        assert (await office.confirm(new_link, first_code))[0] == 400
    for request_id in (first, second):
        assert (await office.row(request_id))["verified_at"] is None
    assert (await office.confirm(new_link, new_code))[0] == 200
    assert (await office.confirm(second_link, second_code))[0] == 200


@pytest.mark.parametrize(("is_guarded", "judged"), [(False, 6), (True, 3)])
async def test_of_guesses_at_once_three_are_judged(
    office: Office, monkeypatch: pytest.MonkeyPatch, *, is_guarded: bool, judged: int
) -> None:
    request_id, link, code = await office.ask_and_get_mail()
    outcomes = []
    try_code, look_at_link = operations.try_code, operations.look_at_link
    all_looked = asyncio.Barrier(6)

    def note(*arguments: Any) -> str:
        outcome = try_code(*arguments)
        outcomes.append(outcome)
        return outcome

    async def look_together(*arguments: Any) -> Any:
        found = await look_at_link(*arguments)
        await all_looked.wait()
        return found

    monkeypatch.setattr(operations, "try_code", note)
    if not is_guarded:
        monkeypatch.setattr(operations, "_lock_behind_link", look_together)
    guesses = [f"{(int(code) + 1 + n) % 1_000_000:06d}" for n in range(10 if is_guarded else 6)]
    await asyncio.gather(*(office.confirm(link, guess) for guess in guesses))
    assert outcomes.count(WRONG_CODE) == judged
    monkeypatch.undo()
    if is_guarded:
        assert (await office.confirm(link, code))[0] == 403
        events = [one["event"] for one in (await office.get(request_id))["history"]]
        assert events.count("verification_locked") == 1
    assert (await office.row(request_id))["verified_at"] is None


async def test_right_code_many_times_at_once_proves_once(office: Office) -> None:
    request_id, link, code = await office.ask_and_get_mail()
    answers = await asyncio.gather(*(office.confirm(link, code) for _ in range(10)))
    assert [status for status, _ in answers] == [200] * 10
    events = [one["event"] for one in (await office.get(request_id))["history"]]
    assert events.count("verified") == 1


async def test_right_code_among_guesses_at_once_proves_or_is_locked_out(office: Office) -> None:
    for number in range(5):
        request_id, link, code = await office.ask_and_get_mail(f"p{number}@shop.example")
        wrong = [f"{(int(code) + 1 + n) % 1_000_000:06d}" for n in range(6)]
        answers = await asyncio.gather(
            *(office.confirm(link, one) for one in [*wrong[:3], code, *wrong[3:]])
        )
        is_proved = (await office.row(request_id))["verified_at"] is not None
        refused = sorted(status for status, _ in answers if status != 200)
        # Never a fourth judgement: proved before the third wrong one, or locked by it.
        assert refused in ([[], [400], [400, 400]] if is_proved else [[400, 400] + [403] * 5])


async def test_new_mail_is_asked_for_once_however_often_at_once(office: Office) -> None:
    _, link, _ = await office.ask_and_get_mail()
    await office.rows.execute("UPDATE data_subject_verifications SET expires_at = now()")
    statuses = await asyncio.gather(*(_send_again(office, link) for _ in range(6)))
    assert sorted(statuses) == [200] + [404] * 5
    assert len(await office.deliver()) == 1
