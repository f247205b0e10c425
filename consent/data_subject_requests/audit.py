"""The audit rows of what the team does with a request."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from consent.data_subject_requests.storage import DataSubjectRequest


async def record_request_audit(
    conn: AsyncConnection,
    caller: public.Caller,
    operation: str,
    found: DataSubjectRequest,
    now: datetime,
) -> None:
    """Note one authorized read or write of a request, in the transaction that does it."""
    await public.record_audit_entry(
        conn,
        caller,
        operation,
        now=now,
        app_id=found.app_id,
        target_type="request",
        target_id=found.request_id,
    )
