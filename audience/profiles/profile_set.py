"""The profiles a change works on, in memory: who owns which identifier, and what was changed.

Pure: standard library only. `profiles/storage.py` fills a ProfileSet from the database and writes
its changes back; `merge.py` decides what happens in between. Whoever fills it holds the app's lock.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audience.profiles.identifiers import (
    ANALYTICS_VISITOR_ID,
    DEVICE_ID,
    EMAIL,
    USER_ID,
    Identifier,
)
from audience.profiles.profile import Profile, without_identifiers

#: Past these a profile is no person but a shared value; see ARCHITECTURE.md, decision 6.
MAX_ANALYTICS_VISITOR_IDS = 100
MAX_DEVICE_IDS = 50


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge for the ledger: both sides as they were before, and what caused it."""

    survivor_before: Profile
    absorbed_before: Profile
    identifiers: tuple[Identifier, ...]
    merged_at: datetime


def without_identifier(merge: Merge, identifier: Identifier) -> Merge:
    """The merge as if neither side had held the identifier, nor a write named it."""
    return Merge(
        survivor_before=without_identifiers(merge.survivor_before, [identifier]),
        absorbed_before=without_identifiers(merge.absorbed_before, [identifier]),
        identifiers=tuple(one for one in merge.identifiers if one != identifier),
        merged_at=merge.merged_at,
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A merge or attachment that was not made; reason of `merge.py`'s constants."""

    profile_id: str
    other_profile_id: str | None
    reason: str
    refused_at: datetime


@dataclass(slots=True)
class ProfileSet:
    """Profiles of one app with the owners of their identifiers, and everything changed so far.

    touched_profile_ids: only attributes, the main visitor ID or the e-mail's spelling changed;
    changed_profile_ids: anything may have. departures: identifiers that the ledger may tell of for
    a profile that does not hold them: with the profile, which they have left other than by a merge.
    """

    new_profile_id: Callable[[], str]
    also_blocked: frozenset[str] = frozenset()
    profiles: dict[str, Profile] = field(default_factory=dict)
    #: Keys are compared as plain tuples: making an Identifier of each is a fifth of loading.
    owners: dict[tuple[str, str], str] = field(default_factory=dict)
    changed_profile_ids: set[str] = field(default_factory=set)
    touched_profile_ids: set[str] = field(default_factory=set)
    absorbed_profile_ids: set[str] = field(default_factory=set)
    changed_owners: dict[Identifier, str | None] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    departures: set[tuple[Identifier, str]] = field(default_factory=set)

    def load(self, profiles: Iterable[Profile]) -> None:
        """Take in profiles as stored; a profile that is known already stays as it is."""
        known, owners = self.profiles, self.owners
        for profile in profiles:
            profile_id = profile.profile_id
            if profile_id in known:
                continue
            known[profile_id] = profile
            if profile.user_id is not None:
                owners[USER_ID, profile.user_id] = profile_id
            if profile.email is not None:
                owners[EMAIL, profile.email] = profile_id
            for value in profile.device_ids:
                owners[DEVICE_ID, value] = profile_id
            for value in profile.analytics_visitor_ids:
                owners[ANALYTICS_VISITOR_ID, value] = profile_id

    def owner(self, identifier: Identifier) -> Profile | None:
        """The profile that holds the identifier, or None."""
        profile_id = self.owners.get(identifier)
        return None if profile_id is None else self.profiles[profile_id]

    def only_owner(self, identifiers: Sequence[Identifier]) -> Profile | None:
        """The profile that holds all of the identifiers; None when any is held by another or none.

        What most requests meet: then there is nothing to create, attach, merge or move.
        """
        owners = self.owners
        profile_id = owners.get(identifiers[0])
        for identifier in identifiers[1:]:
            if owners.get(identifier) != profile_id:
                return None
        return None if profile_id is None else self.profiles[profile_id]

    def create(self, now: datetime) -> Profile:
        """A new profile without identifiers."""
        profile = Profile(profile_id=self.new_profile_id(), created_at=now, updated_at=now)
        self.profiles[profile.profile_id] = profile
        self.changed_profile_ids.add(profile.profile_id)
        return profile

    def touch(self, profile: Profile, now: datetime) -> None:
        """Mark the profile's attributes as changed at `now`."""
        profile.updated_at = now
        self.touched_profile_ids.add(profile.profile_id)

    def attach(self, profile: Profile, identifier: Identifier) -> bool:
        """Give an identifier nobody else holds to the profile; False when a cap forbids it."""
        name, value = identifier
        if name == USER_ID:
            profile.user_id = value
        elif name == EMAIL:
            profile.email = value
            profile.email_as_given = value
        elif name == DEVICE_ID:
            if len(profile.device_ids) >= MAX_DEVICE_IDS:
                return False
            profile.device_ids = [*profile.device_ids, value]
        else:
            if len(profile.analytics_visitor_ids) >= MAX_ANALYTICS_VISITOR_IDS:
                return False
            profile.analytics_visitor_ids = [*profile.analytics_visitor_ids, value]
        self._set_owner(identifier, profile.profile_id)
        self.departures.discard((identifier, profile.profile_id))
        self.changed_profile_ids.add(profile.profile_id)
        return True

    def detach(self, profile: Profile, identifier: Identifier) -> None:
        """Take an identifier away from the profile that holds it; its other data stay."""
        name, value = identifier
        if name == USER_ID:
            profile.user_id = None
        elif name == EMAIL:
            profile.email = profile.email_as_given = None
        elif name == DEVICE_ID:
            profile.device_ids = [held for held in profile.device_ids if held != value]
        else:
            kept = [held for held in profile.analytics_visitor_ids if held != value]
            profile.analytics_visitor_ids = kept
            if profile.analytics_visitor_id == value:
                profile.analytics_visitor_id = kept[-1] if kept else None
        self._set_owner(identifier, None)
        self.departures.add((identifier, profile.profile_id))
        self.changed_profile_ids.add(profile.profile_id)

    def see_analytics_visitor_id(self, profile: Profile, value: str, now: datetime) -> None:
        """Make a held visitor ID the main one: the most recently seen (contract A3.7)."""
        if (ANALYTICS_VISITOR_ID, value) in self.owners:
            profile.analytics_visitor_id = value
            profile.analytics_visitor_seen_at = now

    def replace_by_merge(self, merge: Merge, merged: Profile) -> None:
        """Put the merged document in the survivor's place and drop the absorbed profile."""
        absorbed_id = merge.absorbed_before.profile_id
        self.profiles[merged.profile_id] = merged
        del self.profiles[absorbed_id]
        self.changed_profile_ids.discard(absorbed_id)
        self.touched_profile_ids.discard(absorbed_id)
        self.changed_profile_ids.add(merged.profile_id)
        self.absorbed_profile_ids.add(absorbed_id)
        for identifier in merged.identifiers():
            if self.owners.get(identifier) != merged.profile_id:
                self._set_owner(identifier, merged.profile_id)
        self.merges.append(merge)

    def take_back(self, profile: Profile) -> None:
        """Put a profile that an undone merge brought back into the set, with its identifiers."""
        self.profiles[profile.profile_id] = profile
        self.changed_profile_ids.add(profile.profile_id)
        self.absorbed_profile_ids.discard(profile.profile_id)
        for identifier in profile.identifiers():
            self._set_owner(identifier, profile.profile_id)

    def only_touches(self) -> bool:
        """True when nothing but touched profiles is to be saved: one statement does it."""
        return not (
            self.changed_profile_ids
            or self.changed_owners
            or self.absorbed_profile_ids
            or self.merges
            or self.refusals
        )

    def identifier_graph(self) -> set[frozenset[Identifier]]:
        """The partition of identifiers into profiles, without profile ids; for comparisons."""
        groups: dict[str, set[Identifier]] = {}
        for identifier, profile_id in self.owners.items():
            groups.setdefault(profile_id, set()).add(Identifier(*identifier))
        return {frozenset(group) for group in groups.values()}

    def snapshot(self) -> dict[str, Any]:
        """Everything needed to come back to this state with `restore`."""
        return {
            "profiles": {key: copy.copy(profile) for key, profile in self.profiles.items()},
            "owners": dict(self.owners),
            "changed_profile_ids": set(self.changed_profile_ids),
            "touched_profile_ids": set(self.touched_profile_ids),
            "absorbed_profile_ids": set(self.absorbed_profile_ids),
            "changed_owners": dict(self.changed_owners),
            "merges": list(self.merges),
            "refusals": list(self.refusals),
            "departures": set(self.departures),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Forget everything done since the snapshot was taken."""
        for name, value in snapshot.items():
            setattr(self, name, value)

    def _set_owner(self, identifier: Identifier, profile_id: str | None) -> None:
        if profile_id is None:
            self.owners.pop(identifier, None)
        else:
            self.owners[identifier] = profile_id
        self.changed_owners[identifier] = profile_id
