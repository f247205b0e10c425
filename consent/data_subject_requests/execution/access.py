"""An access request: everything about the person, gathered in steps into the parts of an export.

Source: issue "Data subject requests", item 4, access.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson

from audience import public
from consent.data_subject_requests import storage as requests
from consent.data_subject_requests.execution.exports import storage
from consent.data_subject_requests.execution.exports.storage import Export
from consent.data_subject_requests.execution.person import (
    analytics_visitor_ids,
    identifiers_of_person,
    proved_identifiers,
)
from consent.data_subject_requests.execution.person_requests.storage import list_requests_of
from consent.data_subject_requests.execution.step import IDENTIFIERS, Progress, Step, Work
from consent.data_subject_requests.storage import (
    DataSubjectRequest,
    RequestEvent,
    emails_among,
)
from consent.decisions.persons.operations import (
    export_decisions,
    export_texts,
    export_visitor,
    find_consent_visitors,
)

#: How long the export can be downloaded.
DOWNLOADABLE_FOR = timedelta(days=7)
_DECISIONS_AT_ONCE = 200
_VISITORS_AT_ONCE = 50
_TEXTS_AT_ONCE = 50
_REQUESTS_AT_ONCE = 50

#: The sections of an export, in the order in which it shows them.
SECTIONS = ("profiles", "merges", "consents", "decisions", "texts", "requests")


async def find(work: Work) -> Progress:
    """Note whose profiles and consents are to be gathered."""
    identifiers = proved_identifiers(work.request, work.execution.instructions)
    found = await public.find_person_profiles(work.conn, work.app_id, identifiers)
    held = [one for profile in found for one in profile.identifiers]
    visitor_ids = await find_consent_visitors(
        work.conn,
        work.app_id,
        analytics_visitor_ids([*identifiers, *held]),
        [] if work.request.visitor_id is None else [work.request.visitor_id],
    )
    export = Export(work.app_id, work.request.request_id, work.now + DOWNLOADABLE_FOR)
    await storage.save_export(work.conn, export)
    cursor = {
        "profile_ids": [profile.profile_id for profile in found],
        "visitor_ids": visitor_ids,
        "history_ids": [],
        IDENTIFIERS: identifiers_of_person(work.request, [*identifiers, *held]),
    }
    return Progress(is_phase_done=True, cursor=cursor)


async def gather_profiles(work: Work) -> Progress:
    """One profile a step."""
    cursor = work.cursor
    at, ids = cursor.pop("at", 0), cursor["profile_ids"]
    if at >= len(ids):
        return Progress(is_phase_done=True, cursor=cursor)
    document = await public.export_profile(work.conn, work.app_id, ids[at])
    # It may have been deleted meanwhile.
    records = [] if document is None else [document]
    await _save(work, "profiles", at, records)
    return Progress(
        is_phase_done=False, cursor={**cursor, "at": at + 1}, counts={"profiles": len(records)}
    )


async def gather_merges(work: Work) -> Progress:
    """A hundred merges of one profile a step, or fewer large ones."""
    cursor = work.cursor
    at, position = cursor.pop("at", 0), cursor.pop("position", 0)
    after, ids = cursor.pop("after", public.BEFORE_ALL_MERGES), cursor["profile_ids"]
    if at >= len(ids):
        return Progress(is_phase_done=True, cursor=cursor)
    merges = await public.export_merges(work.conn, work.app_id, ids[at], after)
    await _save(work, "merges", position, merges)
    if merges:
        cursor |= {"at": at, "after": merges[-1]["merge_id"], "position": position + 1}
    else:
        cursor |= {"at": at + 1, "position": position}
    return Progress(is_phase_done=False, cursor=cursor, counts={"profile_merges": len(merges)})


async def gather_consents(work: Work) -> Progress:
    """Consent visitors one after the other, until a step has 200 decisions or 50 visitors."""
    cursor = work.cursor
    at, after, position = (cursor.pop(name, 0) for name in ("at", "after", "position"))
    ids, history_ids = cursor["visitor_ids"], set(cursor["history_ids"])
    first = at
    states: list[dict[str, Any]] = []
    decisions: list[dict[str, Any]] = []
    while at < len(ids) and at - first < _VISITORS_AT_ONCE and len(decisions) < _DECISIONS_AT_ONCE:
        if after == 0:
            states.append(await export_visitor(work.conn, work.app_id, ids[at]))
        room = _DECISIONS_AT_ONCE - len(decisions)
        page = await export_decisions(work.conn, work.app_id, ids[at], after, room)
        decisions += page.decisions
        history_ids |= page.history_ids
        at, after = at + (page.after is None), page.after or 0
    await _save(work, "consents", position, states)
    await _save(work, "decisions", position, decisions)
    cursor["history_ids"] = sorted(history_ids)
    counts = {"consent_visitors": len(states), "consent_decisions": len(decisions)}
    if at >= len(ids):
        return Progress(is_phase_done=True, cursor=cursor, counts=counts)
    cursor |= {"at": at, "after": after, "position": position + 1}
    return Progress(is_phase_done=False, cursor=cursor, counts=counts)


async def gather_texts(work: Work) -> Progress:
    """The wording of up to 50 versions of texts that the person saw."""
    cursor = work.cursor
    at, ids = cursor.pop("at", 0), cursor["history_ids"]
    if at >= len(ids):
        return Progress(is_phase_done=True, cursor=cursor)
    texts = await export_texts(work.conn, work.app_id, ids[at : at + _TEXTS_AT_ONCE])
    await _save(work, "texts", at, texts)
    cursor |= {"at": at + _TEXTS_AT_ONCE}
    return Progress(is_phase_done=False, cursor=cursor, counts={"consent_texts": len(texts)})


async def gather_requests(work: Work) -> Progress:
    """Up to 50 requests by the person's e-mails and user IDs, this one among them."""
    cursor = work.cursor
    after, position = cursor.pop("after", None), cursor.pop("position", 0)
    found = await list_requests_of(
        work.conn, work.request, work.identifiers, after, _REQUESTS_AT_ONCE
    )
    records = []
    for one in found:
        events = await requests.list_events(work.conn, one)
        records.append(_record(work, one, events))
    await _save(work, "requests", position, records)
    counts = {"data_subject_requests": len(records)}
    if len(found) < _REQUESTS_AT_ONCE:
        return Progress(is_phase_done=True, cursor=cursor, counts=counts)
    cursor |= {"after": found[-1].request_id, "position": position + 1}
    return Progress(is_phase_done=False, cursor=cursor, counts=counts)


