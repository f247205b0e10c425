"""An audience as people manage it, and what they may say of it.

Pure: standard library only. Source: issue "Audiences", Resources 3; contract D3.1, G2.7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

MAX_NAME_CHARACTERS = 100
MAX_DESCRIPTION_CHARACTERS = 200
MAX_DURATION_DAYS = 540
MAX_AUDIENCES_PER_APP = 1000
HISTORY_DAYS = 30
_WHOLE = 100


@dataclass(frozen=True, slots=True)
class AudienceFields:
    """What a user writes. definition: JSON, not checked yet."""

    name: str
    definition: Any
    description: str = ""
    membership_duration_days: int | None = None


@dataclass(frozen=True, slots=True)
class Audience:
    """One stored audience. definition: JSON as it was written; fill_*: see the table."""

    audience_id: str
    name: str
    description: str
    definition: Any
    membership_duration_days: int | None
    version: int
    author: str
    created_at: datetime
    updated_at: datetime
    is_deleted: bool = False
    is_filling: bool = False
    fill_done: int = 0
    fill_total: int = 0

    @property
    def filling_progress(self) -> int:
        """Per cent of the profiles that have been looked at since the definition changed."""
        if not self.is_filling:
            return _WHOLE
        if not self.fill_total:
            return 0
        return min(self.fill_done * _WHOLE // self.fill_total, _WHOLE - 1)


def history_of(
    audience: Audience, snapshots: Mapping[date, int], count: int, today: date
) -> list[dict[str, Any]]:
    """The counts of the last 30 UTC days, oldest first, today's last: [{"date", "count"}].

    snapshots: {day: members at its beginning}, older days included. A day on which the service did
    not run has the count of the day before: nobody joined then. Today without a snapshot has the
    count of now. The day on which the audience was made has no beginning: it has the count at its
    end. Days before are left out, after it was deleted nobody is a member.
    Source: contract D3.1a.
    """
    first = today - timedelta(days=HISTORY_DAYS - 1)
    known = [day for day in snapshots if day < first]
    last = snapshots[max(known)] if known else None
    made_on, history = audience.created_at.date(), []
    if snapshots and made_on < min(snapshots):
        snapshots = {**snapshots, made_on: snapshots[min(snapshots)]}
    for number in range(HISTORY_DAYS):
        day = first + timedelta(days=number)
        last = snapshots.get(day, last)
        if audience.is_deleted and day > audience.updated_at.date():
            last = 0
        shown = count if day == today and day not in snapshots else last
        if shown is not None and day >= made_on:
            history.append({"date": day.isoformat(), "count": shown})
    return history
