"""Which requests are one person's, also without an e-mail; the first proved one leads."""

import asyncio
from typing import Any

import pytest

from tests.data_subjects import Office
from tests.mailbox import secrets_of


def _letter(email: str | None = None, **identities: str) -> dict[str, Any]:
    given = [
        {"identifier_name": name, "identifier_value": value} for name, value in identities.items()
    ]
    return {"identities": given} | ({} if email is None else {"email": email})


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (_letter(user_id="jbond"), _letter(user_id="jbond"), "duplicate"),
        (_letter(user_id="jbond"), _letter(user_id="jbond", device_id="d"), "duplicate"),
        (_letter("j@shop.example", user_id="jbond"), _letter(user_id="jbond"), "duplicate"),
        (_letter(user_id="jbond"), _letter("j@shop.example", user_id="jbond"), "duplicate"),
        (_letter("j@shop.example"), _letter("j@shop.example", user_id="jbond"), "duplicate"),
        (_letter(user_id="jbond"), _letter(user_id="moneypenny"), "to_do"),
        (_letter(device_id="shared"), _letter(device_id="shared"), "to_do"),
        (_letter(user_id="jbond"), _letter("j@shop.example"), "to_do"),
        (_letter("a@shop.example", user_id="x"), _letter("b@shop.example", user_id="x"), "to_do"),
    ],
)
async def test_requests_of_the_same_user_group_together_without_an_email_too(
    office: Office, first: dict[str, Any], second: dict[str, Any], expected: str
) -> None:
    ids = [await _note(office, **letter) for letter in (first, second)]
    for request_id in ids:
        assert (await office.act(request_id, "verify", reason="passport seen"))[0] == 200
    leader, follower = [await office.get(request_id) for request_id in ids]
    assert (leader["status"], follower["status"]) == ("to_do", expected)
    assert follower.get("leader_id") == (ids[0] if expected == "duplicate" else None)
    assert leader["duplicates"] == ([ids[1]] if expected == "duplicate" else [])


async def test_an_address_beside_makes_no_duplicate(office: Office) -> None:
    """A letter has nobody to tell of the outcome: it leads no request of the address it names."""
    beside = [{"identifier_name": "email", "identifier_value": "j@shop.example"}]
    letter = await _note(office, identities=beside)
    by_email = await _note(office, email="j@shop.example")
    for request_id in (letter, by_email):
        assert (await office.act(request_id, "verify", reason="passport seen"))[0] == 200
        assert (await office.get(request_id))["status"] == "to_do"


@pytest.mark.parametrize("is_claim_first", [True, False])
async def test_a_user_id_that_is_only_claimed_makes_no_duplicate(
    office: Office, *, is_claim_first: bool
) -> None:
    """Who proves an e-mail proves nothing else that the request names."""
    claim = await _note(office, **_letter("joe@shop.example", user_id="jane"), asks_for_proof=True)
    (mail,) = await office.deliver()
    letter = await _note(office, **_letter(user_id="jane"))
    if is_claim_first:
        assert (await office.confirm(*secrets_of(mail)))[0] == 200
    assert (await office.act(letter, "verify", reason="passport seen"))[0] == 200
    if not is_claim_first:
        assert (await office.confirm(*secrets_of(mail)))[0] == 200
    assert [(await office.get(one))["status"] for one in (claim, letter)] == ["to_do"] * 2


async def test_of_letters_of_one_user_verified_at_once_exactly_one_leads(office: Office) -> None:
    for number in range(5):
        letters = [
            _letter(user_id=f"u{number}"),
            _letter("j@shop.example", user_id=f"u{number}"),
            _letter(user_id=f"u{number}", device_id="d"),
        ]
        ids = [await _note(office, **letter) for letter in letters]
        verified = await asyncio.gather(
            *(office.act(request_id, "verify", reason="passport seen") for request_id in ids)
        )
        assert [status for status, _ in verified] == [200] * 3
        shown = [(await office.get(request_id))["status"] for request_id in ids]
        assert sorted(shown) == ["duplicate"] * 2 + ["to_do"], number


async def _note(office: Office, **attributes: Any) -> str:
    status, body = await office.create(**attributes)
    assert status == 201, body
    request_id: str = body["data"]["id"]
    return request_id
