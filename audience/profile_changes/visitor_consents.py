"""What a profile knows of its visitor's consents: for conditions on `consents`.

The consent service keeps the decisions; a profile holds a copy of the newest state of all its
visitor IDs. It comes with each decision, and when a profile gets a visitor ID that decided before.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import NamedTuple

import asyncpg

from audience.profile_changes.consent_gate import Gate
from audience.profiles import storage as profile_storage
from audience.profiles.identifiers import ANALYTICS_VISITOR_ID, Identifier
from audience.profiles.profile_set import ProfileSet


class VisitorConsents(NamedTuple):
    """The whole state of a visitor after a decision.

    consents: {consent type: 1 given, 0 rejected, -1 not interacted} (contract H3).
    """

    consents: Mapping[str, int]
    decided_at: datetime


#: (conn, app_id, analytics_visitor_ids) -> {analytics_visitor_id: its newest state}; one statement.
FindVisitorConsents = Callable[
    [asyncpg.Connection, str, Collection[str]], Awaitable[Mapping[str, VisitorConsents]]
]


class _Source:
    find: FindVisitorConsents | None = None


def use_visitor_consents(find: FindVisitorConsents | None) -> None:
    """Say where decisions of visitors are found; asked when a profile gets new visitor IDs.

    Set once when the process starts, by the package that stores decisions. The function reads in
    the transaction of the write and must not change anything.
    """
    _Source.find = find


async def apply_visitor_consents(
    conn: asyncpg.Connection, app_id: str, profiles: ProfileSet
) -> None:
    """Give profiles with new visitor IDs what these visitors have decided; before saving."""
    if _Source.find is None:
        return
    attached = {
        identifier.identifier_value: owner
        for identifier, owner in profiles.changed_owners.items()
        if owner is not None and identifier.identifier_name == ANALYTICS_VISITOR_ID
    }
    if not attached:
        return
    for visitor_id, state in (await _Source.find(conn, app_id, sorted(attached))).items():
        profile = profiles.profiles.get(attached[visitor_id])
        if profile is not None and _is_newer(profile.consents_at, state.decided_at):
            profile.consents, profile.consents_at = dict(state.consents), state.decided_at
            profiles.changed_profile_ids.add(profile.profile_id)


async def load_gate(
    conn: asyncpg.Connection, app_id: str, gate: Gate, unheld: Collection[Identifier]
) -> None:
    """Tell the gate what visitors have decided; unheld: identifiers that no profile holds yet."""
    visitor_ids = sorted(value for name, value in unheld if name == ANALYTICS_VISITOR_ID)
    if _Source.find is not None and visitor_ids:
        gate.visitors = await _Source.find(conn, app_id, visitor_ids)


async def load_holder(
    conn: asyncpg.Connection, app_id: str, analytics_visitor_id: str, profiles: ProfileSet
) -> None:
    """Load the profile that holds the visitor ID, if there is one."""
    identifier = Identifier(ANALYTICS_VISITOR_ID, analytics_visitor_id)
    profiles.load(await profile_storage.find_profiles(conn, app_id, [identifier]))


def set_consents(
    profiles: ProfileSet, analytics_visitor_id: str, state: VisitorConsents, now: datetime
) -> bool:
    """Put a decision into the visitor's profile; False when there is none or it knows a newer."""
    profile = profiles.owner(Identifier(ANALYTICS_VISITOR_ID, analytics_visitor_id))
    if profile is None or not _is_newer(profile.consents_at, state.decided_at):
        return False
    profile.consents, profile.consents_at = dict(state.consents), state.decided_at
    profile.updated_at = now
    profiles.changed_profile_ids.add(profile.profile_id)
    return True


def _is_newer(known: datetime | None, decided_at: datetime) -> bool:
    return known is None or decided_at >= known
