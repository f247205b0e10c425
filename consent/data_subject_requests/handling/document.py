"""A request as the authorized API shows it."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from audience.errors import NotFound
from audience.server.json_api import document_of, resource
from consent.data_subject_requests import lifecycle, storage
from consent.data_subject_requests.handling.storage import list_duplicate_ids
from consent.data_subject_requests.storage import DataSubjectRequest
from consent.decisions.history.operations import get_state

KIND = "privacy/request"
_MOMENTS = (
    "received_at",
    "due_at",
    "verified_at",
    "extended_at",
    "closed_at",
    "content_erased_at",
)
_TEXTS = (
    "request_type",
    "status",
    "channel",
    "email",
    "content",
    "visitor_id",
    "analytics_visitor_id",
    "hostname",
    "language",
    "note",
    "assignee",
    "verified_by",
    "verification_reason",
    "extension_reason",
    "leader_id",
)


async def request_document(
    conn: AsyncConnection, found: DataSubjectRequest, timezone: str, now: datetime
) -> dict[str, Any]:
    """A request as a JSON:API document, with its history, the ids of its duplicates, and consents.

    consents: {type: status} of the visitor who sent it, as they are now (contract J31).
    """
    shown = request_resource(found, timezone, now)
    shown["attributes"]["history"] = [
        {
            name: value
            for name, value in {
                "occurred_at": moment_text(event.occurred_at),
                "actor": event.actor,
                "event": event.event,
                "from_status": event.from_status,
                "to_status": event.to_status,
                "detail": event.detail,
            }.items()
            if value is not None
        }
        for event in await storage.list_events(conn, found)
    ]
    shown["attributes"]["duplicates"] = await list_duplicate_ids(conn, found)
    if found.visitor_id is not None:
        with suppress(NotFound):
            state = await get_state(conn, found.app_id, found.visitor_id, now)
            shown["attributes"]["consents"] = {
                name: one.status for name, one in state.types.items()
            }
    return document_of(shown)


def request_resource(found: DataSubjectRequest, timezone: str, now: datetime) -> dict[str, Any]:
    """A request as a JSON:API resource; timezone: its app's."""
    attributes: dict[str, Any] = {"website_id": found.app_id}
    attributes |= {name: getattr(found, name) for name in _TEXTS}
    for name in _MOMENTS:
        value = getattr(found, name)
        attributes[name] = None if value is None else moment_text(value)
    attributes = {name: value for name, value in attributes.items() if value is not None}
    attributes |= {
        "identities": [dict(identity) for identity in found.identities],
        "is_verified": found.is_verified,
        "days_left": lifecycle.days_left(found.due_at, now, timezone),
        "is_overdue": lifecycle.is_overdue(found.status, found.channel, found.due_at, now),
    }
    return resource(KIND, found.request_id, attributes)


def moment_text(value: datetime) -> str:
    """The moment in RFC 3339 form, UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
