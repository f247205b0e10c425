"""Working out the members of one audience after its definition changed, part by part.

A part is one transaction under the app's lock, so that no write gets between deciding and storing.
Writes between parts decide by the new definition already; whichever comes last is right, as both
decide from the profile as it is stored. How far the fill has come is stored with the audience.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg
import orjson

from audience.audiences.definition import Definition, parse_definition
from audience.audiences.memberships import storage as membership_storage
from audience.audiences.memberships.audience_set import (
    AudienceRule,
    CompiledAudience,
    compile_audiences,
)
from audience.audiences.memberships.cache import zone_of
from audience.audiences.memberships.decide import (
    Before,
    Change,
    Differences,
    Due,
    evaluate_audiences,
)
from audience.audiences.patterns import compile_pattern
from audience.audiences.population_sql_due import compile_fill
from audience.audiences.references import audience_ids
from audience.audiences.upkeep import storage
from audience.audiences.upkeep.storage import FillState, Part
from audience.profiles.profile import Profile


class _Filled(NamedTuple):
    rule: AudienceRule
    compiled: CompiledAudience
    keeps_stays: bool


async def fill_next_part(
    conn: asyncpg.Connection, app_id: str, audience_id: str, now: datetime, size: int
) -> bool:
    """Work out the members among the next `size` profiles; True when there is nothing left to do.

    conn: with an open transaction that holds the app's lock.  On repeat: goes on where it stopped.
    While an audience that it asks about is being filled, nothing is done: that one comes first.
    A definition that SQL can decide alone takes one statement; other profiles are evaluated here.
    """
    state = await storage.find_fill_state(conn, app_id, audience_id)
    if state is None:
        return True
    filled = _compile(audience_id, state)
    # Whoever chose this audience did so before the lock was had.
    asked = audience_ids(filled.rule.definition)
    if asked and await membership_storage.is_any_filling(conn, app_id, asked):
        return False
    part = Part(app_id, audience_id, state.cursor, size)
    fill = compile_fill(filled.rule, now=now, timezone=zone_of(state.timezone), first_parameter=6)
    if fill is not None and not (filled.keeps_stays and filled.rule.duration is not None):
        done, last = await storage.fill_by_sql(conn, part, fill, now)
    else:
        done, last = await _fill_by_evaluation(conn, part, filled, now)
    is_finished = done < size
    await storage.save_fill_state(conn, part, last, done, is_finished=is_finished)
    return is_finished


def _compile(audience_id: str, state: FillState) -> _Filled:
    definition: Definition = parse_definition(orjson.loads(state.definition), compile_pattern)
    days = state.membership_duration_days
    duration = None if days is None else timedelta(days=days)
    rule = AudienceRule(audience_id, definition, duration)
    (compiled,) = compile_audiences([rule], compile_pattern, zone_of(state.timezone))
    return _Filled(rule, compiled, state.keeps_stays)


async def _fill_by_evaluation(
    conn: asyncpg.Connection, part: Part, filled: _Filled, now: datetime
) -> tuple[int, str | None]:
    profiles = await storage.list_profiles(conn, part)
    if not profiles:
        return 0, None
    ids = [profile.profile_id for profile in profiles]
    stored = await membership_storage.get_before(conn, part.app_id, ids)
    differences = Differences()
    for profile in profiles:
        _evaluate(profile, stored[profile.profile_id], filled, now, differences)
    await membership_storage.save_memberships(conn, {part.app_id: differences}, now)
    return len(profiles), ids[-1]


def _evaluate(
    profile: Profile, before: Before, filled: _Filled, now: datetime, differences: Differences
) -> None:
    if not filled.keeps_stays:
        before.forgotten = frozenset([filled.compiled.audience_id])
    change = Change(profile, before, now, differences)
    changes_at = evaluate_audiences([filled.compiled], change)
    if changes_at is not None and (before.changes_at is None or changes_at < before.changes_at):
        differences.due.append(Due(profile.profile_id, changes_at))
