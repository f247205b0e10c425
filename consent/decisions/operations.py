"""Collecting: what a batch of requests does, in order: read, decide, write, tell the profiles."""

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import asyncpg

from audience import public
from audience.errors import DomainError, Forbidden
from audience.uuid_text import UUID_PATTERN
from consent.decisions import storage
from consent.decisions.app_batch import KEY_BYTES, AppBatch, Collect, random_keys
from consent.decisions.chain import beginning
from consent.decisions.collected import ConsentChange
from consent.decisions.counting import day_of
from consent.decisions.decide import VisitorState
from consent.decisions.known import Known, parsed_settings, zone_of
from consent.decisions.saving.storage import Batch, save_batch
from consent.decisions.storage import Loaded, Wanted

CollectResult = DomainError | None


@dataclass(slots=True)
class Counts:
    """What a batch did, for metrics."""

    decisions: int = 0
    repetitions: int = 0


async def collect_batch(
    conn: asyncpg.Connection,
    items: Sequence[Collect],
    known: Known,
    now: Callable[[], datetime],
    counts: Counts,
) -> list[CollectResult]:
    """Apply the requests in order; per request None, or why it was refused.

    The caller holds the locks of `lock_keys` and no transaction is open. now is asked after they
    are held, so that received_at follows the order of the chain. Errors of the database are the
    caller's: nothing is applied.
    """
    loaded = await _load(conn, items, known)
    met = [known.meet(app_id, app.created_at) for app_id, app in loaded.apps.items()]
    if not all(met):
        loaded = await _load(conn, items, known)
    known.remember(loaded.history_ids, loaded.hostnames)
    moment, new_keys = now(), random_keys(len(items))
    batch = Batch(
        is_one_app=len(loaded.apps) == 1,
        has_erased=any(app.has_erased for app in loaded.apps.values()),
    )
    apps = {
        app_id: await _app_batch(conn, app_id, loaded, known, moment, batch, new_keys)
        for app_id in loaded.apps
    }
    results = [
        apps[item.collected.app_id].apply(item)
        if item.collected.app_id in apps
        else Forbidden("Forbidden: websiteId names no app of this service", path="websiteId")
        for item in items
    ]
    await _save(conn, batch, apps.values(), loaded, moment)
    known.remember(set(), batch.hostnames)
    counts.decisions = len(batch.links)
    counts.repetitions = sum(app.repetitions for app in apps.values())
    return results


def lock_keys(items: Sequence[Collect]) -> list[int]:
    """The advisory locks that a batch needs, in the order in which everybody takes them.

    The apps' consent locks, then the locks of profiles of the apps in which somebody decides: any
    visitor may be tied to one by an earlier decision.
    """
    consents, profiles = set(), set()
    for item in items:
        consent_key, profile_key = _app_keys(item.collected.app_id)
        consents.add(consent_key)
        if isinstance(item.collected, ConsentChange):
            profiles.add(profile_key)
    return [*sorted(consents), *sorted(profiles)]


@lru_cache(maxsize=10_000)
def _app_keys(app_id: str) -> tuple[int, int]:
    return storage.consent_lock_key(app_id), public.app_lock_key(app_id)


async def find_visitor_consents(
    conn: asyncpg.Connection, app_id: str, analytics_visitor_ids: Collection[str]
) -> dict[str, public.VisitorConsents]:
    """{analytics visitor id: the newest state of the consent visitors tied to it}.

    The audience manager asks when a profile gets visitor IDs (`public.use_visitor_consents`): so a
    decision that came before the profile is known there from the profile's first write on.
    """
    found = await storage.find_states_by_analytics_id(conn, app_id, analytics_visitor_ids)
    return {
        visitor_id: public.VisitorConsents(
            {name: one.status for name, one in types.items()}, decided_at
        )
        for visitor_id, (types, decided_at) in found.items()
    }


async def _load(conn: asyncpg.Connection, items: Sequence[Collect], known: Known) -> Loaded:
    wanted = Wanted()
    shown: dict[str, set[str | None]] = {}
    for item in items:
        collected = item.collected
        app_id = collected.app_id
        wanted.app_ids.add(app_id)
        if collected.hostname and not known.has_hostname(app_id, collected.hostname):
            wanted.hostnames_of.add(app_id)
        if collected.visitor_id is not None:
            wanted.visitors.add((app_id, collected.visitor_id))
        if not isinstance(collected, ConsentChange):
            continue
        if collected.decision_id is not None:
            wanted.decision_ids.add((app_id, collected.decision_id))
        if collected.analytics_visitor_id is not None:
            wanted.analytics_ids.add((app_id, collected.analytics_visitor_id))
        shown.setdefault(app_id, set()).update(collected.history_ids())
    wanted.history_ids = {
        (app_id, history_id.lower())
        for app_id, history_ids in shown.items()
        for history_id in history_ids
        # Those that can be ids of ours.
        if history_id is not None and UUID_PATTERN.fullmatch(history_id)
    } - known.history_ids
    return await storage.load_batch(conn, wanted)


async def _app_batch(
    conn: asyncpg.Connection,
    app_id: str,
    loaded: Loaded,
    known: Known,
    moment: datetime,
    batch: Batch,
    new_keys: Iterator[bytes],
) -> AppBatch:
    app = loaded.apps[app_id]
    zone = zone_of(app.timezone)
    day = day_of(moment, zone)
    if (app_id, day) not in known.day_keys:
        key = await storage.ensure_day_key(conn, app_id, day, secrets.token_bytes(KEY_BYTES))
        known.remember_day_key(app_id, day, key)
    return AppBatch(
        app_id,
        parsed_settings(app_id, app.app_settings, app.settings, app.gate_consent_type),
        zone,
        day_key=known.day_keys[app_id, day],
        last_sequence=app.last_sequence,
        last_hash=app.last_hash or beginning(app_id),
        visitors=loaded.visitors,
        decision_ids=loaded.decision_ids,
        history_ids=known.history_ids,
        hostnames=known.hostnames(app_id),
        now=moment,
        batch=batch,
        new_keys=new_keys,
    )


async def _save(
    conn: asyncpg.Connection,
    batch: Batch,
    apps: Collection[AppBatch],
    loaded: Loaded,
    moment: datetime,
) -> None:
    """Write the batch; with the profiles of its visitors in one transaction, where there are any.

    A visitor without a profile needs none: the profile asks when it appears, and while the locks
    are held none does.
    """
    if batch.is_empty():
        return
    held = loaded.held_visitor_ids
    states = {
        app.app_id: {
            visitor_id: _visitor_consents(state, moment)
            for visitor_id, state in app.tied.items()
            if (app.app_id, visitor_id) in held
        }
        for app in apps
    }
    states = {app_id: found for app_id, found in states.items() if found}
    if not states:
        await save_batch(conn, batch, moment)
        return
    async with conn.transaction():
        await save_batch(conn, batch, moment)
        await public.set_consents_of_visitors(conn, states, moment)
        for app in apps:
            if app.withdrawn:
                moments = {one: app.decided_at(one) for one in app.withdrawn}
                await public.erase_collected(conn, app.app_id, moments, moment)


def _visitor_consents(visitor: VisitorState, moment: datetime) -> public.VisitorConsents:
    return public.VisitorConsents(
        {name: one.status for name, one in visitor.types.items()},
        visitor.last_decided_at or moment,
    )
