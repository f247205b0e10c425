"""Executing requests: preview, start, one step after the other, the receipt.

What there is to do is in the execution's row; each step is one transaction, so that a process may
die in the middle of any and another one goes on. Source: issue "Data subject requests", item 4.
"""

import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import Conflict, Invalid
from audience.server import clock
from consent.data_subject_requests import lifecycle
from consent.data_subject_requests.execution import access, erasing, rectifying, storage
from consent.data_subject_requests.execution.composers import OUTCOME_PURPOSES
from consent.data_subject_requests.execution.exports import storage as exports
from consent.data_subject_requests.execution.exports.storage import Export
from consent.data_subject_requests.execution.person import (
    analytics_visitor_ids,
    identifiers_of_person,
    proved_identifiers,
)
from consent.data_subject_requests.execution.person_requests import storage as person_requests
from consent.data_subject_requests.execution.step import EMAILS, FINISH, IDENTIFIERS, Step, Work
from consent.data_subject_requests.execution.storage import Execution
from consent.data_subject_requests.lifecycle import CHANGE_DATA, DELETE_DATA, VIEW_DATA
from consent.data_subject_requests.mails.operations import queue_mail
from consent.data_subject_requests.operations import SYSTEM, move_request, note_event
from consent.data_subject_requests.storage import DataSubjectRequest
from consent.decisions.persons.operations import count_consents, find_consent_visitors

#: `typ` in the header of a receipt.
RECEIPT_KIND = "privacy-receipt+jwt"
_KEY_BYTES = 32
_PHASES: dict[str, dict[str, Step]] = {
    VIEW_DATA: access.PHASES,
    CHANGE_DATA: rectifying.PHASES,
    DELETE_DATA: erasing.PHASES,
}
_NO_INSTRUCTIONS: dict[str, Any] = {
    "confirmed_identifiers": [],
    "attributes": [],
    "identifiers": [],
}


async def preview_request(
    conn: AsyncConnection,
    request: DataSubjectRequest,
    _now: datetime,
    instructions: Mapping[str, Any] | None = None,
) -> dict[str, int]:
    """{table: rows that executing the request would touch}; changes nothing.

    Only what the proved identifiers lead to, so before verification nothing but the requests.
    Errors: those of a correction that is not possible.
    """
    wanted = {**_NO_INSTRUCTIONS, **(instructions or {})}
    if request.request_type == CHANGE_DATA:
        return await rectifying.count_corrections(conn, request, wanted)
    identifiers = proved_identifiers(request, wanted)
    counts = await public.count_person_rows(conn, request.app_id, identifiers)
    found = await public.find_person_profiles(conn, request.app_id, identifiers)
    held = [one for profile in found for one in profile.identifiers]
    visitor_ids: list[str] = []
    if request.is_verified:
        visitor_ids = await find_consent_visitors(
            conn,
            request.app_id,
            analytics_visitor_ids([*identifiers, *held]),
            [] if request.visitor_id is None else [request.visitor_id],
        )
    counts |= await count_consents(conn, request.app_id, visitor_ids)
    theirs = identifiers_of_person(request, [*identifiers, *held])
    return counts | await person_requests.count_requests_of(conn, request, theirs)


async def start_execution(
    conn: AsyncConnection,
    request: DataSubjectRequest,
    caller: public.Caller,
    now: datetime,
    instructions: Mapping[str, Any] | None = None,
) -> None:
    """Have a job do what the request asks for; it is in progress from now on.

    The request's row must be locked.  instructions: as `schemas.ExecutionInstructions` loads them.
    Errors: Conflict when it is executed already, leads to another request, or is not verified;
    Invalid for a rectification that names nothing to change, or corrections of another type.
    """
    wanted = {**_NO_INSTRUCTIONS, **(instructions or {})}
    _check(request, wanted)
    request = await move_request(conn, request, lifecycle.IN_PROGRESS, actor=caller.name, now=now)
    execution = Execution(
        request.app_id,
        request.request_id,
        next(iter(_PHASES[request.request_type])),
        secrets.token_bytes(_KEY_BYTES),
        started_at=now,
        next_step_at=now,
        instructions=wanted,
        started_by={
            "credential_id": caller.credential_id,
            "name": caller.name,
            "organization_id": caller.organization_id,
            "organization": caller.organization,
        },
    )
    if not await storage.insert_execution(conn, execution):
        message = "the request is being executed already"
        raise Conflict(message, code="already_executed")
    await note_event(conn, request, "execution_started", actor=caller.name, now=now)


