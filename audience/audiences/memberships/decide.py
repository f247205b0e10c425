"""Which memberships a changed profile gains and loses, and when they may change by time alone.

Pure: standard library only, `now` is an argument. Source: issue "Audiences", Definitions
(membership); that the last matching update counts is ARCHITECTURE.md, decision 25.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from audience.audiences.evaluate import Context
from audience.audiences.memberships.audience_set import AudienceSet, CompiledAudience
from audience.profiles.profile import Profile
from audience.profiles.profile_set import ProfileSet

_MISSING = object()


@dataclass(slots=True)
class Before:
    """What is stored of a profile before its change.

    memberships: {audience_id: matched_at}, see the table `audience_members`. changes_at: when they
    may change by time. attributes: None when they are not known; then every audience is evaluated.
    carried: {audience_id: last matching update} of profiles that were merged into this one.
    forgotten: audiences in which nobody stays for having matched an earlier definition.
    member_since: {audience_id: since when}, only of absorbed profiles and of who absorbed them.
    """

    updated_at: datetime
    memberships: dict[str, datetime | None]
    changes_at: datetime | None = None
    attributes: Mapping[str, Any] | None = None
    carried: dict[str, datetime] = field(default_factory=dict)
    forgotten: frozenset[str] = frozenset()
    member_since: dict[str, datetime] = field(default_factory=dict)


class Kept(NamedTuple):
    """A membership to store: a new one, or one whose matched_at is another now.

    member_since: of a new one that a merge brought along; None for now.
    """

    audience_id: str
    profile_id: str
    matched_at: datetime | None = None
    member_since: datetime | None = None


class Ended(NamedTuple):
    """A membership to delete."""

    audience_id: str
    profile_id: str


class Due(NamedTuple):
    """When to evaluate the profile again; None: nothing of it changes by time any more."""

    profile_id: str
    changes_at: datetime | None


@dataclass(slots=True)
class Differences:
    """What is to be stored, of one app."""

    kept: list[Kept] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)

    def __bool__(self) -> bool:
        """False when nothing is."""
        return bool(self.kept or self.ended or self.due)


class Change(NamedTuple):
    """A profile as it is now, what is stored of it, and where to put what is to be stored."""

    profile: Profile
    before: Before
    now: datetime
    differences: Differences


def decide_memberships(
    audiences: AudienceSet,
    profile: Profile,
    before: Before | None,
    now: datetime,
    differences: Differences,
) -> None:
    """Add to the differences what changes for the profile; before: None for a new one.

    Evaluates the audiences that the changed attributes can affect and those that time can change;
    all when more than attributes may have changed.
    """
    if before is None:
        before = Before(profile.updated_at, {})
    change = Change(profile, before, now, differences)
    decided: dict[str, bool] = {}
    if before.attributes is None:
        is_static_affected, affected = True, audiences.dynamic
    else:
        names = changed_names(before.attributes, profile.attributes)
        is_static_affected = audiences.is_static_affected_by(names)
        affected = audiences.affected_by(names)
    if is_static_affected:
        decided = _decide_static(audiences, change)
    if affected:
        soonest = evaluate_audiences(affected, change, decided)
        if audiences.may_change_by_time:
            _note_due(profile.profile_id, before.changes_at, soonest, now, differences)


def _decide_static(audiences: AudienceSet, change: Change) -> dict[str, bool]:
    """Decide the static audiences; {audience_id: is member} of those that others ask about."""
    profile, before, now, differences = change
    stored, bits = 0, audiences.static_bits
    for audience_id in before.memberships:
        stored |= bits.get(audience_id, 0)
    matches = audiences.static.matches(profile, Context(now))
    flipped = matches ^ stored
    while flipped:
        bit = flipped & -flipped
        flipped ^= bit
        audience_id = audiences.static_ids[bit.bit_length() - 1]
        if matches & bit:
            since = before.member_since.get(audience_id)
            differences.kept.append(Kept(audience_id, profile.profile_id, None, since))
        else:
            differences.ended.append(Ended(audience_id, profile.profile_id))
    return {
        audience_id: matches & bits[audience_id] != 0 for audience_id in audiences.asked_static_ids
    }


def decide_all(
    audiences: AudienceSet, profiles: ProfileSet, before: dict[str, Before], now: datetime
) -> Differences:
    """What changes for every profile that the set has changed; absorbed ones need no deciding.

    before: {profile_id: what is stored}, absorbed profiles included: what an absorbed profile was a
    member of for its duration, the survivor is as well.
    """
    for merge in profiles.merges:
        absorbed = before.get(merge.absorbed_before.profile_id)
        if absorbed is not None:
            survivor_id = merge.survivor_before.profile_id
            survivor = before.setdefault(survivor_id, Before(merge.merged_at, {}))
            _carry_over(absorbed, survivor, audiences)
    differences = Differences()
    for profile_id in profiles.changed_profile_ids | profiles.touched_profile_ids:
        stored = before.get(profile_id)
        if stored is not None and profile_id in profiles.changed_profile_ids:
            stored.attributes = None
        decide_memberships(audiences, profiles.profiles[profile_id], stored, now, differences)
    return differences


def _carry_over(absorbed: Before, survivor: Before, audiences: AudienceSet) -> None:
    """What a member the absorbed profile was: since when, and until when it would have stayed."""
    for audience_id, since in absorbed.member_since.items():
        known_since = survivor.member_since.get(audience_id, since)
        survivor.member_since[audience_id] = min(known_since, since)
    for audience in audiences.durations:
        matched_at = last_match(absorbed, audience.audience_id)
        if matched_at is not None:
            known = survivor.carried.get(audience.audience_id, matched_at)
            survivor.carried[audience.audience_id] = max(known, matched_at)


def evaluate_audiences(
    affected: Iterable[CompiledAudience], change: Change, decided: dict[str, bool] | None = None
) -> datetime | None:
    """Add what changes for these audiences; when their memberships may change by time.

    decided: {audience_id: is member} of audiences that were decided before in this change.
    """
    profile, before, now, differences = change
    stored = before.memberships
    known = {} if decided is None else decided

    def is_member_of(audience_id: str) -> bool:
        found = known.get(audience_id)
        return audience_id in stored if found is None else found

    context = Context(now, is_member_of)
    soonest: datetime | None = None
    for audience in affected:
        audience_id = audience.audience_id
        is_member, changes_at = audience.evaluate(profile, context)
        if audience.duration is not None:
            is_member, changes_at = _with_duration(audience, change, (is_member, changes_at))
        elif is_member != (audience_id in stored):
            if is_member:
                since = before.member_since.get(audience_id)
                differences.kept.append(Kept(audience_id, profile.profile_id, None, since))
            else:
                differences.ended.append(Ended(audience_id, profile.profile_id))
        if audience.is_asked_about:
            known[audience_id] = is_member
        if changes_at is not None and (soonest is None or changes_at < soonest):
            soonest = changes_at
    return soonest


def changed_names(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The names of the attributes that are not the same in both."""
    if old is new:
        return []
    changed = [name for name, value in new.items() if old.get(name, _MISSING) != value]
    return changed + [name for name in old if name not in new]