def _record(
    work: Work, found: DataSubjectRequest, events: Sequence[RequestEvent]
) -> dict[str, Any]:
    return {
        "request_id": found.request_id,
        "request_type": found.request_type,
        "status": found.status,
        "channel": found.channel,
        "received_at": found.received_at.isoformat(),
        # Another one may stand beside the person's user ID.
        "email": found.email if found.email in work.emails else None,
        "content": found.content if found.is_verified and _is_surely_theirs(work, found) else None,
        "hostname": found.hostname,
        "history": [
            {"occurred_at": event.occurred_at.isoformat(), "event": event.event} for event in events
        ],
    }


def _is_surely_theirs(work: Work, found: DataSubjectRequest) -> bool:
    """Whether something proved says so: not only a profile that has the e-mail or user ID.

    Who wrote an unverified one is not known either.
    """
    if found.request_id == work.request.request_id:
        return True
    proved = proved_identifiers(work.request, work.execution.instructions)
    theirs = identifiers_of_person(work.request, proved)
    if found.email is not None:
        return found.email in emails_among(theirs)
    return not set(theirs).isdisjoint(found.personal_identifiers)


#: {phase: its step}, in order.
PHASES: dict[str, Step] = {
    "find": find,
    "profiles": gather_profiles,
    "merges": gather_merges,
    "consents": gather_consents,
    "texts": gather_texts,
    "requests": gather_requests,
}


async def _save(work: Work, section: str, position: int, records: list[dict[str, Any]]) -> None:
    if records:
        content = orjson.dumps(records).decode()
        await storage.save_part(
            work.conn, work.app_id, work.request.request_id, section, position, content
        )
