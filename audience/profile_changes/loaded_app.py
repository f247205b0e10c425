"""What a batch of writes must know of an app: what its row says, and the profiles it names.

Pure: standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from audience.attributes.value_types import ValueType
from audience.audiences.memberships.audience_set import AudienceSet
from audience.audiences.memberships.decide import Before
from audience.profile_changes.consent_gate import Gate
from audience.profile_changes.erasure.memory import Remembered
from audience.profiles.profile import Profile


@dataclass(frozen=True, slots=True)
class KnownApp:
    """What an app's row says, with the types of some of its attributes.

    version: of the row; another one after every change of what is here. also_blocked: the app's own
    blocked identifier values, lower-cased. types: {attribute_name: value type, None when declared
    only}. audiences_revision: None without audiences. gate_terms: (consent type, how long an
    approval is valid, None: for good), None when no consent is needed. has_erased: whether erased
    profiles are remembered.
    """

    version: str
    organization_id: str
    also_blocked: frozenset[str]
    types: Mapping[str, ValueType | None]
    audiences_revision: str | None
    timezone: str
    gate_terms: tuple[str, timedelta | None] | None
    has_erased: bool


@dataclass(slots=True)
class LoadedApp:
    """An app with the profiles that a batch names.

    audiences: None without any. gate: None when no consent is needed. before: {profile_id: what is
    stored of its memberships}, of the profiles of an app with audiences. erased: what is remembered
    of erased profiles that held the wanted identifiers. versions: {profile_id: the version of its
    row}, see `profiles/touches/`.
    """

    known: KnownApp
    audiences: AudienceSet | None
    gate: Gate | None
    profiles: list[Profile] = field(default_factory=list)
    before: dict[str, Before] = field(default_factory=dict)
    erased: Remembered = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def add(self, profile: Profile, version: str) -> None:
        """Take a profile in, with the version of its row."""
        self.profiles.append(profile)
        self.versions[profile.profile_id] = version

    def note_before(
        self, profile: Profile, memberships: dict[str, datetime | None], changes_at: datetime | None
    ) -> None:
        """Take in what is stored of a profile's memberships."""
        before = Before(profile.updated_at, memberships, changes_at)
        before.attributes = profile.attributes
        self.before[profile.profile_id] = before


def gate_of(terms: tuple[str, timedelta | None] | None) -> Gate | None:
    """The gate that asks for this consent, before it knows what anybody has decided."""
    return None if terms is None else Gate(*terms)
