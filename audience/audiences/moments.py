"""Moments in stored texts, and calendar arithmetic in an app's time zone.

Pure: standard library only. The expressions are used by both evaluators, in Python's and in
PostgreSQL's dialect alike, hence `[0-9]` and no look-ahead. Source: contract B17.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

#: Real dates of the years 1000 to 8999: shifting one by a century stays a date.
_DAYS = (
    "[1-8][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|[1-8][0-9](?:0[48]|[2468][048]|[13579][26])-02-29|(?:[2468][048]|[1357][26])00-02-29"
)
DATE_EXPRESSION = f"^(?:{_DAYS})$"
#: RFC 3339; without a zone it is UTC (contract B17). Digits after the sixth are ignored.
DATE_TIME_EXPRESSION = (
    f"^(?:{_DAYS})[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{{1,9}})?"
    "(?:Z|[+-](?:0[0-9]|1[0-5]):[0-5][0-9])?$"
)
_SHORTEST, _LONGEST = 10, 35
_is_date = re.compile(DATE_EXPRESSION.replace("$", r"\Z")).match
_is_date_time = re.compile(DATE_TIME_EXPRESSION.replace("$", r"\Z")).match

MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)
MONTHS_PER_YEAR = 12


def parse_moment(text: str, zone: tzinfo) -> datetime | None:
    """The moment a text stands for, in UTC; None when it is none.

    A date alone is the start of that day in the zone; a time without a zone is UTC.
    """
    if not _SHORTEST <= len(text) <= _LONGEST:
        return None
    return _parse_moment(text, zone)


@lru_cache(maxsize=8192)
def _parse_moment(text: str, zone: tzinfo) -> datetime | None:
    if _is_date_time(text):
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if _is_date(text):
        return start_of_day(date.fromisoformat(text), zone)
    return None


def wall_time(moment: datetime, zone: tzinfo) -> datetime:
    """What a clock on the wall shows at the moment, without a zone."""
    return moment.astimezone(zone).replace(tzinfo=None)


def moment_at(wall: datetime, zone: tzinfo) -> datetime:
    """The moment in UTC at which the clock shows `wall`.

    Shown twice (clocks set back): the first. Never shown (clocks set forward): as much later as
    the clocks jumped.
    """
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """The first moment of the day in the zone, in UTC."""
    return moment_at(datetime.combine(day, time()), zone)


def shift_months(wall: datetime, months: int) -> datetime:
    """The same day and time `months` later; past the end of that month, its last day."""
    year, month = divmod(wall.year * MONTHS_PER_YEAR + wall.month - 1 + months, MONTHS_PER_YEAR)
    following = date(year + (month + 1) // MONTHS_PER_YEAR, (month + 1) % MONTHS_PER_YEAR + 1, 1)
    last_day = (following - DAY).day
    return wall.replace(year=year, month=month + 1, day=min(wall.day, last_day))


@lru_cache(maxsize=4096)
def offset_changes(zone: tzinfo, day: date) -> tuple[tuple[datetime, timedelta, timedelta], ...]:
    """The moments of a UTC day at which the zone's clocks are set, with the offsets around them.

    Finds each change whose new offset lasts an hour or more. Exact to the second.
    """
    found = []
    start = datetime.combine(day, time(), UTC)
    for hour in range(24):
        low, high = start + timedelta(hours=hour), start + timedelta(hours=hour + 1)
        before, after = _offset(low, zone), _offset(high, zone)
        if before == after:
            continue
        while high - low > timedelta(seconds=1):
            middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
            low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
        found.append((high, before, after))
    return tuple(found)


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
