"""The consent gate: attributes of a visitor without the app's consent type are not taken.

Pure: standard library only. Source: issue "The consent service", item 7; contract H3.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from audience.profile_changes.items import Item, Skip
from audience.profiles.identifiers import ANALYTICS_VISITOR_ID
from audience.profiles.profile_set import ProfileSet

#: The reason of a skip.
CONSENT = "consent"
_APPROVED = 1


@dataclass(slots=True)
class Gate:
    """An app's gate. valid_for: an older approval counts as none; None: never.

    visitors: {analytics visitor id: (statuses, when decided)}, of the wanted visitor IDs that no
    profile holds yet.
    """

    consent_type: str
    valid_for: timedelta | None
    visitors: Mapping[str, tuple[Mapping[str, int], datetime]] = field(default_factory=dict)


def pass_gate(
    gate: Gate, items: Iterable[Item], profiles: ProfileSet, now: datetime
) -> tuple[list[Item], list[Skip]]:
    """(items that may be applied, what is skipped of the others).

    An item is refused when its visitor is known to a consent form and has no approval of the type:
    rejected, not decided, or decided too long ago. The newest decision of everybody the item names
    counts. A visitor who has never seen a form is not refused (the page has none, or no form yet).
    Of a refused item nothing is stored, its identifiers neither.
    """
    passed: list[Item] = []
    skipped: list[Skip] = []
    for item in items:
        if _is_open(gate, item, profiles, now):
            passed.append(item)
        else:
            skipped += _skips(item)
    return passed, skipped


def _is_open(gate: Gate, item: Item, profiles: ProfileSet, now: datetime) -> bool:
    newest: tuple[datetime, Mapping[str, int]] | None = None
    for identifier in item.identifiers:
        owner = profiles.owner(identifier)
        found: tuple[datetime, Mapping[str, int]]
        if owner is not None and owner.consents_at is not None:
            found = (owner.consents_at, owner.consents)
        elif identifier.identifier_name == ANALYTICS_VISITOR_ID and (
            state := gate.visitors.get(identifier.identifier_value)
        ):
            found = (state[1], state[0])
        else:
            continue
        if newest is None or found[0] > newest[0]:
            newest = found
    if newest is None:
        return True
    decided_at, statuses = newest
    is_expired = gate.valid_for is not None and decided_at <= now - gate.valid_for
    return statuses.get(gate.consent_type) == _APPROVED and not is_expired


def _skips(item: Item) -> Sequence[Skip]:
    """One skip per entry and for the form; for an item that has neither, its identifier's."""
    skips = [Skip(item.position, entry, name, CONSENT) for entry, name, _, _ in item.entries]
    if item.form is not None:
        skips.append(Skip(item.position, None, "form_id", CONSENT))
    return skips or [Skip(item.position, None, item.identifiers[0].identifier_name, CONSENT)]
