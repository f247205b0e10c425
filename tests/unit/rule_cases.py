"""The rows of tests/cases/rules.json, for both evaluators."""

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from audience.audiences.definition import Definition, parse_definition
from audience.audiences.evaluate import Compiled, Context, compile_definition
from audience.audiences.patterns import compile_pattern
from audience.profiles.profile import Profile
from tests.conftest import CASES

LONG_AGO = "2020-01-01T00:00:00Z"
_MOMENTS = ("created_at", "updated_at")


@dataclass(frozen=True)
class RuleCase:
    """One row: a profile with its audiences, and a definition at a time."""

    name: str
    profile: Profile
    audience_ids: frozenset[str]
    definition: Definition
    now: datetime
    zone: ZoneInfo
    is_member: bool

    def compiled(self) -> Compiled:
        return compile_definition(self.definition, compile_pattern, self.zone)

    def context(self, now: datetime) -> Context:
        return Context(now, self.audience_ids.__contains__)


def utc(text: str) -> datetime:
    """An RFC 3339 time as an aware datetime in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def profile_of(profile_id: str, members: dict[str, Any]) -> Profile:
    """A profile with these members; times are texts."""
    given = dict.fromkeys(_MOMENTS, LONG_AGO) | members
    assert given.keys() <= {entry.name for entry in fields(Profile)}
    moments = {name: utc(given[name]) for name in _MOMENTS}
    return Profile(**(given | moments | {"profile_id": profile_id}))


def rule_cases() -> list[RuleCase]:
    """Every row, its profile numbered by its position."""
    rows = json.loads((CASES / "rules.json").read_text("utf-8"))
    cases = []
    for position, row in enumerate(rows):
        given = row["given"]
        cases.append(
            RuleCase(
                name=row["name"],
                profile=profile_of(
                    f"00000000-0000-4000-8000-{position:012x}",
                    given["profile"] | {"consents": given.get("consents", {})},
                ),
                audience_ids=frozenset(given.get("audiences", ())),
                definition=parse_definition(given["definition"], compile_pattern),
                now=utc(given["now"]),
                zone=ZoneInfo(given["timezone"]),
                is_member=row["expected"],
            )
        )
    return cases
