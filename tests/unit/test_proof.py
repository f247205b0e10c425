"""The proof by mail: when it is valid, what a try comes to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from consent.data_subject_requests.verification.proof import (
    EXPIRED,
    LOCKED,
    USED,
    VERIFIED,
    WAITING,
    WRONG_CODE,
    Secrets,
    new_proof,
    new_secrets,
    state_of,
    try_code,
)

_NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
_MADE = Secrets("link", "012345")
_PROOF = new_proof("app", "request", _MADE, _NOW, mail_count=1)
_USED = replace(_PROOF, used_at=_NOW)
_LOCKED = replace(_PROOF, tries_left=0)
_LAST_MOMENT = timedelta(minutes=10) - timedelta(microseconds=1)
_TEN_MINUTES = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("proof", "after", "state", "right", "wrong"),
    [
        (_PROOF, timedelta(), WAITING, VERIFIED, WRONG_CODE),
        (_PROOF, _LAST_MOMENT, WAITING, VERIFIED, WRONG_CODE),
        (_PROOF, _TEN_MINUTES, EXPIRED, EXPIRED, EXPIRED),
        (_PROOF, timedelta(days=400), EXPIRED, EXPIRED, EXPIRED),
        (replace(_PROOF, tries_left=1), timedelta(), WAITING, VERIFIED, WRONG_CODE),
        (_LOCKED, timedelta(), LOCKED, LOCKED, LOCKED),
        (_LOCKED, _TEN_MINUTES, LOCKED, LOCKED, LOCKED),
        (replace(_PROOF, tries_left=-1), timedelta(), LOCKED, LOCKED, LOCKED),
        (_USED, timedelta(), USED, USED, USED),
        (_USED, _TEN_MINUTES, USED, USED, USED),
        (replace(_USED, tries_left=0), timedelta(), USED, USED, USED),
    ],
)
def test_what_a_try_comes_to(
    proof: object, after: timedelta, state: str, right: str, wrong: str
) -> None:
    now = _NOW + after
    assert state_of(proof, now) == state  # type: ignore[arg-type]
    assert try_code(proof, "link", "012345", now) == right  # type: ignore[arg-type]
    assert try_code(proof, "link", " 012 345\n", now) == right  # type: ignore[arg-type]
    for code in (
        "012346",
        "12345",
        "",
        "0123450",
        "\uff10\uff11\uff12\uff13\uff14\uff15",
        "\ud800",
    ):
        assert try_code(proof, "link", code, now) == wrong  # type: ignore[arg-type]


def test_code_is_of_no_use_with_another_link() -> None:
    assert try_code(_PROOF, "other", "012345", _NOW) == WRONG_CODE


def test_links_and_codes_are_long_enough_and_never_the_same() -> None:
    made = [new_secrets() for _ in range(500)]
    assert len({one.link for one in made}) == 500
    assert {len(one.link) for one in made} == {43}
    assert {len(one.code) for one in made} == {6}
    assert all(one.code.isdecimal() and one.code.isascii() for one in made)
    assert len({one.code for one in made}) > 480
    # Zeros in front are digits like others.
    assert {one.code[0] for one in made} == set("0123456789")