def last_match(before: Before, audience_id: str) -> datetime | None:
    """The last update before the change at which a member matched; None for no member."""
    known = before.carried.get(audience_id)
    if audience_id in before.memberships and audience_id not in before.forgotten:
        own = before.memberships[audience_id] or before.updated_at
        return own if known is None else max(own, known)
    return known


def _with_duration(
    audience: CompiledAudience, change: Change, answer: tuple[bool, datetime | None]
) -> tuple[bool, datetime | None]:
    """Whether the profile is a member, and when that may change.

    A member stays until the duration after the last matching update has passed, matching or not.
    """
    assert audience.duration is not None  # noqa: S101 - by the caller
    audience_id, (is_match, changes_at) = audience.audience_id, answer
    before, profile = change.before, change.profile
    matched_at = None if is_match else last_match(before, audience_id)
    last = profile.updated_at if is_match else matched_at
    until = None if last is None else last + audience.duration
    if until is not None and change.now < until:
        if before.memberships.get(audience_id, _MISSING) != matched_at:
            since = before.member_since.get(audience_id)
            change.differences.kept.append(Kept(audience_id, profile.profile_id, matched_at, since))
        return True, until if changes_at is None else min(until, changes_at)
    if audience_id in before.memberships:
        change.differences.ended.append(Ended(audience_id, profile.profile_id))
    return False, changes_at


def _note_due(
    profile_id: str,
    stored: datetime | None,
    soonest: datetime | None,
    now: datetime,
    differences: Differences,
) -> None:
    """Store the moment unless an earlier one is: that one is replaced when it has come."""
    has_come = stored is not None and stored <= now
    if soonest is None:
        if has_come:
            differences.due.append(Due(profile_id, None))
    elif stored is None or has_come or soonest < stored:
        differences.due.append(Due(profile_id, soonest))
