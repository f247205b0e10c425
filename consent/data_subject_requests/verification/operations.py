"""Proving who a requester is: by mail, or by hand.

Locks are taken in one order: the person, the request, its proof.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import Conflict, Invalid
from audience.server.settings import Settings
from consent.data_subject_requests import lifecycle
from consent.data_subject_requests import storage as requests
from consent.data_subject_requests.mails.operations import Letter, queue_mail
from consent.data_subject_requests.mails.storage import Mail
from consent.data_subject_requests.operations import REQUESTER, SYSTEM, note_event
from consent.data_subject_requests.storage import DataSubjectRequest
from consent.data_subject_requests.texts import day, text
from consent.data_subject_requests.verification import storage
from consent.data_subject_requests.verification.proof import (
    EXPIRED,
    LOCKED,
    MAX_MAILS,
    UNKNOWN,
    VALID_MINUTES,
    VERIFIED,
    WRONG_CODE,
    Proof,
    hash_link,
    new_proof,
    new_secrets,
    state_of,
    try_code,
)

#: Purpose of the mail with link and code.
VERIFICATION = "verification"
SENT, TOO_MANY = "sent", "too_many"
BY_MAIL, BY_HAND, BY_CONTROLLER = "mail", "hand", "opendsr"


async def ask_for_proof(conn: AsyncConnection, request: DataSubjectRequest, now: datetime) -> None:
    """Have link and code sent to the requester's e-mail.

    Errors: Conflict without an e-mail and for a request that is closed.
    """
    _check_provable(request)
    if request.email is None:
        message = "the request has no e-mail to send a link to; verify it by hand, with a reason"
        raise Conflict(message, code="no_email")
    await queue_mail(
        conn,
        app_id=request.app_id,
        request_id=request.request_id,
        purpose=VERIFICATION,
        recipient=request.email,
        language=request.language,
        now=now,
    )


async def compose_verification(
    conn: AsyncConnection, mail: Mail, settings: Settings, now: datetime
) -> Letter | None:
    """The letter with a fresh link and code; None when the request needs no proof any more.

    It needs none once it is proved, closed or without its content.
    """
    if mail.request_id is None:
        return None
    request = await requests.find_request(conn, mail.request_id, for_update=True)
    if request is None or request.is_verified or not _awaits_proof(request):
        return None
    last = await storage.find_proof_of_request(conn, request.app_id, request.request_id)
    # Trying the same mail again is not another mail.
    is_retry = last is not None and mail.try_count > 0
    count = 1 if last is None else last.mail_count + (0 if is_retry else 1)
    made = new_secrets()
    await storage.save_proof(
        conn, new_proof(request.app_id, request.request_id, made, now, mail_count=count)
    )
    site = await public.get_app(conn, request.app_id)
    language = request.language
    values = {
        "site": site.name,
        "date": day(request.received_at, site.timezone),
        "what": text(language, f"what_{request.request_type}"),
        "url": f"{settings.origin}/privacy/confirm/{made.link}",
        "code": made.code,
        "minutes": VALID_MINUTES,
    }
    return Letter(
        text(language, "verification_subject", **values),
        text(language, "verification_text", **values),
    )


async def look_at_link(
    conn: AsyncConnection, link: str, now: datetime
) -> tuple[str, DataSubjectRequest | None, Proof | None]:
    """(state of the proof, its request, the proof) behind a link; changes nothing.

    UNKNOWN without a proof, and when the request was closed before it was proved.
    """
    proof = await storage.find_proof(conn, hash_link(link))
    request = None if proof is None else await requests.find_request(conn, proof.request_id)
    if proof is None or request is None or not _has_link(request):
        return UNKNOWN, None, None
    return state_of(proof, now), request, proof


async def confirm_by_code(
    conn: AsyncConnection, link: str, code: str, now: datetime
) -> tuple[str, DataSubjectRequest | None, Proof | None]:
    """Try a code: (VERIFIED, WRONG_CODE, LOCKED, EXPIRED, USED or UNKNOWN; request; proof).

    The third wrong code locks the link for good.  On repeat: USED.
    """
    state, request, proof = await _lock_behind_link(conn, link, now)
    if request is None or proof is None:
        return state, request, proof
    outcome = try_code(proof, link, code, now)
    if outcome == WRONG_CODE:
        proof = replace(proof, tries_left=proof.tries_left - 1)
        await storage.save_proof(conn, proof)
        if proof.tries_left <= 0:
            outcome = LOCKED
            await note_event(conn, request, "verification_locked", actor=REQUESTER, now=now)
    elif outcome == VERIFIED:
        proof = replace(proof, used_at=now)
        await storage.save_proof(conn, proof)
        if request.status in lifecycle.PROVABLE:
            request = await verify_request(
                conn, request.request_id, by=BY_MAIL, actor=REQUESTER, now=now
            )
    return outcome, request, proof


async def send_again(conn: AsyncConnection, link: str, now: datetime) -> str:
    """Have a new mail sent in place of an expired one: SENT, TOO_MANY or the link's state."""
    state, request, proof = await _lock_behind_link(conn, link, now)
    if state != EXPIRED or request is None or proof is None:
        return state
    if proof.mail_count >= MAX_MAILS:
        return TOO_MANY
    # A link asks for one mail only, however often the button is pressed: it is none from now on.
    await storage.save_proof(conn, replace(proof, link_hash=hash_link(new_secrets().link)))
    await ask_for_proof(conn, request, now)
    return SENT


