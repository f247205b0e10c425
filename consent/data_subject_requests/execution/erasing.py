"""An erasure request: everything of the person goes, in steps; history stays as proof of nobody.

Profiles go first, in one transaction under the app's locks; what follows is what nobody can reach
any more, and the person's requests at last. Source: issue "Data subject requests", item 4, erasure.
"""

import asyncio
from collections import Counter

from audience import public
from audience.server import clock
from consent.data_subject_requests import lifecycle
from consent.data_subject_requests.execution.exports import storage as exports
from consent.data_subject_requests.execution.person import (
    analytics_visitor_ids,
    identifiers_of_person,
    proved_identifiers,
)
from consent.data_subject_requests.execution.person_requests import storage
from consent.data_subject_requests.execution.step import IDENTIFIERS, Progress, Step, Work
from consent.data_subject_requests.execution.storage import delete_unfinished
from consent.data_subject_requests.mails.outbox import remove_mails_of
from consent.data_subject_requests.operations import SYSTEM, move_request
from consent.data_subject_requests.storage import DataSubjectRequest, lock_person
from consent.data_subject_requests.upkeep.storage import erase_personal_content
from consent.decisions.persons.operations import (
    erase_visitors,
    find_consent_visitors,
    lock_consents,
)

_VISITORS_AT_ONCE = 1_000
_PARTS_AT_ONCE = 500
_REQUESTS_AT_ONCE = 20


async def erase_person(work: Work) -> Progress:
    """The person's profiles, whole; and whose consents are to be made anonymous.

    On repeat: profiles that were made since are erased too.
    """
    identifiers = proved_identifiers(work.request, work.execution.instructions)
    # Locks in the order of everybody who needs both.
    await lock_consents(work.conn, work.app_id)
    await public.lock_profiles(work.conn, work.app_id)
    found = await public.find_person_profiles(work.conn, work.app_id, identifiers)
    held = [one for profile in found for one in profile.identifiers]
    # Who has decided nothing is known to no table but as a visitor of the day.
    own = [] if work.request.visitor_id is None else [work.request.visitor_id]
    analytics_ids = sorted(analytics_visitor_ids([*identifiers, *held]))
    visitor_ids = await find_consent_visitors(work.conn, work.app_id, analytics_ids, own)
    cursor = {
        "visitor_ids": sorted({*visitor_ids, *own}),
        "analytics_ids": analytics_ids,
        IDENTIFIERS: identifiers_of_person(work.request, [*identifiers, *held]),
    }
    # Under the locks: what was taken in while they were waited for is from before the erasure.
    now = clock.now()
    counts = await public.erase_person(work.conn, work.app_id, identifiers, now)
    return Progress(is_phase_done=True, cursor=cursor, counts=counts)


async def erase_consents(work: Work) -> Progress:
    """Keys and current states of up to 1,000 consent visitors; their decisions become anonymous."""
    left = work.cursor["visitor_ids"]
    analytics_ids = work.cursor.get("analytics_ids", [])
    if not left:
        # No more than so many are found at once; those found are not there any more.
        left = await find_consent_visitors(work.conn, work.app_id, analytics_ids, [])
    if not left:
        return Progress(is_phase_done=True, cursor={})
    now_gone, later = left[:_VISITORS_AT_ONCE], left[_VISITORS_AT_ONCE:]
    counts = await erase_visitors(work.conn, work.app_id, now_gone)
    cursor = {"visitor_ids": later, "analytics_ids": analytics_ids}
    return Progress(is_phase_done=False, cursor=cursor, counts=counts)


async def erase_merges(work: Work) -> Progress:
    """Up to 1,000 rows of the merge ledger."""
    # Counted with the profiles: the audience manager's own job may be quicker.
    _, is_more = await public.erase_some_merges(work.conn, work.app_id)
    return Progress(is_phase_done=not is_more, cursor={})


