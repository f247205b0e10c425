"""Applying facts of the analytics system, one app at a time, under the app's lock."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.errors import Forbidden, Invalid
from audience.profile_changes import storage as change_storage
from audience.profile_changes.analytics_facts import storage
from audience.profile_changes.analytics_facts.facts import (
    Fact,
    apply_fact,
    see_main_visitor_id,
)
from audience.profile_changes.erasure.memory import (
    Remembered,
    is_from_before,
    usable_identifiers,
)
from audience.profile_changes.save import save_changes
from audience.profiles import storage as profile_storage
from audience.profiles.identifiers import ANALYTICS_VISITOR_ID, Identifier, is_blocked
from audience.profiles.merge import resolve_identifiers
from audience.profiles.profile_set import ProfileSet
from audience.server.clock import new_id
from audience.server.database import raw

_ERASED_AT_ONCE = 10_000


@dataclass(slots=True)
class FactsOutcome:
    """What became of a batch.

    repeated_count: orders and conversions that had been counted before. skipped: (position, reason)
    of the facts whose goal was left out. erased_count: facts about erased persons, dropped.
    """

    fact_count: int
    order_count: int
    conversion_count: int
    repeated_count: int
    skipped: list[tuple[int, str]]
    erased_count: int = 0


async def add_analytics_facts(
    conn: asyncpg.Connection, facts: Sequence[Fact], now: datetime
) -> FactsOutcome:
    """Bring the facts into the profiles of their visitors; all or nothing.

    Visitors that nobody knows become profiles, as in a public write.  On repeat: the same state,
    orders and conversions count once.  The caller opens the transaction.
    Errors: Forbidden for an app with the audience manager switched off, Invalid for a fact whose
    identifiers are all placeholders.
    """
    by_app: dict[str, list[Fact]] = {}
    for fact in facts:
        by_app.setdefault(fact.app_id, []).append(fact)
    await profile_storage.lock_apps(conn, by_app)
    outcome = FactsOutcome(len(facts), 0, 0, 0, [])
    for app_id, its_facts in by_app.items():
        await _add_facts_of_app(conn, app_id, its_facts, now, outcome)
    return outcome


async def erase_some_counted_events(conn: AsyncConnection, app_id: str) -> bool:
    """Forget some counted events of a deleted app, a step of its erasure; False: none left."""
    return await storage.delete_some_counted_events(await raw(conn), app_id, _ERASED_AT_ONCE)


async def _add_facts_of_app(
    conn: asyncpg.Connection,
    app_id: str,
    facts: Sequence[Fact],
    now: datetime,
    outcome: FactsOutcome,
) -> None:
    wanted = {identifier for fact in facts for identifier in fact.identifiers}
    app = (await change_storage.load_apps(conn, {app_id: wanted}, {})).get(app_id)
    if app is None:
        message = f"the audience manager is switched off for the app {app_id}"
        raise Forbidden(message, path="website_id")
    profiles = ProfileSet(new_profile_id=new_id, also_blocked=app.known.also_blocked)
    profiles.load(app.profiles)
    kept = _without_erased(facts, app.erased, now)
    outcome.erased_count += len(facts) - len(kept)
    facts = kept
    keys = [key for fact in facts for key in (fact.order_key(), fact.conversion_key()) if key]
    counted = await storage.insert_counted_events(conn, app_id, set(keys), now)
    outcome.repeated_count += len(keys) - len(counted)
    outcome.order_count += len(counted & {fact.order_key() for fact in facts})
    outcome.conversion_count += len(counted & {fact.conversion_key() for fact in facts})
    skipped = _apply(profiles, facts, counted, now)
    outcome.conversion_count -= len(skipped)
    outcome.skipped += skipped
    names = {name for fact in facts for name in fact.analytics}
    if names:
        await storage.save_analytics_definitions(conn, app_id, names, now)
    await save_changes(conn, app_id, profiles, now)


def _apply(
    profiles: ProfileSet, facts: Sequence[Fact], counted: set[bytes], now: datetime
) -> list[tuple[int, str]]:
    seen_at = {
        profile.analytics_visitor_id: profile.analytics_visitor_seen_at
        for profile in profiles.profiles.values()
        if profile.analytics_visitor_id is not None
        and profile.analytics_visitor_seen_at is not None
    }
    usable = [_usable_identifiers(fact, profiles.also_blocked) for fact in facts]
    targets = resolve_identifiers(profiles, usable, now)
    skipped: list[tuple[int, str]] = []
    for fact, identifiers, profile in zip(facts, usable, targets, strict=True):
        reason = apply_fact(profile, fact, counted)
        if reason is not None:
            skipped.append((fact.position, reason))
        for name, value in identifiers:
            if name == ANALYTICS_VISITOR_ID:
                seen_at[value] = max(seen_at.get(value, fact.occurred_at), fact.occurred_at)
        see_main_visitor_id(profile, seen_at)
        profile.updated_at = now
        profiles.changed_profile_ids.add(profile.profile_id)
    return skipped


def _without_erased(facts: Sequence[Fact], erased: Remembered, now: datetime) -> list[Fact]:
    """The facts that may be brought into profiles, without visitor IDs that are blocked."""
    if not erased:
        return list(facts)
    kept = []
    for fact in facts:
        identifiers = usable_identifiers(fact.identifiers, erased, now)
        if identifiers and not is_from_before(fact.identifiers, erased, fact.occurred_at):
            kept.append(replace(fact, identifiers=identifiers))
    return kept


def _usable_identifiers(fact: Fact, also_blocked: frozenset[str]) -> tuple[Identifier, ...]:
    usable = tuple(pair for pair in fact.identifiers if not is_blocked(*pair, also_blocked))
    if not usable:
        path = f"/{fact.position}/analytics_visitor_id"
        message = f"{path} is a placeholder; expected the 16 hex digits of a real visitor"
        raise Invalid(message, path=path)
    return usable