async def _lock_behind_link(
    conn: AsyncConnection, link: str, now: datetime
) -> tuple[str, DataSubjectRequest | None, Proof | None]:
    """As `look_at_link`, with the person, the request and the proof locked, in this order."""
    _, request, proof = await look_at_link(conn, link, now)
    if request is None or request.email is None:
        return UNKNOWN, None, None
    await requests.lock_persons_of(conn, request)
    request = await requests.find_request(conn, request.request_id, for_update=True)
    if request is not None:
        proof = await storage.find_proof_of_request(conn, request.app_id, request.request_id)
    if (
        request is None
        or proof is None
        or not _has_link(request)
        or proof.link_hash != hash_link(link)
    ):
        # Another mail has taken its place meanwhile, or somebody has closed the request.
        return UNKNOWN, None, None
    return state_of(proof, now), request, proof


async def verify_request(
    conn: AsyncConnection,
    request_id: str,
    *,
    by: str,
    actor: str,
    now: datetime,
    reason: str | None = None,
) -> DataSubjectRequest:
    """The request, proved; the first proved one of a person and type leads, others are duplicates.

    by: BY_MAIL, BY_HAND (needs a reason) or BY_CONTROLLER.  On repeat: nothing changes.
    Errors: Conflict for a request that is closed, Invalid without a reason.
    """
    found = await requests.find_request(conn, request_id)
    if found is not None:
        await requests.lock_persons_of(conn, found)
    request = await requests.find_request(conn, request_id, for_update=True)
    if request is None or request.is_verified:
        return _known(request)
    if by == BY_HAND and not reason:
        message = "reason is required: it says how the requester's identity was checked"
        raise Invalid(message, path="reason")
    _check_provable(request)
    request = replace(request, verified_at=now, verified_by=by, verification_reason=reason)
    alike = await requests.list_requests_like(conn, request)
    leader = next((one for one in alike if one.is_verified and one.status in lifecycle.OPEN), None)
    proved = _proved(request, leader, now)
    await requests.save_request(conn, proved)
    await note_event(
        conn, proved, "verified", actor=actor, now=now, from_status=request.status, detail=reason
    )
    if proved.status == lifecycle.TO_DO:
        await _follow(conn, proved, [one for one in alike if not one.is_verified], now)
    return proved


def _check_provable(request: DataSubjectRequest) -> None:
    if request.status not in lifecycle.PROVABLE:
        message = f"a request that is {request.status} can't be verified"
        raise Conflict(message, code="move_not_allowed", path="status")


def _awaits_proof(request: DataSubjectRequest) -> bool:
    return request.email is not None and request.status in lifecycle.PROVABLE


def _has_link(request: DataSubjectRequest) -> bool:
    """Whether its link leads somewhere: to the question for the code, or to what became of it."""
    return _awaits_proof(request) or (request.email is not None and request.is_verified)


def _proved(
    request: DataSubjectRequest, leader: DataSubjectRequest | None, now: datetime
) -> DataSubjectRequest:
    status = lifecycle.status_after_verification(
        request.status, None if leader is None else leader.request_id
    )
    if status == lifecycle.DUPLICATE and leader is not None:
        return replace(request, status=status, leader_id=leader.request_id, closed_at=now)
    return replace(request, status=status)


def _known(request: DataSubjectRequest | None) -> DataSubjectRequest:
    if request is None:
        message = "the request is gone"
        raise Conflict(message)
    return request


async def _follow(
    conn: AsyncConnection,
    leader: DataSubjectRequest,
    others: list[DataSubjectRequest],
    now: datetime,
) -> None:
    """The person's other requests, not proved yet, become duplicates of the one that leads."""
    for other in others:
        if other.status != lifecycle.UNVERIFIED:
            continue
        follower = replace(
            other, status=lifecycle.DUPLICATE, leader_id=leader.request_id, closed_at=now
        )
        await requests.save_request(conn, follower)
        await note_event(
            conn, follower, "moved", actor=SYSTEM, now=now, from_status=lifecycle.UNVERIFIED
        )
