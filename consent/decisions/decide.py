"""What a checked consent change means for a visitor: the new state, and the row of history.

Pure: standard library only, `now` is an argument. Source: contract H3-H5, E3.37-E3.39, L2, L5, L10;
issue "The consent service", items 1, 6 and 7; ARCHITECTURE.md, decisions on consent.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from consent.decisions.collected import ConsentChange, Entry
from consent.forms.consent_types import (
    APPROVED,
    CONSENT_TYPES,
    GPC_CONSENT_TYPES,
    NOT_DECIDED,
    REJECTED,
)

FULL, ANY, NONE = 1, 2, 3
FIRST, CHANGED = 1, 2
GPC = "gpc"
#: The same full state of the same visitor within this time is one decision.
SAME_DECISION_WITHIN = timedelta(seconds=5)


class TypeState(NamedTuple):
    """What a visitor decided about one type. is_gpc: rejected by the browser's signal alone."""

    status: int
    decided_at: datetime
    history_id: str | None = None
    is_gpc: bool = False


class VisitorState(NamedTuple):
    """A visitor as stored.

    last_statuses: the full state of the last consent change, see `statuses_text`; with
    last_received_at it tells a repetition. last_decided_at: of the newest consent change.
    """

    types: Mapping[str, TypeState] = MappingProxyType({})
    last_statuses: str = ""
    last_decided_at: datetime | None = None
    last_received_at: datetime | None = None
    analytics_visitor_id: str | None = None


class Rules(NamedTuple):
    """What of the app's settings matters here. valid_for: None when decisions never expire."""

    asked_types: Sequence[str]
    is_gpc_honoured: bool
    valid_for: timedelta | None


class Decision(NamedTuple):
    """What follows from a consent change.

    state: the visitor afterwards. after: the types as this decision alone would leave them.
    consents: {type: entry} for the row of history; gpc_types: those
    of them that Global Privacy Control decided. is_recorded: a row of history is written.
    is_counted: it is a decision of the statistics (event type 14), with scope and action.
    is_undecided: a form was shown and nothing decided (E3.38).
    is_late: older than the state, which stays.
    """

    state: VisitorState
    after: Mapping[str, TypeState]
    consents: Mapping[str, Entry]
    gpc_types: frozenset[str]
    decided_at: datetime
    scope: int | None
    action: int | None
    is_recorded: bool
    is_counted: bool
    is_undecided: bool
    is_late: bool


def decide_consent(
    visitor: VisitorState, change: ConsentChange, rules: Rules, now: datetime
) -> Decision | None:
    """The decision, or None when it is a repetition or says nothing new.

    The caller has checked that the decision's id is not known yet.
    """
    decided_at = min(change.decided_at or now, now)
    # Most visitors are new, and nothing is to be looked through. What is made for every decision
    # is made without naming its members: that takes twice as long.
    before = valid_types(visitor.types, rules.valid_for, now) if visitor.types else {}
    entries, gpc_types = _entries(before, change, rules)
    is_new_to_gpc = bool(gpc_types) and any(
        name not in before or not before[name].is_gpc for name in gpc_types
    )
    if not entries or (not is_new_to_gpc and _is_repeated(visitor, change, now)):
        return None
    chosen = {name for name, entry in entries.items() if entry[0] != NOT_DECIDED}
    is_counted = bool(chosen - gpc_types)
    takes_back = bool(before) and any(
        _is_decided(before.get(name)) for name in entries.keys() - chosen
    )
    is_first = not before or not any(_is_explicit(one) for one in before.values())
    is_late = visitor.last_decided_at is not None and decided_at < visitor.last_decided_at
    after = before | {
        name: TypeState(status, decided_at, history_id, name in gpc_types)
        for name, (status, history_id) in entries.items()
    }
    return Decision(
        _state_after(visitor, change, None if is_late else after, decided_at, now),
        after,
        entries,
        gpc_types,
        decided_at,
        _scope(after, rules.asked_types) if is_counted else None,
        (FIRST if is_first else CHANGED) if is_counted else None,
        is_counted or is_new_to_gpc or takes_back,
        is_counted,
        not (is_counted or is_new_to_gpc),
        is_late,
    )


