"""What is remembered of an erased profile, and what a write that names it may still do.

Only keyed digests are kept: enough to recognise what a late retry brings back, and nothing to read.
Pure: standard library only. Source: issue "Data subject requests", item 4; ARCHITECTURE.md,
decisions on erasure.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from audience.attributes.value_types import AttributeValue
from audience.profile_changes.items import Entry, Item
from audience.profiles.actions import (
    ADD,
    LIST_REMOVE,
    MAX_VALUE_CHARACTERS,
    normalise_number,
    parse_decimal,
)
from audience.profiles.identifiers import ANALYTICS_VISITOR_ID, Identifier, is_blocked
from audience.profiles.profile import Profile

#: No write may name the person's visitor IDs for so long.
VISITOR_IDS_BLOCKED_FOR = timedelta(hours=24)
#: How long retries of old batches are recognised. Android keeps what it could not send for a day,
#: iOS up to 500 events without a limit of age (contract F1.8, F2.4).
REMEMBERED_FOR = timedelta(days=7)
#: Values of one profile that are remembered: 8 bytes each, and a write by the person loads them.
MAX_REMEMBERED_VALUES = 20_000
DIGEST_BYTES = 8
_AGELESS = frozenset({ADD, LIST_REMOVE})
KEY_BYTES = 32


class Remembrance(NamedTuple):
    """What is remembered of one erasure that an identifier took part in."""

    hash_key: bytes
    value_digests: frozenset[bytes]
    erased_at: datetime
    blocked_until: datetime | None


#: {identifier: every erasure it took part in}; identifiers of nobody erased are not in it.
Remembered = Mapping[Identifier, Sequence[Remembrance]]


def identifier_hash(app_key: bytes, identifier: Identifier) -> bytes:
    """The identifier as it is remembered; storage.py computes the same in SQL."""
    text = f"{identifier.identifier_name}:{identifier.identifier_value}"
    return hashlib.sha256(app_key + text.encode()).digest()


def blocked_until(identifier: Identifier, now: datetime) -> datetime | None:
    """How long no write may name an erased identifier; None: it may at once."""
    is_visitor_id = identifier.identifier_name == ANALYTICS_VISITOR_ID
    return now + VISITOR_IDS_BLOCKED_FOR if is_visitor_id else None


def digests_of_profiles(hash_key: bytes, profiles: Iterable[Profile]) -> set[bytes]:
    """Digests of the profiles' attribute values and forms, at most MAX_REMEMBERED_VALUES."""
    found: set[bytes] = set()
    for profile in profiles:
        for digest in _digests(hash_key, profile):
            if len(found) >= MAX_REMEMBERED_VALUES:
                return found
            found.add(digest)
    return found


def split_digests(joined: bytes) -> frozenset[bytes]:
    """Digests stored one after the other."""
    starts = range(0, len(joined), DIGEST_BYTES)
    return frozenset(joined[start : start + DIGEST_BYTES] for start in starts)


def without_erased(
    items: Sequence[Item],
    remembered: Remembered,
    also_blocked: frozenset[str],
    now: datetime,
    *,
    taken_at: datetime | None = None,
) -> list[Item]:
    """The items without what would bring an erased person back; those left empty are dropped.

    A blocked visitor ID is taken out like a placeholder. Of an item that names an erased identifier
    the entries (and the form) are taken out that have a value the erased profile had; one that has
    nothing else may be a late retry and makes no profile. An `add` or `list-remove` does not tell
    how old it is: beside nothing but what was taken out it is as old as that.
    taken_at: when the items were taken in, if that was long ago (an import): those that name
    somebody erased since then are dropped whole.
    """
    kept: list[Item] = []
    for item in items:
        known = [one for key in item.identifiers for one in remembered.get(key, ())]
        if taken_at is not None and any(one.erased_at >= taken_at for one in known):
            continue
        left = _without_remembered(item, known) if known else item
        identifiers = usable_identifiers(item.identifiers, remembered, now)
        if left is None or not identifiers:
            continue
        if len(identifiers) < len(item.identifiers):
            if all(is_blocked(*identifier, also_blocked) for identifier in identifiers):
                continue
            left = left._replace(identifiers=identifiers)
        kept.append(left)
    return kept


def usable_identifiers(
    identifiers: Iterable[Identifier], remembered: Remembered, now: datetime
) -> tuple[Identifier, ...]:
    """The identifiers that a write may name now."""
    return tuple(
        identifier
        for identifier in identifiers
        if not any(
            one.blocked_until is not None and one.blocked_until > now
            for one in remembered.get(identifier, ())
        )
    )


def is_from_before(
    identifiers: Iterable[Identifier], remembered: Remembered, occurred_at: datetime
) -> bool:
    """True when something that happened then belongs to what was erased of the identifiers."""
    return any(
        occurred_at <= one.erased_at
        for identifier in identifiers
        for one in remembered.get(identifier, ())
    )


def erased_since(remembered: Remembered, moment: datetime) -> frozenset[Identifier]:
    """The identifiers that an erased profile has held at that moment or later."""
    return frozenset(
        identifier
        for identifier, erasures in remembered.items()
        if any(one.erased_at >= moment for one in erasures)
    )


def _without_remembered(item: Item, known: Sequence[Remembrance]) -> Item | None:
    """The item without entries that a retry may have brought; None when there is nothing else."""
    entries = tuple(entry for entry in item.entries if not _is_known(entry, known))
    form = item.form
    if form is not None and any(
        _digest(one.hash_key, "form", form.form_id, form.url) in one.value_digests for one in known
    ):
        form = None
    if form is None and all(action in _AGELESS for _, _, action, _ in entries):
        is_recognised = len(entries) < len(item.entries) or item.form is not None
        if is_recognised or not entries:
            return None
    return item._replace(entries=entries, form=form)


def _is_known(entry: Entry, known: Sequence[Remembrance]) -> bool:
    _, name, action, value = entry
    if action == LIST_REMOVE:
        return False
    texts = _texts(1 if value is None else value)
    if not texts:
        return False
    return any(
        {_digest(one.hash_key, "attribute", name, text) for text in texts} <= one.value_digests
        for one in known
    )


def _digests(hash_key: bytes, profile: Profile) -> Iterator[bytes]:
    for name, value in profile.attributes.items():
        for text in _texts(value):
            yield _digest(hash_key, "attribute", name, text)
    for form_id, submission in profile.forms.items():
        yield _digest(hash_key, "form", form_id, submission.get("url", ""))


def _texts(value: AttributeValue) -> list[str]:
    """The value's elements in one form: an SDK writes 5 as "5"."""
    elements = value if isinstance(value, list) else [value]
    return [_text(element) for element in elements]


def _text(value: str | float) -> str:
    if not isinstance(value, str):
        return str(normalise_number(value))
    number = parse_decimal(value) if len(value) <= MAX_VALUE_CHARACTERS else None
    return value if number is None else str(number)


def _digest(hash_key: bytes, kind: str, name: str, text: str) -> bytes:
    # NUL is in no name and no value.
    content = f"{kind}\x00{name}\x00{text}".encode()
    return hashlib.blake2b(content, key=hash_key, digest_size=DIGEST_BYTES).digest()