async def erase_import_rows(work: Work) -> Progress:
    """Rows of files that are not applied yet, a thousand looked at in a step."""
    import_id, chunk_number = work.cursor.get("after", public.IMPORTS_BEGINNING)
    after = (str(import_id), int(chunk_number))
    following, removed = await public.erase_from_imports(work.conn, work.app_id, after)
    return Progress(
        is_phase_done=following is None,
        cursor={} if following is None else {"after": list(following)},
        counts={"profile_import_rows": removed},
    )


async def erase_exports(work: Work) -> Progress:
    """Access exports of the person: up to 500 parts of one, which nobody goes on making."""
    after = work.cursor.get("after")
    found = await storage.list_requests_of(work.conn, work.request, work.identifiers, after, 1)
    if not found:
        return Progress(is_phase_done=True, cursor={})
    (request,) = found
    if request.request_id != work.request.request_id:
        await delete_unfinished(work.conn, work.app_id, request.request_id)
    # What is left of it between two steps must not be taken for the whole.
    await exports.expire_export(work.conn, work.app_id, request.request_id, work.now)
    deleted = await exports.delete_some(work.conn, work.app_id, request.request_id, _PARTS_AT_ONCE)
    cursor = {} if after is None else {"after": after}
    if not deleted:
        cursor = {"after": request.request_id}
    return Progress(is_phase_done=False, cursor=cursor, counts=deleted)


async def erase_requests(work: Work) -> Progress:
    """Personal content of up to 20 of the person's other requests; open ones are cancelled."""
    after, identifiers = work.cursor.get("after"), work.identifiers
    # As everybody who locks several requests of a person.
    await lock_person(work.conn, work.app_id, identifiers)
    found = await storage.list_requests_of(
        work.conn, work.request, identifiers, after, _REQUESTS_AT_ONCE
    )
    counts: Counter[str] = Counter()
    for one in found:
        if one.request_id != work.request.request_id:
            counts.update(await _erase_request(work, one))
    if len(found) < _REQUESTS_AT_ONCE:
        return Progress(is_phase_done=True, cursor={}, counts=counts)
    return Progress(is_phase_done=False, cursor={"after": found[-1].request_id}, counts=counts)


async def erase_content(
    work: Work, request: DataSubjectRequest
) -> tuple[DataSubjectRequest, dict[str, int]]:
    """The locked request without its personal content, stored so; {table: rows erased}.

    Its mails in the outbox go too.
    """
    counts = Counter(await erase_personal_content(work.conn, request, work.now))
    counts.update(await storage.delete_mails_to(work.conn, work.app_id, work.emails))
    await storage.empty_execution(work.conn, request)
    # After their rows: who is writing one now will find its row gone, and take the file back.
    await asyncio.to_thread(remove_mails_of, work.outbox, [request.request_id])
    counts["data_subject_requests"] += 1
    erased = await storage.lock_request(work.conn, request.app_id, request.request_id)
    return erased or request, dict(counts)


async def _erase_request(work: Work, found: DataSubjectRequest) -> dict[str, int]:
    request = await storage.lock_request(work.conn, found.app_id, found.request_id)
    if request is None:
        return {}
    counts: Counter[str] = Counter()
    # It may have been executed anew since its export went; nobody begins while its row is locked.
    await delete_unfinished(work.conn, request.app_id, request.request_id)
    while deleted := await exports.delete_some(
        work.conn, request.app_id, request.request_id, _PARTS_AT_ONCE
    ):
        counts.update(deleted)
    request, erased = await erase_content(work, request)
    counts.update(erased)
    if lifecycle.CANCELLED in lifecycle.MOVES[request.status]:
        await move_request(work.conn, request, lifecycle.CANCELLED, actor=SYSTEM, now=work.now)
    return counts


#: {phase: its step}, in order.
PHASES: dict[str, Step] = {
    "person": erase_person,
    "consents": erase_consents,
    "merges": erase_merges,
    "imports": erase_import_rows,
    "exports": erase_exports,
    "requests": erase_requests,
}
