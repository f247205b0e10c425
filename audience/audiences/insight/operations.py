"""Answering questions about definitions: previews and explanations."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

import asyncpg

from audience.apps.storage import App
from audience.audiences.catalogue.audience import Audience
from audience.audiences.definition import Definition, parse_definition
from audience.audiences.evaluate import Compiled, Context, compile_definition, explain_definition
from audience.audiences.insight import storage
from audience.audiences.memberships.cache import zone_of
from audience.audiences.memberships.storage import get_before
from audience.audiences.patterns import compile_pattern
from audience.audiences.population_sql import compile_population
from audience.errors import Invalid, NotFound
from audience.profiles import storage as profile_storage
from audience.profiles.identifiers import (
    ANALYTICS_VISITOR_ID,
    EMAIL,
    Identifier,
    normalise_analytics_visitor_id,
    normalise_email,
)
from audience.profiles.profile import Profile

_SAMPLE = 10
#: Profiles evaluated at a stretch: other requests come in between.
_EVALUATED_AT_ONCE = 200
_FIRST = "00000000-0000-0000-0000-000000000000"
#: `changes_at` may come early; so many times it is asked for the next one.
_MOST_STEPS = 1000


@dataclass(frozen=True, slots=True)
class Preview:
    """Whom a definition matches: how many of `total` profiles, and some of them."""

    count: int
    total: int
    sample_profile_ids: list[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a profile is a member or not.

    member_since: None for no member. member_until: None unless time alone ends it.
    """

    profile_id: str
    member_since: datetime | None
    member_until: datetime | None
    tree: dict[str, Any]


async def preview_definition(
    conn: asyncpg.Connection, app_id: str, definition: Definition, timezone: str, now: datetime
) -> Preview:
    """Count the profiles that match now, exactly.

    SQL counts where it can say what the definition means; else it narrows and each profile is
    evaluated here.
    """
    zone = zone_of(timezone)
    clause = compile_population(definition, now=now, timezone=zone)
    total = await storage.count_profiles(conn, app_id)
    if clause.is_exact:
        count = await storage.count_matches(conn, app_id, clause)
        sample = await storage.sample_matches(conn, app_id, clause) if count else []
        return Preview(count, total, sample)
    count, sample = await _evaluate_candidates(conn, app_id, definition, zone, now)
    return Preview(count, total, sample)


async def _evaluate_candidates(
    conn: asyncpg.Connection, app_id: str, definition: Definition, zone: tzinfo, now: datetime
) -> tuple[int, list[str]]:
    """(how many profiles match, ids of some), where SQL alone can't tell."""
    clause = compile_population(definition, now=now, timezone=zone, first_parameter=3)
    evaluate = compile_definition(definition, compile_pattern, zone).evaluate
    count, after = 0, _FIRST
    sample: list[str] = []
    while True:
        found = await storage.list_candidates(conn, app_id, after, clause, _EVALUATED_AT_ONCE)
        ids = [profile.profile_id for profile in found]
        stored = await get_before(conn, app_id, ids)
        for profile in found:
            context = Context(now, stored[profile.profile_id].memberships.__contains__)
            if evaluate(profile, context)[0]:
                count += 1
                sample += [profile.profile_id] if len(sample) < _SAMPLE else []
        if len(found) < _EVALUATED_AT_ONCE:
            return count, sample
        after = ids[-1]
        await asyncio.sleep(0)


async def explain_membership(
    conn: asyncpg.Connection,
    app: App,
    audience: Audience,
    identifier: Identifier,
    now: datetime,
) -> Explanation:
    """Why the holder of the identifier is a member of the audience, or not.

    Errors: NotFound for a holder; Invalid as `checked_identifier`.
    """
    (profile,) = await profile_storage.find_profiles(conn, app.app_id, [identifier]) or (None,)
    if profile is None:
        message = f"no profile has this {identifier.identifier_name}"
        raise NotFound(message, path="value")
    zone = zone_of(app.timezone)
    definition = parse_definition(audience.definition, compile_pattern)
    members = await storage.list_memberships_of(conn, app.app_id, profile.profile_id)
    context = Context(now, members.__contains__)
    tree = explain_definition(definition, compile_pattern, zone, profile, context)
    stored = await storage.find_membership(
        conn, app.app_id, audience.audience_id, profile.profile_id
    )
    if stored is None:
        return Explanation(profile.profile_id, None, None, tree)
    if audience.membership_duration_days is not None:
        last = stored[1] or profile.updated_at
        until: datetime | None = last + timedelta(days=audience.membership_duration_days)
    else:
        compiled = compile_definition(definition, compile_pattern, zone)
        until = _end_by_time(compiled, profile, context)
    return Explanation(profile.profile_id, stored[0], until, tree)


def checked_identifier(name: str, value: str) -> Identifier:
    """The identifier in the form in which it is stored.

    Errors: Invalid for a value that can't be one of that kind.
    """
    normal: str | None = value
    if name == ANALYTICS_VISITOR_ID:
        normal = normalise_analytics_visitor_id(value)
    elif name == EMAIL:
        normal = normalise_email(value)
    if not normal:
        expected = "must be 16 hex digits" if name == ANALYTICS_VISITOR_ID else "must not be empty"
        message = f"value {expected} for the identifier {name}"
        raise Invalid(message, path="value")
    return Identifier(name, normal)


def _end_by_time(compiled: Compiled, profile: Profile, context: Context) -> datetime | None:
    """The moment at which a member stops matching if nothing happens to it, or None."""
    for _ in range(_MOST_STEPS):
        is_match, changes_at = compiled.evaluate(profile, context)
        if not is_match:
            return context.now
        if changes_at is None:
            return None
        context = replace(context, now=changes_at)
    return None
