"""Bounds that move with time, and when a moment crosses them.

Pure: standard library only. A bound answers "which moments lie at or after me, now?"; it also says
when the answer for one moment may change next, so that nothing has to be asked before. Days, weeks
and months are calendar time in the app's zone, so such a bound may jump, even back (clocks set
back, 31 March less a month).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import cached_property
from typing import Protocol

from audience.audiences.moments import (
    DAY,
    MICROSECOND,
    moment_at,
    offset_changes,
    shift_months,
    start_of_day,
    wall_time,
)

#: Later than everything: "does not change by time alone".
NEVER = datetime.max.replace(tzinfo=UTC)

_NOTHING = timedelta()
#: How far a day in the zone and 24 hours may be apart: no zone's offsets differ by more.
_OFFSET_SLACK = timedelta(hours=30)
_DAY_SLACK = DAY + _OFFSET_SLACK
_MONTH = timedelta(days=30.436875)
_MONTH_SLACK = timedelta(days=4)


class Bound(Protocol):
    """A moving bound; a moment is inside when it is `at(now)` or later."""

    def at(self, now: datetime) -> datetime:
        """The bound's place at `now`, in UTC."""

    def next_crossing(self, moment: datetime, now: datetime) -> datetime:
        """Later than now: until then the moment stays inside, or outside. May be too early."""

    @property
    def reach(self) -> tuple[timedelta, timedelta] | None:
        """Least and greatest distance at which a moment is crossed; None for never.

        A moment is crossed, if at all, from the greatest distance before it to the least.
        """


@dataclass(frozen=True, slots=True)
class Fixed:
    """A bound that stands still."""

    place: datetime

    def at(self, _now: datetime) -> datetime:
        """Always the same."""
        return self.place

    def next_crossing(self, _moment: datetime, _now: datetime) -> datetime:
        """Never."""
        return NEVER

    @property
    def reach(self) -> None:
        """Never."""
        return


@dataclass(frozen=True, slots=True)
class Elapsed:
    """A bound at a constant distance from now: minutes and hours."""

    distance: timedelta

    def at(self, now: datetime) -> datetime:
        """Now and the distance."""
        return now + self.distance

    def next_crossing(self, moment: datetime, now: datetime) -> datetime:
        """The first microsecond at which the bound has passed the moment."""
        last_inside = moment - self.distance
        return last_inside + MICROSECOND if now <= last_inside else NEVER

    @property
    def reach(self) -> tuple[timedelta, timedelta]:
        """The distance, crossed a microsecond later."""
        return self.distance, self.distance - MICROSECOND


@dataclass(frozen=True)
class Calendar:
    """A bound counted in calendar time of a zone, from now or from the start of today.

    One of months, days, elapsed is the distance (negative: into the past). day_edge: the start of
    the day reached (0) or of the one after it (1) instead of the time of day reached. extra: added
    at the end.
    """

    zone: tzinfo
    months: int = 0
    days: int = 0
    elapsed: timedelta = _NOTHING
    is_from_start_of_day: bool = False
    day_edge: int | None = None
    extra: timedelta = _NOTHING

    def at(self, now: datetime) -> datetime:
        """The bound's place at `now`."""
        start = now
        if self.is_from_start_of_day:
            start = start_of_day(wall_time(now, self.zone).date(), self.zone)
        if not self._is_shifted:
            reached = start + self.elapsed
            if self.day_edge is None:
                return reached + self.extra
            wall = wall_time(reached, self.zone)
        else:
            wall = self._shift(wall_time(start, self.zone))
            if self.day_edge is None:
                return moment_at(wall, self.zone) + self.extra
        return start_of_day(wall.date() + self.day_edge * DAY, self.zone) + self.extra

    def next_crossing(self, moment: datetime, now: datetime) -> datetime:
        """The next crossing; exact near it, and from afar a few days before it may come.

        From afar that costs one subtraction, which is what an evaluation can afford.
        """
        nearest, farthest = self.reach
        if now < moment - farthest:
            return moment - farthest
        last = moment - nearest
        is_inside = moment >= self.at(now)
        while now <= last:
            end = self._end_of_segment(now)
            if is_inside and self._is_moving:
                crossing = now + (moment - self.at(now)) + MICROSECOND
                if crossing < end:
                    return crossing
            now = end
            if (moment >= self.at(now)) != is_inside:
                return now
        return NEVER

    @property
    def _is_shifted(self) -> bool:
        return bool(self.months or self.days)

    @property
    def _is_moving(self) -> bool:
        """Inside a segment the bound goes with now, or stands still."""
        return not self.is_from_start_of_day and self.day_edge is None

    def _shift(self, wall: datetime) -> datetime:
        wall += self.days * DAY
        return shift_months(wall, self.months) if self.months else wall

    @cached_property
    def reach(self) -> tuple[timedelta, timedelta]:
        """Least and greatest distance of the bound from now, generously."""
        middle = self.months * _MONTH + self.days * DAY + self.elapsed + self.extra
        slack = _OFFSET_SLACK + (_MONTH_SLACK if self.months else _NOTHING)
        back = _DAY_SLACK if self.is_from_start_of_day else _NOTHING
        edge = _NOTHING if self.day_edge is None else _DAY_SLACK
        return middle - slack - back - edge, middle + slack + edge

    def _end_of_segment(self, now: datetime) -> datetime:
        """Later than now; until then the bound moves evenly or stands still.

        It may jump where the date changes, where the clocks are set now, and where they were (or
        will be) set at the other end of the distance.
        """
        is_delayed = self.day_edge is not None and not self.is_from_start_of_day
        delay = self.elapsed if is_delayed else _NOTHING
        clock = now + delay
        wall = wall_time(clock, self.zone)
        ends = [clock + (datetime.combine(wall.date() + DAY, time()) - wall)]
        today = clock.date()
        for day in (today - DAY, today, today + DAY):
            ends += [change for change, _, _ in offset_changes(self.zone, day)]
        if self._is_shifted and self._is_moving:
            target = self._shift(wall)
            for days in (-2, -1, 0, 1):
                for change, *offsets in offset_changes(self.zone, target.date() + days * DAY):
                    jump = change.replace(tzinfo=None) + max(offsets)
                    ends.append(clock + (jump - target))
        return min(end for end in ends if end > clock) - delay
