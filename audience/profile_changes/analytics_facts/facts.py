"""What a fact of the analytics system does to a profile.

Pure: standard library only. Source: contract B10-B15; what counts once, and that late facts never
replace newer ones, is this project's.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audience.profiles.actions import LIMIT, normalise_number
from audience.profiles.identifiers import Identifier
from audience.profiles.profile import Facts, Profile, timestamp_text

#: The pseudo goal with the sums of all goals (contract B12).
ALL_GOALS = "all"
MAX_GOALS_PER_PROFILE = 200
#: Money is added up to this many decimals, so that 0.1 and 0.2 make 0.3.
_MONEY_DECIMALS = 6

Number = int | float


@dataclass(frozen=True, slots=True)
class Conversion:
    """One conversion of a goal; event_id None: the visitor and the moment tell it apart."""

    goal_id: str
    revenue: Number
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One order of the shop."""

    order_id: str
    revenue: Number


@dataclass(frozen=True, slots=True)
class Fact:
    """One checked fact. identifiers: strongest first, normal form.

    analytics: {key of ANALYTICS_KEYS: str}, the whole snapshot; {} when the fact brings none.
    """

    position: int
    app_id: str
    identifiers: tuple[Identifier, ...]
    occurred_at: datetime
    analytics: dict[str, str]
    is_visit: bool = False
    conversion: Conversion | None = None
    order: Order | None = None

    def order_key(self) -> bytes | None:
        """What an order is remembered by: a digest of its id."""
        return None if self.order is None else _digest("order", self.order.order_id)

    def conversion_key(self) -> bytes | None:
        """What a conversion is remembered by; the same event may convert several goals."""
        if self.conversion is None:
            return None
        if self.conversion.event_id is not None:
            return _digest("goal event", self.conversion.goal_id, self.conversion.event_id)
        moment = timestamp_text(self.occurred_at)
        return _digest("goal moment", self.conversion.goal_id, *self.identifiers[-1], moment)


def apply_fact(profile: Profile, fact: Fact, counted_keys: set[bytes]) -> str | None:
    """Bring the fact into the profile; why its goal was left out, or None.

    counted_keys: orders and conversions that count now, as nobody has counted them before; the ones
    applied are taken out, so a second fact with the same id adds nothing.
    A fact older than what is known adds to counts and sums, and replaces nothing newer.
    """
    moment = timestamp_text(fact.occurred_at)
    if fact.analytics and (
        profile.analytics_at is None or fact.occurred_at >= profile.analytics_at
    ):
        profile.analytics, profile.analytics_at = dict(fact.analytics), fact.occurred_at
    if fact.is_visit:
        profile.visits = {
            "first_visit": min(profile.visits.get("first_visit", moment), moment),
            "last_visit": max(profile.visits.get("last_visit", moment), moment),
        }
    reason = None
    conversion_key, order_key = fact.conversion_key(), fact.order_key()
    if fact.conversion is not None and conversion_key in counted_keys:
        counted_keys.discard(conversion_key)
        reason = _convert(profile, fact.conversion, moment)
    if fact.order is not None and order_key in counted_keys:
        counted_keys.discard(order_key)
        _order(profile, fact.order, moment)
    return reason


def see_main_visitor_id(profile: Profile, seen_at: dict[str, datetime]) -> None:
    """Make the visitor ID that was seen last the main one (contract A3.7).

    seen_at: {analytics_visitor_id: when it was last seen}; a late fact is no sight of now.
    """
    known = [held for held in profile.analytics_visitor_ids if held in seen_at]
    if known:
        profile.analytics_visitor_id = max(known, key=lambda held: seen_at[held])
        profile.analytics_visitor_seen_at = seen_at[profile.analytics_visitor_id]


def _convert(profile: Profile, conversion: Conversion, moment: str) -> str | None:
    goals = profile.goals
    if conversion.goal_id not in goals and len(goals) > MAX_GOALS_PER_PROFILE:
        return LIMIT
    profile.goals = {
        **goals,
        **{
            goal_id: _counted(
                goals.get(goal_id, {}), "conversion_count", "revenue", conversion.revenue, moment
            )
            for goal_id in (conversion.goal_id, ALL_GOALS)
        },
    }
    _earn(profile, conversion.revenue)
    return None


def _order(profile: Profile, order: Order, moment: str) -> None:
    profile.ecommerce = _counted(
        profile.ecommerce, "number_of_orders", "total_revenue", order.revenue, moment
    )
    _earn(profile, order.revenue)


def _earn(profile: Profile, revenue: Number) -> None:
    total = _add(profile.generic.get("total_revenue", 0), revenue)
    profile.generic = {**profile.generic, "total_revenue": total}


def _counted(facts: Facts, count: str, total: str, revenue: Number, moment: str) -> Facts:
    """The facts with one more conversion; what is `last_` belongs to the latest one."""
    changed: dict[str, Any] = {
        **facts,
        count: facts.get(count, 0) + 1,
        total: _add(facts.get(total, 0), revenue),
    }
    if moment >= facts.get("last_conversion", moment):
        changed["last_conversion"], changed["last_revenue"] = moment, revenue
    return changed


def _add(one: Number, other: Number) -> Number:
    return normalise_number(round(one + other, _MONEY_DECIMALS))


def _digest(*parts: str) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()
