"""The window of moments that a time operator asks for: every one is `lower <= moment < upper`.

Pure: standard library only. Both evaluators take the window's two ends at `now` from here, so that
the calendar is reckoned in one place. Source: issue "Audiences", Definitions.

before, after: a relative time is that long before its `from`; a negative amount lies after it.
on: the calendar day, in the app's zone, of that moment.  within_last: from so long ago up to now,
now included.  within_next: from now up to the time reached, which is not included.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

from audience.audiences.condition_values import RelativeTime
from audience.audiences.moments import MICROSECOND, parse_moment
from audience.audiences.time_bounds import NEVER, Bound, Calendar, Elapsed, Fixed

_ELAPSED = {"minutes": timedelta(minutes=1), "hours": timedelta(hours=1)}
_DAYS = {"days": 1, "weeks": 7}

Ends = tuple[datetime | None, datetime | None]


@dataclass(slots=True)
class Window:
    """Two bounds; None is no bound. Remembers its ends for the last `now` it was asked about."""

    lower: Bound | None
    upper: Bound | None
    _remembered: tuple[datetime, Ends] | None = field(default=None, compare=False)

    def ends_at(self, now: datetime) -> Ends:
        """(first moment inside, first moment after), in UTC."""
        remembered = self._remembered
        if remembered is not None and remembered[0] == now:
            return remembered[1]
        ends = (
            None if self.lower is None else self.lower.at(now),
            None if self.upper is None else self.upper.at(now),
        )
        self._remembered = (now, ends)
        return ends

    def holds(self, moment: datetime, now: datetime) -> bool:
        """Whether the moment lies inside."""
        lower, upper = self.ends_at(now)
        return (lower is None or moment >= lower) and (upper is None or moment < upper)

    def next_crossing(self, moment: datetime, now: datetime) -> datetime:
        """Until then the moment stays inside, or outside; NEVER when it always does."""
        crossings = [
            bound.next_crossing(moment, now)
            for bound in (self.lower, self.upper)
            if bound is not None
        ]
        return min(crossings, default=NEVER)

    def reaches(self) -> list[tuple[timedelta, timedelta]]:
        """The reach of each bound that moves."""
        bounds = (self.lower, self.upper)
        return [bound.reach for bound in bounds if bound is not None and bound.reach is not None]

    @property
    def is_moving(self) -> bool:
        """False when time alone never changes what lies inside."""
        return any(
            not isinstance(bound, Fixed) for bound in (self.lower, self.upper) if bound is not None
        )


def window_of(operator: str, value: str | RelativeTime, zone: tzinfo) -> Window:
    """The window of a positive time operator, in the app's zone."""
    if operator == "on":
        return Window(_bound(value, zone, day_edge=0), _bound(value, zone, day_edge=1))
    if operator == "before":
        return Window(None, _bound(value, zone))
    if operator == "after":
        return Window(_bound(value, zone, extra=MICROSECOND), None)
    if operator == "within_last":
        return Window(_bound(value, zone), Elapsed(MICROSECOND))
    return Window(Elapsed(timedelta()), _bound(value, zone, sign=1))


def _bound(
    value: str | RelativeTime,
    zone: tzinfo,
    *,
    sign: int = -1,
    day_edge: int | None = None,
    extra: timedelta = timedelta(),
) -> Bound:
    if isinstance(value, str):
        moment = parse_moment(value, zone)
        assert moment is not None, "parse_definition lets only moments through"  # noqa: S101
        if day_edge is None:
            return Fixed(moment + extra)
        # An absolute day is a distance of nothing from that moment.
        return Fixed(Calendar(zone, day_edge=day_edge).at(moment))
    amount = sign * value.amount
    elapsed = amount * _ELAPSED.get(value.unit, timedelta())
    is_from_start_of_day = value.origin == "start_of_day"
    if not is_from_start_of_day and day_edge is None and (elapsed or not amount):
        return Elapsed(elapsed + extra)
    return Calendar(
        zone,
        months=amount if value.unit == "months" else 0,
        days=amount * _DAYS.get(value.unit, 0),
        elapsed=elapsed,
        is_from_start_of_day=is_from_start_of_day,
        day_edge=day_edge,
        extra=extra,
    )
