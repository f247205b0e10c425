"""One app's share of a batch of collected requests: fills the `Batch` that is then written.

No I/O of its own.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import NamedTuple
from zoneinfo import ZoneInfo

from audience.errors import DomainError, Forbidden
from audience.server.clock import new_id
from consent.decisions.chain import (
    DecisionRow,
    HistoryConsents,
    Link,
    Shown,
    history_consents,
    row_hash,
)
from consent.decisions.collected import Collected, ConsentChange, FormEvent
from consent.decisions.counting import (
    DECISION,
    FORM_CLICKED,
    FORM_SHOWN,
    MAX_HOSTNAMES,
    NO_TYPES,
    OTHER_HOSTNAMES,
    counted_hour,
    day_of,
    types_text,
    visitor_digest,
)
from consent.decisions.day_visitors import DayVisitor, has_decided_since
from consent.decisions.decide import Decision, Rules, VisitorState, decide_consent
from consent.decisions.saving.storage import Batch
from consent.decisions.storage import Visitor
from consent.forms.consent_types import APPROVED
from consent.forms.settings import ConsentSettings, may_collect
from consent.forms.texts import INTRO

KEY_BYTES = 32


class Collect(NamedTuple):
    """A checked request. origin: the host of its Origin header, None without one."""

    collected: Collected
    origin: str | None


@dataclass(slots=True)
class AppBatch:
    """What a batch knows of an app and what it does there.

    visitors: by (app_id, visitor id), also of other apps. decision_ids, history_ids: those that are
    stored, of the ones asked for; looked_up: {history id as sent: whether it is one of these}.
    hostnames: those that are counted apart. tied: {analytics visitor
    id: the visitor's state now}; withdrawn: those of them who took back the consent under which
    attributes were collected. new_keys: a fresh random one for each item.
    """

    app_id: str
    settings: ConsentSettings
    zone: ZoneInfo
    day_key: bytes
    last_sequence: int
    last_hash: bytes
    visitors: dict[tuple[str, str], Visitor]
    decision_ids: set[tuple[str, str]]
    history_ids: set[tuple[str, str]]
    hostnames: set[str]
    now: datetime
    batch: Batch
    new_keys: Iterator[bytes]
    new_hostnames: set[str] = field(default_factory=set)
    looked_up: dict[str | None, bool] = field(default_factory=dict)
    tied: dict[str, VisitorState] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    repetitions: int = 0
    today: date = field(init=False)
    today_began_at: datetime = field(init=False)
    hour_began_at: datetime = field(init=False)
    rules: Rules = field(init=False)

    def __post_init__(self) -> None:
        """Reckon once with the app's clocks: nearly every request is of this hour."""
        self.today = day_of(self.now, self.zone)
        self.today_began_at = datetime.combine(self.today, time(), self.zone).astimezone(UTC)
        self.hour_began_at = counted_hour(self.now, self.zone)
        self.rules = Rules(
            self.settings.consent_types, self.settings.is_gpc_honoured, self.settings.valid_for
        )

    def apply(self, item: Collect) -> DomainError | None:
        """Do what one request asks; why it is refused, or None."""
        refusal = self._refusal(item) if self.settings.origins else None
        if refusal is not None:
            return refusal
        if isinstance(item.collected, FormEvent):
            self._count_form_event(item.collected)
        else:
            self._decide(item.collected)
        return None

    def decided_at(self, analytics_visitor_id: str) -> datetime:
        """When the tied visitor decided last."""
        return _decided_at(self.tied[analytics_visitor_id])

    def _refusal(self, item: Collect) -> Forbidden | None:
        """Why the app does not collect from there, or None."""
        if item.origin is None and not item.collected.hostname:
            return Forbidden("Forbidden: hostname is required by this app", path="hostname")
        for hostname in (item.origin, item.collected.hostname or None):
            if hostname is not None and not may_collect(self.settings.origins, hostname):
                message = "Forbidden: hostname is not one from which this app collects consents"
                return Forbidden(message, path="hostname")
        return None

    def _count_form_event(self, event: FormEvent) -> None:
        kind = FORM_SHOWN if event.source is not None else FORM_CLICKED
        self._count(kind, self.now, event.hostname, event.source or 0, event.button or 0)
        if kind == FORM_SHOWN and event.visitor_id is not None:
            state = self.visitors[self.app_id, event.visitor_id].state
            self._note_undecided(event.visitor_id, state, self.now, event.hostname)

    def _decide(self, change: ConsentChange) -> None:
        key = (self.app_id, change.visitor_id)
        visitor = self.visitors[key]
        decision = None
        if (self.app_id, change.decision_id) not in self.decision_ids:
            decision = decide_consent(visitor.state, change, self.rules, self.now)
        if decision is None:
            self.repetitions += 1
            return
        if change.decision_id is not None:
            self.decision_ids.add((self.app_id, change.decision_id))
        hash_key, has_new_key = visitor.hash_key, visitor.has_new_key
        if decision.is_recorded:
            if hash_key is None:
                hash_key, has_new_key = next(self.new_keys), True
            self._record(change, decision, hash_key)
        if decision.is_counted:
            self._count_decision(change, decision)
            day = self._day_visitor(change.visitor_id, decision.decided_at)
            if day is not None:
                hostname = self._counted_hostname(change.hostname)
                self.batch.days.note_decided(day, hostname, is_late=decision.is_late)
        elif decision.is_undecided:
            self._note_undecided(
                change.visitor_id, visitor.state, decision.decided_at, change.hostname
            )
        changed = Visitor(decision.state, hash_key, visitor.is_new, has_new_key)
        self.visitors[key] = self.batch.visitors[key] = changed
        if not decision.is_late:
            self._tie(visitor.state, decision.state)

    def _record(self, change: ConsentChange, decision: Decision, hash_key: bytes) -> None:
        consents = self._history_consents(change, decision)
        # In the order of the members, without their names: this is run for every decision.
        row = DecisionRow(
            change.decision_id or new_id(),
            visitor_hash(hash_key, change.visitor_id),
            decision.decided_at,
            self.now,
            consents.members,
            change.hostname,
            decision.scope,
            decision.action,
            change.method or ("gpc" if not decision.is_counted else None),
            change.source,
            change.language,
            decision.is_late,
        )
        self.last_sequence += 1
        hashed = row_hash(row, self.last_hash, consents.text)
        link = Link(self.last_sequence, self.last_hash, hashed, row)
        self.last_hash = hashed
        self.batch.links.append((self.app_id, link, consents.text))
        self.batch.ends[self.app_id] = (self.last_sequence, self.last_hash)

    def _history_consents(self, change: ConsentChange, decision: Decision) -> HistoryConsents:
        gpc_types, is_known = decision.gpc_types, self._is_known
        entries: list[Shown] = [
            (name, status, history_id, is_known(history_id), name in gpc_types)
            for name, (status, history_id) in decision.consents.items()
        ]
        if change.intro_history_id is not None:
            history_id = change.intro_history_id
            entries.append((INTRO, None, history_id, self._is_known(history_id), False))
        return history_consents(tuple(entries))

    def _is_known(self, history_id: str | None) -> bool:
        if history_id not in self.looked_up:
            found = history_id is None or (self.app_id, history_id.lower()) in self.history_ids
            self.looked_up[history_id] = found
        return self.looked_up[history_id]

    def _count_decision(self, change: ConsentChange, decision: Decision) -> None:
        self._count(
            DECISION,
            decision.decided_at,
            change.hostname,
            scope=decision.scope or 0,
            action=decision.action or 0,
            types=types_text(decision.after),
        )

    def _count(
        self,
        event_type: int,
        moment: datetime,
        hostname: str,
        source: int = 0,
        button: int = 0,
        *,
        scope: int = 0,
        action: int = 0,
        types: str = NO_TYPES,
    ) -> None:
        key = (
            self.app_id,
            self.hour_began_at if moment >= self.hour_began_at else counted_hour(moment, self.zone),
            event_type,
            self._counted_hostname(hostname),
            source,
            button,
            scope,
            action,
            types,
        )
        self.batch.counters[key] = self.batch.counters.get(key, 0) + 1

    def _counted_hostname(self, hostname: str) -> str:
        if hostname in self.hostnames or hostname in self.new_hostnames:
            return hostname
        if not hostname or len(self.hostnames) + len(self.new_hostnames) >= MAX_HOSTNAMES:
            return OTHER_HOSTNAMES
        self.new_hostnames.add(hostname)
        self.batch.hostnames.add((self.app_id, hostname))
        return hostname

    def _note_undecided(
        self, visitor_id: str, state: VisitorState, moment: datetime, hostname: str
    ) -> None:
        """A form was shown and nothing decided.  state: the visitor's until now."""
        day = self._day_visitor(visitor_id, moment)
        if day is not None:
            has_decided = has_decided_since(state, self.today_began_at)
            counted = self._counted_hostname(hostname)
            self.batch.days.note_undecided(day, counted, has_decided=has_decided)

    def _day_visitor(self, visitor_id: str, moment: datetime) -> DayVisitor | None:
        """What stands for a visitor of today; other days may have been added up already."""
        if moment < self.today_began_at or not self.day_key:
            return None
        return self.app_id, self.today, visitor_digest(self.day_key, visitor_id)

    def _tie(self, before: VisitorState, after: VisitorState) -> None:
        analytics_id, gate = after.analytics_visitor_id, self.settings.gate_consent_type
        if analytics_id is None:
            return
        known = self.tied.get(analytics_id)
        if known is not None and _decided_at(known) > _decided_at(after):
            # Another consent visitor of the same browser; the newest decision counts.
            return
        self.tied[analytics_id] = after
        if gate is None or not self.settings.is_erased_on_withdrawal:
            return
        if _is_approved(before, gate) and not _is_approved(after, gate):
            self.withdrawn.add(analytics_id)
        elif _is_approved(after, gate):
            # Taken back and given again within one batch: nothing may be lost.
            self.withdrawn.discard(analytics_id)


def random_keys(most: int) -> Iterator[bytes]:
    """At most so many fresh keys; the system is asked for randomness once, with the first."""
    random = secrets.token_bytes(most * KEY_BYTES)
    for start in range(0, len(random), KEY_BYTES):
        yield random[start : start + KEY_BYTES]


def visitor_hash(hash_key: bytes, visitor_id: str) -> bytes:
    """What stands for a consent visitor in history: HMAC-SHA256 with the visitor's own key."""
    return hmac.digest(hash_key, visitor_id.encode(), hashlib.sha256)


def _decided_at(visitor: VisitorState) -> datetime:
    return visitor.last_decided_at or datetime.min.replace(tzinfo=UTC)


def _is_approved(visitor: VisitorState, consent_type: str) -> bool:
    state = visitor.types.get(consent_type)
    return state is not None and state.status == APPROVED
