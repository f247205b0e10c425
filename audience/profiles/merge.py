"""Which profile an update lands on, which profiles become one, which identifiers move.

Pure: standard library only. Source: contract A3 with decisions 3 and 4; caps and the order inside
one request are this project's (ARCHITECTURE.md, decisions 3 and 6).
"""

import copy
from collections.abc import Sequence
from datetime import datetime

from audience.profiles.identifiers import (
    ANALYTICS_VISITOR_ID,
    EMAIL,
    IDENTIFIER_NAMES,
    STRONG_IDENTIFIER_NAMES,
    USER_ID,
    Identifier,
)
from audience.profiles.merged_document import merge_profiles
from audience.profiles.profile import Profile
from audience.profiles.profile_set import (
    MAX_ANALYTICS_VISITOR_IDS,
    MAX_DEVICE_IDS,
    Merge,
    ProfileSet,
    Refusal,
)

#: No single change makes one profile out of more than this many.
MAX_PROFILES_IN_MERGE = 20

DIFFERENT_USER_IDS = "different_user_ids"
DIFFERENT_EMAILS = "different_emails"
TOO_MANY_IDENTIFIERS = "too_many_identifiers"
TOO_MANY_PROFILES = "too_many_profiles"

#: Passes over one request; a second one is only made after a conflict.
_MAX_PASSES = 5

IdentifierSet = tuple[Identifier, ...]


def resolve_identifiers(
    profiles: ProfileSet, identifier_sets: Sequence[IdentifierSet], now: datetime
) -> list[Profile]:
    """Make the identifier graph say what the request's items say: create, attach, merge, move.

    Returns what each item's attributes land on: the owner of its strongest attached identifier.
    identifier_sets: one tuple per item, strongest identifier first, blocked values left out.
    The sets are taken in an order of their own (strong identifiers first, then by value), not in
    the order given, and again until nothing changes (an e-mail that a later item frees may be what
    an earlier one asks for): any order or repetition of the same request ends in the same graph
    (contract A3.8), as clients re-send failed batches in reverse.
    """
    if len(identifier_sets) == 1:
        survivor = resolve_one(profiles, identifier_sets[0], now)
        is_attached = profiles.owners.get(identifier_sets[0][0]) == survivor.profile_id
        return [survivor if is_attached else _target_of(profiles, identifier_sets[0])]
    ordered = sorted(set(identifier_sets), key=_canonical_order)
    refused_before = profiles.refusals
    #: {(both profiles, reason): the first of the refusals}, of all passes
    refused: dict[tuple[str, str | None, str], Refusal] = {}
    for _ in range(_MAX_PASSES):
        owners_before = dict(profiles.owners)
        profiles.refusals = []
        for identifiers in ordered:
            resolve_one(profiles, identifiers, now)
        for one in profiles.refusals:
            refused.setdefault((one.profile_id, one.other_profile_id, one.reason), one)
        if not profiles.refusals or profiles.owners == owners_before:
            break
    # What a later pass joined was not refused in the end.
    known = {None, *profiles.profiles}
    left = [one for one in refused.values() if one.other_profile_id in known]
    profiles.refusals = refused_before + left
    return [_target_of(profiles, identifiers) for identifiers in identifier_sets]


def resolve_one(profiles: ProfileSet, identifiers: IdentifierSet, now: datetime) -> Profile:
    """The profile that the identifiers name after creating, attaching, merging and moving.

    Never makes one profile out of two with different `user_id`s, or of two with different e-mails
    unless the request names both the user and the e-mail.  On repeat: changes nothing.
    """
    survivor = profiles.only_owner(identifiers) or _resolve(profiles, identifiers, now)
    last = identifiers[-1]
    if last[0] == ANALYTICS_VISITOR_ID and profiles.owners.get(last) == survivor.profile_id:
        profiles.see_analytics_visitor_id(survivor, last[1], now)
    return survivor


def _resolve(profiles: ProfileSet, identifiers: IdentifierSet, now: datetime) -> Profile:
    """As `resolve_one`, for identifiers that are new or held by several profiles."""
    survivor = _survivor(profiles, identifiers) or profiles.create(now)
    merged = 0
    for identifier in identifiers:
        owner = profiles.owner(identifier)
        if owner is survivor:
            continue
        if owner is None:
            _attach(profiles, survivor, identifier, now)
            continue
        reason = _why_apart(survivor, owner, identifiers)
        if reason is None and merged + 2 > MAX_PROFILES_IN_MERGE:
            reason = TOO_MANY_PROFILES
        if reason is None:
            reason = _why_too_large(survivor, owner)
        if reason is None:
            survivor = merge_into(profiles, survivor, owner, identifiers, now)
            merged += 1
            continue
        profiles.refusals.append(Refusal(survivor.profile_id, owner.profile_id, reason, now))
        if reason in (DIFFERENT_USER_IDS, DIFFERENT_EMAILS):
            _move(profiles, survivor, owner, identifier, now)
    if merged:
        # The ledger gives them as a cause, though they stay with somebody else.
        others = [one for one in identifiers if profiles.owner(one) is not survivor]
        profiles.departures.update((one, survivor.profile_id) for one in others)
    return survivor


