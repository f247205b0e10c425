"""The life of a data subject request: moves, month ends, leap years, days left."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from consent.data_subject_requests.lifecycle import (
    CLOSED,
    MOVES,
    NEED_PROOF,
    OPEN,
    STATUSES,
    UNVERIFIED,
    days_left,
    due_at,
    is_overdue,
    needs_reminder,
    refuse_move,
    status_after_verification,
)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("received", "due", "extended"),
    [
        ("2026-01-28T10:00", "2026-02-28T10:00", "2026-04-28T10:00"),
        ("2026-01-29T10:00", "2026-02-28T10:00", "2026-04-29T10:00"),
        ("2026-01-30T10:00", "2026-02-28T10:00", "2026-04-30T10:00"),
        ("2026-01-31T10:00", "2026-02-28T10:00", "2026-04-30T10:00"),
        ("2024-01-28T10:00", "2024-02-28T10:00", "2024-04-28T10:00"),
        ("2024-01-29T10:00", "2024-02-29T10:00", "2024-04-29T10:00"),
        ("2024-01-30T10:00", "2024-02-29T10:00", "2024-04-30T10:00"),
        ("2024-01-31T10:00", "2024-02-29T10:00", "2024-04-30T10:00"),
        # A leap year by four hundred, and none by a hundred.
        ("2000-01-31T10:00", "2000-02-29T10:00", "2000-04-30T10:00"),
        ("2100-01-29T10:00", "2100-02-28T10:00", "2100-04-29T10:00"),
        ("2026-02-28T10:00", "2026-03-28T10:00", "2026-05-28T10:00"),
        ("2024-02-29T10:00", "2024-03-29T10:00", "2024-05-29T10:00"),
        ("2026-05-31T10:00", "2026-06-30T10:00", "2026-08-31T10:00"),
        ("2026-03-31T10:00", "2026-04-30T10:00", "2026-06-30T10:00"),
        ("2026-07-31T10:00", "2026-08-31T10:00", "2026-10-31T10:00"),
        ("2026-08-31T10:00", "2026-09-30T10:00", "2026-11-30T10:00"),
        ("2026-10-31T10:00", "2026-11-30T10:00", "2027-01-31T10:00"),
        ("2026-11-29T10:00", "2026-12-29T10:00", "2027-02-28T10:00"),
        ("2026-11-30T10:00", "2026-12-30T10:00", "2027-02-28T10:00"),
        ("2027-11-29T10:00", "2027-12-29T10:00", "2028-02-29T10:00"),
        ("2027-11-30T10:00", "2027-12-30T10:00", "2028-02-29T10:00"),
        ("2026-12-31T23:59", "2027-01-31T23:59", "2027-03-31T23:59"),
        ("2027-12-31T00:00", "2028-01-31T00:00", "2028-03-31T00:00"),
    ],
)
def test_due_a_month_after_receipt_and_three_when_extended(
    received: str, due: str, extended: str
) -> None:
    assert due_at(_at(received), "UTC") == _at(due)
    assert due_at(_at(received), "UTC", is_extended=True) == _at(extended)


def test_the_month_is_that_of_the_apps_calendar() -> None:
    # Already the first of March in Warsaw.
    received = _at("2026-02-28T23:30")
    assert due_at(received, "Europe/Warsaw") == _at("2026-03-31T22:30")
    assert due_at(received, "UTC") == _at("2026-03-28T23:30")


@pytest.mark.parametrize(
    ("zone", "received", "due", "extended"),
    [
        # There it is February already.
        ("Europe/Warsaw", "2026-01-31T23:30", "2026-02-28T23:30", "2026-04-30T22:30"),
        ("Pacific/Kiritimati", "2026-01-31T10:30", "2026-02-28T10:30", "2026-04-30T10:30"),
        # There it is still the last of January, or of February in a leap year.
        ("America/New_York", "2026-02-01T04:30", "2026-03-01T04:30", "2026-05-01T03:30"),
        ("America/New_York", "2024-03-01T04:30", "2024-03-30T03:30", "2024-05-30T03:30"),
        # There it is another year.
        ("Asia/Tokyo", "2026-12-31T15:30", "2027-01-31T15:30", "2027-03-31T15:30"),
        # The clock there is the same, the hours between are one less or more.
        ("Europe/Warsaw", "2026-03-15T11:00", "2026-04-15T10:00", "2026-06-15T10:00"),
        ("Europe/Warsaw", "2026-10-15T10:00", "2026-11-15T11:00", "2027-01-15T11:00"),
        # 02:30, an hour that is left out on 2027-03-28 and there twice on 2026-10-25: the first.
        ("Europe/Warsaw", "2027-02-28T01:30", "2027-03-28T01:30", "2027-05-28T00:30"),
        ("Europe/Warsaw", "2026-09-25T00:30", "2026-10-25T00:30", "2026-12-25T01:30"),
    ],
)
def test_due_by_the_clock_of_the_apps_timezone(
    zone: str, received: str, due: str, extended: str
) -> None:
    assert due_at(_at(received), zone) == _at(due)
    assert due_at(_at(received), zone, is_extended=True) == _at(extended)


def test_due_is_the_same_day_of_the_next_month_or_its_last_one() -> None:
    for days in range(8 * 366):
        received = _at("2023-01-01T12:00") + timedelta(days=days)
        for months, is_extended in ((1, False), (3, True)):
            due = due_at(received, "UTC", is_extended=is_extended)
            passed = (due.year - received.year) * 12 + due.month - received.month
            assert passed == months
            is_last_day = (due + timedelta(days=1)).month != due.month
            assert due.day == received.day or (due.day < received.day and is_last_day)


@pytest.mark.parametrize(
    ("now", "left"),
    [
        ("2026-02-01T00:00", 27),
        ("2026-02-27T23:59", 1),
        ("2026-02-28T00:00", 0),
        ("2026-02-28T23:59", 0),
        ("2026-03-01T00:00", -1),
    ],
)
def test_days_left_count_by_the_calendar(now: str, left: int) -> None:
    assert days_left(_at("2026-02-28T10:00"), _at(now), "UTC") == left


def test_days_left_are_days_of_the_apps_timezone() -> None:
    assert days_left(_at("2026-02-28T10:00"), _at("2026-02-27T15:30"), "Asia/Tokyo") == 0


def test_only_open_requests_are_overdue() -> None:
    due = _at("2026-02-28T10:00")
    for status in STATUSES:
        second_later = due + timedelta(seconds=1)
        assert is_overdue(status, "form", due, second_later) is (status in OPEN)
        is_letter_open = status in OPEN | {UNVERIFIED}
        assert is_overdue(status, "letter", due, second_later) is is_letter_open
        assert not is_overdue(status, "letter", due, due)


def test_the_team_is_reminded_once_before_the_request_is_due() -> None:
    due = _at("2026-02-28T10:00")
    early, late = due - timedelta(days=8), due - timedelta(days=7)
    assert not needs_reminder("to_do", "form", due, None, early, 7)
    assert needs_reminder("to_do", "form", due, None, late, 7)
    assert not needs_reminder("to_do", "form", due, late, late, 7)
    for status in set(STATUSES) - OPEN:
        assert not needs_reminder(status, "form", due, None, late, 7)
    assert needs_reminder("unverified", "letter", due, None, late, 7)


def test_no_move_into_work_without_proof() -> None:
    for status, wanted in product(STATUSES, NEED_PROOF):
        refusal = refuse_move(status, wanted, is_verified=False)
        assert refusal is not None
        if wanted in MOVES[status]:
            assert refusal.code == "not_verified"


def test_every_move_is_either_in_the_table_or_refused() -> None:
    for status, wanted in product(STATUSES, STATUSES):
        refusal = refuse_move(status, wanted, is_verified=True)
        assert (refusal is None) == (wanted in MOVES[status])
        if refusal is not None:
            assert refusal.code == "move_not_allowed"
            assert wanted in refusal.message


def test_open_closed_and_unverified_are_all_there_is() -> None:
    assert set(STATUSES) == OPEN | CLOSED | {"unverified"}
    assert MOVES["resolved"] == MOVES["cancelled"] == frozenset()


def test_the_first_proved_request_leads_and_others_are_duplicates() -> None:
    assert status_after_verification("unverified", None) == "to_do"
    assert status_after_verification("unverified", "leader") == "duplicate"
    for closed in ("duplicate", "rejected", "cancelled"):
        assert status_after_verification(closed, None) == closed
