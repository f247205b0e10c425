"""A rectification request: chosen attributes and identifiers get their right values.

The audit log says what was changed, old and new value only as hashes, keyed with the execution's
own key: who has the log alone can read nothing, and after an erasure nobody can.
Source: issue "Data subject requests", item 4, rectification.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import NotFound
from audience.public import AttributeChange, Identifier, IdentifierChange, PersonProfile
from audience.server import clock
from consent.data_subject_requests.execution.person import proved_identifiers
from consent.data_subject_requests.execution.step import Progress, Step, Work
from consent.data_subject_requests.storage import DataSubjectRequest


async def rectify(work: Work) -> Progress:
    """All corrections, in one step: there are at most 200.

    On repeat: nothing is changed any more.
    Errors: those of `rectify_profile`; NotFound without a profile.
    """
    corrected = await _correct(work.conn, work.request, work.execution.instructions)
    if not corrected:
        message = "there is no profile of this person to correct"
        raise NotFound(message, code="no_profile")
    for profile_id, done in corrected.items():
        if done:
            await _record(work, profile_id, done)
    return Progress(is_phase_done=True, cursor={}, counts=_count(corrected))


async def count_corrections(
    conn: AsyncConnection, request: DataSubjectRequest, instructions: Mapping[str, Any]
) -> dict[str, int]:
    """What `rectify` would count, nothing without a profile; changes nothing.

    The corrections are made and taken back.  Errors: those of `rectify_profile`.
    """
    if not (instructions["attributes"] or instructions["identifiers"]):
        return _count({})
    savepoint = await conn.begin_nested()
    try:
        return _count(await _correct(conn, request, instructions))
    finally:
        await savepoint.rollback()


async def _correct(
    conn: AsyncConnection, request: DataSubjectRequest, instructions: Mapping[str, Any]
) -> dict[str, list[public.Rectified]]:
    """{id of each of the person's profiles: what was changed in it}.

    Attributes are corrected in every profile of the person; an identifier in the one that has its
    old value, or the first one.
    """
    await public.lock_profiles(conn, request.app_id)
    identifiers = proved_identifiers(request, instructions)
    profiles = await public.find_person_profiles(conn, request.app_id, identifiers)
    attributes = [AttributeChange(one["name"], one["value"]) for one in instructions["attributes"]]
    changes = [_identifier_change(one) for one in instructions["identifiers"]]
    corrected = {}
    # Under the lock: values and their write times follow each other.
    now = clock.now()
    for position, profile in enumerate(profiles):
        own = [one for one in changes if _is_for(one, profile, profiles, is_first=position == 0)]
        corrected[profile.profile_id] = await public.rectify_profile(
            conn, request.app_id, profile.profile_id, attributes, own, now
        )
    return corrected


def _count(corrected: Mapping[str, Sequence[public.Rectified]]) -> dict[str, int]:
    changes = [one for done in corrected.values() for one in done]
    attributes = sum(one.field.startswith("attributes.") for one in changes)
    return {
        "profiles": sum(bool(done) for done in corrected.values()),
        "attributes": attributes,
        "profile_identifiers": len(changes) - attributes,
    }


async def _record(work: Work, profile_id: str, done: Sequence[public.Rectified]) -> None:
    key = work.execution.hash_key
    details = {
        "request_id": work.request.request_id,
        "changes": [
            {"field": one.field, "old": hash_value(key, one.old), "new": hash_value(key, one.new)}
            for one in done
        ],
    }
    await public.record_audit_entry(
        work.conn,
        caller_of_execution(work.execution.started_by),
        "rectify_profile",
        now=work.now,
        app_id=work.app_id,
        target_type="profile",
        target_id=profile_id,
        details=details,
    )


def hash_value(key: bytes, value: str | None) -> str | None:
    """The value as the audit log shows it: HMAC-SHA256 in hex; None for no value."""
    if value is None:
        return None
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()


def caller_of_execution(started_by: Mapping[str, Any]) -> public.Caller:
    """Who had the request executed."""
    return public.Caller(
        started_by["credential_id"],
        started_by["name"],
        started_by["organization_id"],
        started_by["organization"],
        frozenset(),
    )


def _identifier_change(given: Mapping[str, Any]) -> IdentifierChange:
    name = given["identifier_name"]
    return IdentifierChange(
        name, _normal(name, given["old_value"]), _normal(name, given["new_value"])
    )


def _normal(name: str, value: str | None) -> str | None:
    identifier = public.parse_identifier(name, value) if value else None
    return None if identifier is None else identifier.identifier_value


def _is_for(
    change: IdentifierChange,
    profile: PersonProfile,
    profiles: Sequence[PersonProfile],
    *,
    is_first: bool,
) -> bool:
    if change.old is None:
        return is_first
    old = Identifier(change.identifier_name, change.old)
    holders = [one.profile_id for one in profiles if old in one.identifiers]
    return profile.profile_id in holders if holders else is_first


#: {phase: its step}, in order.
PHASES: dict[str, Step] = {"rectify": rectify}
