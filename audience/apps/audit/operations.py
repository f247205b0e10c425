"""Recording who did what; never the values.

Source: issue "Audiences and the authorized API", Access.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from audience.apps.access import Caller
from audience.apps.audit import storage
from audience.server.clock import new_id

DONE, REFUSED = "done", "refused"


async def record_audit_entry(
    conn: AsyncConnection,
    caller: Caller,
    operation: str,
    *,
    now: datetime,
    app_id: str | None = None,
    target_type: str | None = None,
    target_id: str | None = None,
    outcome: str = DONE,
    details: dict[str, Any] | None = None,
) -> None:
    """Note one authorized write or read of personal data, in the transaction that does it.

    operation: the handler's name. target: what was changed or read; an id of ours, never an
    identifier of a person. details: no personal data either, values only as keyed hashes.
    """
    await storage.insert_audit_entry(
        conn,
        {
            "organization_id": UUID(caller.organization_id),
            "entry_id": UUID(new_id()),
            "occurred_at": now,
            # The operator on the machine has none.
            "credential_id": UUID(caller.credential_id) if caller.credential_id else None,
            "actor": caller.name,
            "operation": operation,
            "outcome": outcome,
            "app_id": None if app_id is None else UUID(app_id),
            "target_type": target_type,
            "target_id": target_id,
            "details": details,
        },
    )
