"""The life of a data subject request: allowed moves and times. Pure: standard library only.

Source: contract E4.5, H7; GDPR, article 12 (3): one month, extended by two further months once.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

VIEW_DATA, CHANGE_DATA, DELETE_DATA = "view_data", "change_data", "delete_data"
REQUEST_TYPES = (VIEW_DATA, CHANGE_DATA, DELETE_DATA)

UNVERIFIED = "unverified"
TO_DO = "to_do"
IN_PROGRESS = "in_progress"
RESOLVED = "resolved"
REJECTED = "rejected"
CANCELLED = "cancelled"
DUPLICATE = "duplicate"

#: {status: what may follow}. The order is that of lists and documentation.
MOVES: dict[str, frozenset[str]] = {
    UNVERIFIED: frozenset({TO_DO, REJECTED, CANCELLED, DUPLICATE}),
    TO_DO: frozenset({IN_PROGRESS, REJECTED, CANCELLED, DUPLICATE}),
    IN_PROGRESS: frozenset({TO_DO, RESOLVED, REJECTED, CANCELLED}),
    RESOLVED: frozenset(),
    REJECTED: frozenset({TO_DO}),
    CANCELLED: frozenset(),
    DUPLICATE: frozenset({TO_DO, CANCELLED}),
}
STATUSES = tuple(MOVES)
#: Somebody has to do something about these.
OPEN = frozenset({TO_DO, IN_PROGRESS})
#: Nobody has to do anything about these any more.
CLOSED = frozenset({RESOLVED, REJECTED, CANCELLED, DUPLICATE})
#: Not without proof of who asks; a table constraint says the same.
NEED_PROOF = frozenset({TO_DO, IN_PROGRESS, RESOLVED})

#: Whose requester may still be proved; any other one is closed.
PROVABLE = frozenset({UNVERIFIED, DUPLICATE})

#: The channel of what a visitor sends: anybody's, until it is proved.
FORM = "form"

MONTHS_TO_ANSWER = 1
MONTHS_OF_EXTENSION = 2


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a move is not possible: a stable code and a sentence."""

    code: str
    message: str


def refuse_move(status: str, wanted: str, *, is_verified: bool) -> Refusal | None:
    """Why the request can't go from one status to another, or None when it can.

    is_verified: whether it is proved that the requester is who they say.
    """
    if wanted not in MOVES[status]:
        allowed = ", ".join(name for name in STATUSES if name in MOVES[status]) or "nothing"
        return Refusal("move_not_allowed", f"after {status} may come {allowed}, not {wanted}")
    if wanted in NEED_PROOF and not is_verified:
        message = f"a request can't be {wanted} before the requester's identity is verified"
        return Refusal("not_verified", message)
    return None


def status_after_verification(status: str, open_leader: str | None) -> str:
    """What a request becomes when it is proved; open_leader: a proved one of the same person.

    The first proved request leads and the others are its duplicates, so that nobody is answered
    twice. One that is closed stays closed.
    """
    if status != UNVERIFIED:
        return status
    return TO_DO if open_leader is None else DUPLICATE


def due_at(received_at: datetime, timezone: str, *, is_extended: bool = False) -> datetime:
    """Until when the request must be answered, in UTC.

    A month by the calendar of the app's timezone, three when extended; a day that the last month
    lacks becomes its last day. Both count from the receipt: 31 January is due on 28 February, and
    on 30 April when extended.
    """
    months = MONTHS_TO_ANSWER + (MONTHS_OF_EXTENSION if is_extended else 0)
    zone = ZoneInfo(timezone)
    local = received_at.astimezone(zone)
    due = add_months(local.replace(tzinfo=None), months)
    return due.replace(tzinfo=zone).astimezone(UTC)


def add_months(moment: datetime, months: int) -> datetime:
    """The same day so many months later, or the last day of that month; the time stays."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    first_of_next = datetime(year + month // 11, (month + 1) % 12 + 1, 1)  # noqa: DTZ001 - a date
    last_day = (first_of_next - timedelta(days=1)).day
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))


def days_left(due: datetime, now: datetime, timezone: str) -> int:
    """Days by the app's calendar until the request is due: 0 on the last day, then negative."""
    zone = ZoneInfo(timezone)
    return (due.astimezone(zone).date() - now.astimezone(zone).date()).days


def awaits_answer(status: str, channel: str) -> bool:
    """Whether the team has to do something: also to find out who wrote a letter.

    What came by the visitor's form waits for the visitor until it is proved.
    """
    return status in OPEN or (status == UNVERIFIED and channel != FORM)


def is_overdue(status: str, channel: str, due: datetime, now: datetime) -> bool:
    """Whether somebody should have answered by now."""
    return awaits_answer(status, channel) and now > due


def needs_reminder(
    status: str,
    channel: str,
    due: datetime,
    reminded_at: datetime | None,
    now: datetime,
    reminder_days: int,
) -> bool:
    """Whether the team is to be reminded now: once, so many days before the request is due."""
    is_soon = due - now <= timedelta(days=reminder_days)
    return awaits_answer(status, channel) and reminded_at is None and is_soon
