"""Which visitors of a day saw a form and decided nothing (contract H6, `consents_no_decision`).

Noted are visitors who saw a form. Whoever decides first needs no note: the visitor's state tells of
it, as long as it does. Pure: standard library only.
"""

from dataclasses import dataclass, field
from datetime import date, datetime

from consent.decisions.decide import VisitorState
from consent.forms.consent_types import NOT_DECIDED

#: (app_id, day, digest), see `counting.visitor_digest`.
DayVisitor = tuple[str, date, bytes]


@dataclass(slots=True)
class DayVisitors:
    """What a batch notes. noted: {visitor: (the first host name, whether they have decided)}.

    decided: visitors who now have decided; it is written where they are noted already.
    """

    noted: dict[DayVisitor, tuple[str, bool]] = field(default_factory=dict)
    decided: set[DayVisitor] = field(default_factory=set)

    def note_undecided(self, visitor: DayVisitor, hostname: str, *, has_decided: bool) -> None:
        """A form was shown and nothing decided.

        has_decided: that the state until now tells of a decision of this day; it may forget it now.
        """
        self._note(visitor, hostname, has_decided=has_decided)

    def note_decided(self, visitor: DayVisitor, hostname: str, *, is_late: bool) -> None:
        """A decision of this day.  is_late: that it is older than the state, which won't tell."""
        if is_late or visitor in self.noted:
            self._note(visitor, hostname, has_decided=True)
        else:
            self.decided.add(visitor)

    def _note(self, visitor: DayVisitor, hostname: str, *, has_decided: bool) -> None:
        first, decided_before = self.noted.get(visitor, (hostname, False))
        self.noted[visitor] = (first, decided_before or has_decided)
        # One statement must not write a row twice.
        self.decided.discard(visitor)


def has_decided_since(state: VisitorState, moment: datetime) -> bool:
    """Whether the state tells of a decision of the visitor's own at or after the moment."""
    return any(
        one.status != NOT_DECIDED and not one.is_gpc and one.decided_at >= moment
        for one in state.types.values()
    )