def _state_after(
    visitor: VisitorState,
    change: ConsentChange,
    types: Mapping[str, TypeState] | None,
    decided_at: datetime,
    now: datetime,
) -> VisitorState:
    """The visitor after the change; types: None when it is late and the state stays."""
    analytics_id = change.analytics_visitor_id or visitor.analytics_visitor_id
    if types is None:
        return visitor._replace(analytics_visitor_id=analytics_id)
    return VisitorState(types, statuses_text(change.consents), decided_at, now, analytics_id)


def valid_types(
    types: Mapping[str, TypeState], valid_for: timedelta | None, now: datetime
) -> dict[str, TypeState]:
    """The state without what is older than the app's period: that counts as none."""
    if valid_for is None:
        return dict(types)
    oldest = now - valid_for
    return {name: state for name, state in types.items() if state.decided_at > oldest}


def statuses_text(consents: Mapping[str, Entry]) -> str:
    """One character per consent type, in their order: 0, 1, x for -1, - for not there."""
    return "".join(
        [_CHARACTERS[consents[name].status] if name in consents else "-" for name in CONSENT_TYPES]
    )


_CHARACTERS = {REJECTED: "0", APPROVED: "1", NOT_DECIDED: "x"}


def _entries(
    before: Mapping[str, TypeState], change: ConsentChange, rules: Rules
) -> tuple[dict[str, Entry], frozenset[str]]:
    """The statuses that count, and which of them come from Global Privacy Control (L10).

    The signal decides only what the visitor has not: an explicit approval wins, before and later.
    """
    if not rules.is_gpc_honoured:
        return ({} if change.method == GPC else dict(change.consents)), frozenset()
    if change.method == GPC:
        entries = {
            name: change.consents[name]
            for name in GPC_CONSENT_TYPES
            if name in change.consents
            and change.consents[name].status == REJECTED
            and not _is_decided(before.get(name))
        }
        return entries, frozenset(entries)
    entries = dict(change.consents)
    rejected = set()
    for name in GPC_CONSENT_TYPES:
        shown, known = entries.get(name), before.get(name)
        is_open = not _is_explicit(known) if shown is None else shown.status == NOT_DECIDED
        # What the signal rejected stays rejected, also when a page still says "not decided".
        stays = shown is not None and known is not None and known.is_gpc
        if is_open and (change.is_gpc_signalled or stays):
            entries[name] = Entry(REJECTED, shown.history_id if shown else None)
            rejected.add(name)
    return entries, frozenset(rejected)


def _is_repeated(visitor: VisitorState, change: ConsentChange, now: datetime) -> bool:
    """True for the same full state again: within 5 s, or when nothing is decided in it at all."""
    if visitor.last_received_at is None or visitor.last_statuses != statuses_text(change.consents):
        return False
    if change.decision_id is not None or change.method == GPC:
        return False
    if now - visitor.last_received_at <= SAME_DECISION_WITHIN:
        return True
    return all(entry.status == NOT_DECIDED for entry in change.consents.values())


def _is_decided(state: TypeState | None) -> bool:
    return state is not None and state.status != NOT_DECIDED


def _is_explicit(state: TypeState | None) -> bool:
    return state is not None and state.status != NOT_DECIDED and not state.is_gpc


def _scope(after: Mapping[str, TypeState], asked_types: Sequence[str]) -> int:
    """Full, any or none over the types the app asks for now (E3.39); -1 counts as not given."""
    names = asked_types or tuple(after)
    given = [name for name in names if name in after and after[name].status == APPROVED]
    if not given:
        return NONE
    return FULL if len(given) == len(names) else ANY