def _target_of(profiles: ProfileSet, identifiers: IdentifierSet) -> Profile:
    for identifier in identifiers:
        owner = profiles.owner(identifier)
        if owner is not None:
            return owner
    message = "no identifier is attached"
    raise LookupError(message)


def why_not_by_hand(survivor: Profile, other: Profile, *, is_forced: bool) -> str | None:
    """Why an operator's merge of two profiles is refused, or None.

    is_forced: different e-mails are no reason then. Different user IDs always are: the next login
    of the one that lost its profile would make it a profile again. The caps hold too.
    """
    reason = _why_apart(survivor, other, ())
    if reason == DIFFERENT_EMAILS and is_forced:
        reason = None
    return reason or _why_too_large(survivor, other)


def merge_into(
    profiles: ProfileSet,
    survivor: Profile,
    absorbed: Profile,
    identifiers: IdentifierSet,
    now: datetime,
) -> Profile:
    """The survivor with everything of the absorbed profile; the merge is noted for the ledger."""
    merge = Merge(copy.copy(survivor), copy.copy(absorbed), identifiers, now)
    merged = merge_profiles(survivor, absorbed)
    if survivor.email is not None and absorbed.email not in (None, survivor.email):
        if Identifier(EMAIL, absorbed.email) in identifiers:
            # The request names the user and the absorbed profile's e-mail: it replaces the
            # survivor's (decision 3).
            profiles.detach(survivor, Identifier(EMAIL, survivor.email))
            merged.email, merged.email_as_given = absorbed.email, absorbed.email_as_given
        else:
            # By hand: the survivor keeps its own, the other one is free again.
            profiles.detach(absorbed, Identifier(EMAIL, absorbed.email))
    merged.updated_at = now
    profiles.replace_by_merge(merge, merged)
    return merged


def _canonical_order(identifiers: IdentifierSet) -> list[tuple[int, str]]:
    return [(IDENTIFIER_NAMES.index(name), value) for name, value in identifiers]


def _survivor(profiles: ProfileSet, identifiers: IdentifierSet) -> Profile | None:
    """The owner of the strongest identifier that may carry the request's strong ones."""
    requested = dict(identifiers)
    user_id, email = requested.get(USER_ID), requested.get(EMAIL)
    for identifier in identifiers:
        owner = profiles.owner(identifier)
        if owner is None:
            continue
        by_user_id = identifier.identifier_name == USER_ID
        if user_id is not None and owner.user_id not in (None, user_id):
            continue
        if email is not None and owner.email not in (None, email) and not by_user_id:
            continue
        return owner
    return None


def _why_apart(survivor: Profile, other: Profile, identifiers: IdentifierSet) -> str | None:
    """Why two profiles must stay two, or None when they may become one."""
    if None not in (survivor.user_id, other.user_id) and survivor.user_id != other.user_id:
        return DIFFERENT_USER_IDS
    if None in (survivor.email, other.email) or survivor.email == other.email:
        return None
    requested = dict(identifiers)
    names_both = requested.get(USER_ID) is not None and requested.get(EMAIL) == other.email
    return None if names_both else DIFFERENT_EMAILS


def _why_too_large(survivor: Profile, other: Profile) -> str | None:
    visitor_ids = len(survivor.analytics_visitor_ids) + len(other.analytics_visitor_ids)
    device_ids = len(survivor.device_ids) + len(other.device_ids)
    if visitor_ids > MAX_ANALYTICS_VISITOR_IDS or device_ids > MAX_DEVICE_IDS:
        return TOO_MANY_IDENTIFIERS
    return None


def _attach(profiles: ProfileSet, survivor: Profile, identifier: Identifier, now: datetime) -> None:
    if identifier.identifier_name == EMAIL and survivor.email is not None:
        # Only reached when the survivor was found by user_id: the new e-mail replaces (decision 3).
        profiles.detach(survivor, Identifier(EMAIL, survivor.email))
    if not profiles.attach(survivor, identifier):
        profiles.refusals.append(Refusal(survivor.profile_id, None, TOO_MANY_IDENTIFIERS, now))


def _move(
    profiles: ProfileSet, survivor: Profile, owner: Profile, identifier: Identifier, now: datetime
) -> None:
    """Move a weak identifier to the survivor: the last logged-in user wins (contract A3.4)."""
    if identifier.identifier_name in STRONG_IDENTIFIER_NAMES:
        return
    profiles.detach(owner, identifier)
    if not profiles.attach(survivor, identifier):
        profiles.attach(owner, identifier)
        profiles.refusals.append(Refusal(survivor.profile_id, None, TOO_MANY_IDENTIFIERS, now))