async def take_step(work: Work) -> Execution:
    """Do one bounded step of the locked execution; the execution as it is stored now.

    The caller opens the transaction: either all of a step counts or none.
    """
    phases = _PHASES[work.request.request_type]
    execution = work.execution
    if execution.phase == FINISH:
        execution = await _finish(work)
    else:
        progress = await phases[execution.phase](work)
        names = [*phases, FINISH]
        following = names[names.index(execution.phase) + progress.is_phase_done]
        execution = replace(
            execution,
            phase=following,
            cursor={**_kept(execution.cursor), **progress.cursor},
            counts={**execution.counts, **_added(execution.counts, progress.counts)},
            next_step_at=work.now,
            try_count=0,
        )
    await storage.save_execution(work.conn, execution)
    return execution


async def receipt(conn: AsyncConnection, request: DataSubjectRequest) -> str:
    """The signed receipt as compact JWS: what was done, in counts; nothing of the person.

    Verifiable with /auth/jwks.json by whoever gets it.  Errors: Conflict before it is resolved.
    """
    execution = await storage.find_execution(conn, request.app_id, request.request_id)
    if execution is None or execution.completed_at is None:
        message = "there is a receipt once the request has been executed"
        raise Conflict(message, code="not_executed")
    claims = {
        "jti": request.request_id,
        "iat": int(execution.completed_at.timestamp()),
        "request_id": request.request_id,
        "request_type": request.request_type,
        "website_id": request.app_id,
        "received_at": _text(request.received_at),
        "completed_at": _text(execution.completed_at),
        "counts": dict(execution.counts),
    }
    return await public.sign(conn, claims, clock.now(), kind=RECEIPT_KIND)


async def _finish(work: Work) -> Execution:
    """Resolve the request and tell the requester; an erasure takes the request's content along."""
    request = await person_requests.lock_request(work.conn, work.app_id, work.request.request_id)
    if request is None:
        request = work.request
    counts = Counter(work.execution.counts)
    recipient, request_type = request.email, request.request_type
    if request_type == VIEW_DATA:
        expires_at = work.now + access.DOWNLOADABLE_FOR
        await exports.save_export(work.conn, Export(work.app_id, request.request_id, expires_at))
    if request_type == DELETE_DATA:
        request, erased = await erasing.erase_content(work, request)
        counts.update(erased)
    await move_request(work.conn, request, lifecycle.RESOLVED, actor=SYSTEM, now=work.now)
    if recipient is not None and not work.execution.instructions.get("is_silent"):
        await queue_mail(
            work.conn,
            app_id=work.app_id,
            request_id=request.request_id,
            purpose=OUTCOME_PURPOSES[request_type],
            recipient=recipient,
            language=request.language,
            now=work.now,
        )
    is_key_kept = request_type == CHANGE_DATA
    return replace(
        work.execution,
        cursor={},
        instructions={},
        hash_key=work.execution.hash_key if is_key_kept else b"",
        counts={name: count for name, count in sorted(counts.items()) if count},
        completed_at=work.now,
    )


def _check(request: DataSubjectRequest, wanted: Mapping[str, Any]) -> None:
    if not request.is_verified:
        message = "a request can't be executed before the requester's identity is verified"
        raise Conflict(message, code="not_verified", path="status")
    if request.status == lifecycle.DUPLICATE:
        message = "the request is a duplicate: execute the one that leads"
        raise Conflict(message, code="duplicate", path="status")
    if not proved_identifiers(request, wanted) and request.visitor_id is None:
        message = "nothing proves whose data it is: confirm identifiers that the team has checked"
        raise Conflict(message, code="no_identifier", path="confirmed_identifiers")
    corrections = [*wanted["attributes"], *wanted["identifiers"]]
    if request.request_type == CHANGE_DATA and not corrections:
        message = "attributes or identifiers must name what to change"
        raise Invalid(message, path="attributes")
    if request.request_type != CHANGE_DATA and corrections:
        message = f"attributes and identifiers are for change_data, not for {request.request_type}"
        raise Invalid(message, path="attributes")


def _kept(cursor: Mapping[str, Any]) -> dict[str, Any]:
    return {name: cursor[name] for name in (IDENTIFIERS, EMAILS) if name in cursor}


def _added(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {name: counts.get(name, 0) + count for name, count in more.items()}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
