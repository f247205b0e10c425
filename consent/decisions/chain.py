"""The chain of an app's decisions: each row's hash covers the row and the hash before it.

So no row can be altered, taken out, put in or moved without every later hash telling. Whoever can
rewrite all rows can rewrite all hashes: keep what `consents verify` prints as the end of the chain
somewhere else, and compare later.

Pure: standard library only.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, NamedTuple

# Made once: it takes longer than encoding a row.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


#: (consent type or intro, status, text, whether the text is one of the app's, decided by GPC)
Shown = tuple[str, int | None, str | None, bool, bool]


class HistoryConsents(NamedTuple):
    """What a row of history has in `consents`; text: as `consents_text`."""

    members: Mapping[str, Any]
    text: str


class DecisionRow(NamedTuple):
    """A row of history but for its place. consents: as `history_consents` makes it."""

    decision_id: str
    visitor_hash: bytes
    decided_at: datetime
    received_at: datetime
    consents: Mapping[str, Any]
    hostname: str
    consent_scope: int | None
    consent_action: int | None
    method: str | None
    consent_source: int | None
    language: str | None
    is_late: bool


class Link(NamedTuple):
    """A stored row with its place in the chain."""

    sequence: int
    previous_hash: bytes
    row_hash: bytes
    row: DecisionRow


class Fault(NamedTuple):
    """The first row at which a chain is broken. kind: altered, missing or reordered."""

    sequence: int
    kind: str
    explanation: str


def beginning(app_id: str) -> bytes:
    """The hash that an app's first row follows: no chain can stand in for another app's."""
    return hashlib.sha256(f"consent decisions of {app_id}".encode()).digest()


def consents_text(consents: Mapping[str, Any]) -> str:
    """The consents of a row as its hash covers them: sorted JSON."""
    return _encode(consents)


def row_hash(row: DecisionRow, previous_hash: bytes, consents: str | None = None) -> bytes:
    """SHA-256 of the hash before and of the row as sorted JSON; times are microseconds.

    consents: `consents_text` of the row, if it is known.
    """
    # As `_encode` would write the list of these, in a fraction of the time.
    decision_id, visitor, decided_at, received_at, members, *rest = row
    content = (
        f'[{encode_basestring(decision_id)},"{visitor.hex()}",{_microseconds(decided_at)},'
        f"{_microseconds(received_at)},"
        f"{consents_text(members) if consents is None else consents},{_end_of_row(*rest)}]"
    )
    return hashlib.sha256(previous_hash + content.encode()).digest()


@lru_cache(maxsize=10_000)
def _end_of_row(
    hostname: str,
    scope: int | None,
    action: int | None,
    method: str | None,
    source: int | None,
    language: str | None,
    is_late: bool,  # noqa: FBT001 - a member of a row
) -> str:
    """The last members of a row; remembered, as the same few come again."""
    return (
        f"{_string(hostname)},{_number(scope)},{_number(action)},{_string(method)},"
        f"{_number(source)},{_string(language)},{'true' if is_late else 'false'}"
    )


def _string(value: str | None) -> str:
    return "null" if value is None else encode_basestring(value)


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=10_000)
def history_consents(entries: tuple[Shown, ...]) -> HistoryConsents:
    """What is recorded of a decision; remembered, as the same few sets of choices come again."""
    members: dict[str, dict[str, Any]] = {}
    for name, status, history_id, is_known, is_gpc in entries:
        member: dict[str, Any] = {} if status is None else {"status": status}
        if history_id is not None:
            member["historyId"] = history_id
            if not is_known:
                member["isUnknown"] = True
        if is_gpc:
            member["gpc"] = True
        members[name] = member
    return HistoryConsents(members, consents_text(members))


class Verifier:
    """Walks an app's chain row by row, in order of `sequence`, and stops at the first fault."""

    def __init__(self, app_id: str) -> None:
        """Nothing is walked yet: row 1 comes next."""
        self.count = 0
        self.last_hash = beginning(app_id)

    def walk(self, links: Iterable[Link]) -> Fault | None:
        """The first fault in the next rows, or None."""
        return next(self._faults(links), None)

    def end(self, last_sequence: int, last_hash: bytes) -> Fault | None:
        """The fault of a chain whose last rows are not there, or None."""
        if self.count < last_sequence:
            missing = _range(self.count + 1, last_sequence)
            return Fault(self.count + 1, "missing", f"{missing} at the end")
        if self.count > last_sequence or self.last_hash != last_hash:
            text = "the last row is not the one that the service wrote last"
            return Fault(self.count, "altered", text)
        return None

    def _faults(self, links: Iterable[Link]) -> Iterator[Fault]:
        for link in links:
            expected = self.count + 1
            if row_hash(link.row, link.previous_hash) != link.row_hash:
                yield Fault(link.sequence, "altered", "its content does not match its hash")
            if link.sequence != expected:
                missing = _range(expected, link.sequence - 1)
                yield Fault(expected, "missing", missing)
            if link.previous_hash != self.last_hash:
                text = f"it does not follow row {self.count}: rows were moved, put in or replaced"
                yield Fault(link.sequence, "reordered", text)
            self.count, self.last_hash = link.sequence, link.row_hash


def _range(first: int, last: int) -> str:
    if first == last:
        return f"row {first} is not there"
    return f"rows {first} to {last} are not there"
