"""What happens to data subject requests, in order; handlers and jobs open the transaction."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from audience.errors import Conflict, NotFound
from audience.server.clock import new_id
from consent.data_subject_requests import lifecycle, storage
from consent.data_subject_requests.storage import DataSubjectRequest, RequestEvent

#: Actors that are no API credential.
REQUESTER, SYSTEM, OPERATOR = "requester", "system", "operator"


async def get_request(conn: AsyncConnection, request_id: str) -> DataSubjectRequest:
    """The request, its row locked.  Errors: NotFound."""
    found = await storage.find_request(conn, request_id, for_update=True)
    if found is None:
        message = f"there is no request with the id {request_id}"
        raise NotFound(message, path="request_id")
    return found


async def move_request(
    conn: AsyncConnection,
    request: DataSubjectRequest,
    status: str,
    *,
    actor: str,
    now: datetime,
    detail: str | None = None,
    leader_id: str | None = None,
) -> DataSubjectRequest:
    """The request in its new status, noted in its history; its row must be locked.

    leader_id: of a duplicate.
    On repeat: a request that has the status already is returned as it is.
    Errors: Conflict for a move that `lifecycle.MOVES` lacks or that needs proof first.
    """
    if request.status == status:
        return request
    refusal = lifecycle.refuse_move(request.status, status, is_verified=request.is_verified)
    if refusal is not None:
        raise Conflict(refusal.message, code=refusal.code, path="status")
    moved = replace(
        request,
        status=status,
        closed_at=now if status in lifecycle.CLOSED else None,
        leader_id=leader_id,
    )
    await storage.save_request(conn, moved)
    await note_event(
        conn, moved, "moved", actor=actor, now=now, from_status=request.status, detail=detail
    )
    return moved


async def note_event(
    conn: AsyncConnection,
    request: DataSubjectRequest,
    event: str,
    *,
    actor: str,
    now: datetime,
    from_status: str | None = None,
    detail: str | None = None,
) -> None:
    """Add to the request's history. detail: erased with the request's personal content."""
    to_status = None if from_status is None else request.status
    entry = RequestEvent(new_id(), now, actor, event, from_status, to_status, detail)
    await storage.insert_event(conn, request, entry)
