"""What the document of two merged profiles holds.

Pure: standard library only. Source: contract A3.6, decision 4.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from audience.profiles.profile import Facts, Profile


def merge_profiles(survivor: Profile, absorbed: Profile) -> Profile:
    """The document of both profiles; keeps the survivor's id, changes neither input.

    attributes: per name the value with the newest write time, an empty one never wins over a value;
    lists united; forms: newest per id; analytics and consents: newest state; goals, ecommerce and
    revenue are sums; the first visit is the earliest, the last the latest.  Source: contract A3.6,
    decision 4.
    """
    attributes, written_at = merge_attributes(survivor, absorbed)
    newer = absorbed if _seen_later(absorbed, survivor) else survivor
    newest_facts = absorbed if _later(absorbed.analytics_at, survivor.analytics_at) else survivor
    decided = absorbed if _later(absorbed.consents_at, survivor.consents_at) else survivor
    return Profile(
        profile_id=survivor.profile_id,
        created_at=min(survivor.created_at, absorbed.created_at),
        updated_at=max(survivor.updated_at, absorbed.updated_at),
        user_id=survivor.user_id if survivor.user_id is not None else absorbed.user_id,
        email=survivor.email if survivor.email is not None else absorbed.email,
        email_as_given=survivor.email_as_given
        if survivor.email is not None
        else absorbed.email_as_given,
        device_ids=_union(survivor.device_ids, absorbed.device_ids),
        analytics_visitor_ids=_union(
            survivor.analytics_visitor_ids, absorbed.analytics_visitor_ids
        ),
        analytics_visitor_id=newer.analytics_visitor_id,
        analytics_visitor_seen_at=newer.analytics_visitor_seen_at,
        attributes=attributes,
        attribute_written_at=written_at,
        forms=_newest_forms(survivor.forms, absorbed.forms),
        analytics=newest_facts.analytics,
        analytics_at=newest_facts.analytics_at,
        visits=_merge_visits(survivor.visits, absorbed.visits),
        goals={
            goal_id: _sum_facts(survivor.goals.get(goal_id, {}), absorbed.goals.get(goal_id, {}))
            for goal_id in {**survivor.goals, **absorbed.goals}
        },
        ecommerce=_sum_facts(survivor.ecommerce, absorbed.ecommerce),
        generic=_sum_facts(survivor.generic, absorbed.generic),
        consents=decided.consents,
        consents_at=decided.consents_at,
        stored_bytes=survivor.stored_bytes + absorbed.stored_bytes,
    )


def merge_attributes(one: Profile, other: Profile) -> tuple[dict[str, Any], dict[str, int]]:
    """Attributes and write times of both; the same whichever of the two comes first."""
    attributes = dict(one.attributes)
    written_at = dict(one.attribute_written_at)
    for name, value in other.attributes.items():
        written = other.attribute_written_at.get(name, 0)
        if name not in attributes or _rank(value, written) > _rank(
            attributes[name], written_at.get(name, 0)
        ):
            attributes[name] = value
            written_at[name] = written
    return attributes, written_at


def _rank(value: Any, written: int) -> tuple[bool, int, str]:
    """Order of attribute values: empty ones last, then by time; the text only breaks ties."""
    return (value not in (None, "", []), written, json.dumps(value, ensure_ascii=True))


def _union(first: Sequence[str], second: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))


def _seen_later(one: Profile, other: Profile) -> bool:
    if one.analytics_visitor_id is None:
        return False
    if other.analytics_visitor_id is None or other.analytics_visitor_seen_at is None:
        return True
    return (
        one.analytics_visitor_seen_at is not None
        and one.analytics_visitor_seen_at > other.analytics_visitor_seen_at
    )


def _later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and (other is None or one > other)


def _newest_forms(one: dict[str, Facts], other: dict[str, Facts]) -> dict[str, Facts]:
    forms = dict(one)
    for form_id, facts in other.items():
        if form_id not in forms or facts["timestamp"] > forms[form_id]["timestamp"]:
            forms[form_id] = facts
    return forms


def _merge_visits(one: Facts, other: Facts) -> Facts:
    visits = {**one, **other}
    for name, choose in (("first_visit", min), ("last_visit", max)):
        moments = [facts[name] for facts in (one, other) if name in facts]
        if moments:
            visits[name] = choose(moments)
    return visits


def _sum_facts(one: Facts, other: Facts) -> Facts:
    """Sums of counts and revenues; `last_*` members come from the later conversion."""
    later = other if other.get("last_conversion", "") > one.get("last_conversion", "") else one
    total: Facts = {}
    for name in {**one, **other}:
        if name.startswith("last_"):
            total[name] = later.get(name, one.get(name, other.get(name)))
        else:
            total[name] = one.get(name, 0) + other.get(name, 0)
    return total
