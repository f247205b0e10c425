"""The profile: one visitor as the service knows it, and its public document.

Pure: standard library only. Source: contract B (document), A3.7 (main visitor ID).
"""

import copy
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from audience.attributes.value_types import AttributeValue
from audience.profiles.identifiers import (
    ANALYTICS_VISITOR_ID,
    DEVICE_ID,
    EMAIL,
    USER_ID,
    Identifier,
)

Facts = dict[str, Any]


@dataclass(slots=True)
class Profile:
    """One visitor. Values are replaced, never changed in place, so a shallow copy is a snapshot.

    attributes: {attribute_name: str | number | [str]}; attribute_written_at: {attribute_name:
    microseconds since 1970} for the same names. email is in comparable form, email_as_given as
    somebody typed it. Lists of identifiers are in order of first sight.
    forms: {form_id: {"timestamp", "url"}}; analytics: {key: str}; visits, goals, ecommerce,
    generic: contract B11-B15. consents: {consent type: status (contract H3)}, the whole state as
    decided at consents_at. stored_bytes: size of `attributes` when it was loaded;
    0 when it is far from any limit.
    """

    profile_id: str
    created_at: datetime
    updated_at: datetime
    user_id: str | None = None
    email: str | None = None
    email_as_given: str | None = None
    device_ids: list[str] = field(default_factory=list)
    analytics_visitor_ids: list[str] = field(default_factory=list)
    analytics_visitor_id: str | None = None
    analytics_visitor_seen_at: datetime | None = None
    attributes: dict[str, AttributeValue] = field(default_factory=dict)
    attribute_written_at: dict[str, int] = field(default_factory=dict)
    forms: dict[str, Facts] = field(default_factory=dict)
    analytics: Facts = field(default_factory=dict)
    analytics_at: datetime | None = None
    visits: Facts = field(default_factory=dict)
    goals: dict[str, Facts] = field(default_factory=dict)
    ecommerce: Facts = field(default_factory=dict)
    generic: Facts = field(default_factory=dict)
    consents: dict[str, int] = field(default_factory=dict)
    consents_at: datetime | None = None
    stored_bytes: int = 0

    def identifiers(self) -> list[Identifier]:
        """Every identifier of the profile, strongest first."""
        found: list[Identifier] = []
        if self.user_id is not None:
            found.append(Identifier(USER_ID, self.user_id))
        if self.email is not None:
            found.append(Identifier(EMAIL, self.email))
        found += [Identifier(DEVICE_ID, value) for value in self.device_ids]
        found += [Identifier(ANALYTICS_VISITOR_ID, value) for value in self.analytics_visitor_ids]
        return found


def without_identifiers(profile: Profile, gone: Collection[Identifier]) -> Profile:
    """The profile with everything but these identifiers; the input stays as it is."""
    left = copy.copy(profile)
    if profile.user_id is not None and Identifier(USER_ID, profile.user_id) in gone:
        left.user_id = None
    if profile.email is not None and Identifier(EMAIL, profile.email) in gone:
        left.email = left.email_as_given = None
    left.device_ids = [
        value for value in profile.device_ids if Identifier(DEVICE_ID, value) not in gone
    ]
    ids = left.analytics_visitor_ids = [
        value
        for value in profile.analytics_visitor_ids
        if Identifier(ANALYTICS_VISITOR_ID, value) not in gone
    ]
    if left.analytics_visitor_id not in ids:
        left.analytics_visitor_id = ids[-1] if ids else None
    return left


_MOMENTS = (
    "created_at",
    "updated_at",
    "analytics_visitor_seen_at",
    "analytics_at",
    "consents_at",
)


def to_record(profile: Profile) -> Facts:
    """The whole profile as JSON-ready members, for the merge ledger; see `from_record`."""
    record = {entry.name: getattr(profile, entry.name) for entry in fields(profile)}
    for name in _MOMENTS:
        if record[name] is not None:
            record[name] = timestamp_text(record[name])
    return record


def from_record(record: Facts) -> Profile:
    """The profile that `to_record` wrote."""
    members = dict(record)
    for name in _MOMENTS:
        # A record of an earlier version has no consents.
        if members.get(name) is not None:
            members[name] = datetime.fromisoformat(members[name])
    return Profile(**members)


@lru_cache(maxsize=1)
def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime; all writes of a batch ask for the same."""
    return round(moment.timestamp() * 1_000_000)


def timestamp_text(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z` and microseconds (contract B17)."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def profile_document(app_id: str, profile: Profile) -> dict[str, Any]:
    """The profile as the authorized API and the command line show it.

    Shape: contract B1-B16; identifier keys only where they exist, no null members (B0, B19).
    """
    document: dict[str, Any] = {"id": profile.profile_id, "website_id": app_id}
    if profile.user_id is not None:
        document["user_id"] = profile.user_id
    if profile.email is not None:
        document["email"] = profile.email_as_given or profile.email
    if profile.analytics_visitor_id is not None:
        document["analytics_visitor_id"] = profile.analytics_visitor_id
    if profile.analytics_visitor_ids:
        document["analytics_visitor_ids"] = list(profile.analytics_visitor_ids)
    if profile.device_ids:
        document["device_ids"] = list(profile.device_ids)
    document |= {
        "attributes": dict(profile.attributes),
        "forms": dict(profile.forms),
        "analytics": dict(profile.analytics),
        "visits": dict(profile.visits),
        "goals": dict(profile.goals),
        "ecommerce": dict(profile.ecommerce),
        "generic": dict(profile.generic),
        "updated_at": timestamp_text(profile.updated_at),
        "attributes_count": len(profile.attributes),
    }
    return document
