"""What the operator on the machine may do: find a person, erase a person.

An erasure by the operator is a request like others, so that it leaves the same traces: a history,
audit entries, a receipt.
"""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import Invalid
from audience.public import Identifier
from consent.data_subject_requests import lifecycle
from consent.data_subject_requests.execution.operations import preview_request, start_execution
from consent.data_subject_requests.execution.storage import find_execution
from consent.data_subject_requests.handling.operations import note_request
from consent.data_subject_requests.operations import OPERATOR, get_request
from consent.data_subject_requests.storage import DataSubjectRequest
from consent.data_subject_requests.verification.operations import BY_HAND, verify_request

_REASON = "erased by the operator on the machine"


async def find_person(
    conn: AsyncConnection, app_id: str, email: str, now: datetime
) -> dict[str, Any]:
    """What is known of a person: {"website_id", "email", "profiles", "counts": {table: rows}}.

    Leaves an audit entry.  Errors: NotFound for the app, Invalid for the e-mail.
    """
    app = await public.get_app(conn, app_id)
    normal = _normal(email)
    found = await public.find_person_profiles(conn, app_id, [Identifier("email", normal)])
    await _audit(conn, app, "find_person", None, now)
    return {
        "website_id": app_id,
        "email": normal,
        "profiles": [
            {
                "id": profile.profile_id,
                "identifiers": [
                    {"name": name, "value": value} for name, value in profile.identifiers
                ],
            }
            for profile in found
        ],
        "counts": await preview_request(conn, _draft(app_id, normal, now), now),
    }


async def start_erasure(
    conn: AsyncConnection, app_id: str, email: str, now: datetime, *, is_told: bool
) -> str:
    """The id of the request that is being executed from now on; is_told: the person gets a mail.

    An erasure that the person has asked for already, and proved, is executed in its place.
    Errors: NotFound for the app, Invalid for the e-mail.
    """
    app = await public.get_app(conn, app_id)
    given = {
        "request_type": lifecycle.DELETE_DATA,
        "channel": "other",
        "email": _normal(email),
        "identities": [],
        "language": "en",
        "received_at": now,
        "asks_for_proof": False,
    }
    noted = await note_request(conn, app, given, actor=OPERATOR, now=now)
    request = await verify_request(
        conn, noted.request_id, by=BY_HAND, actor=OPERATOR, now=now, reason=_REASON
    )
    if request.leader_id is not None:
        request = await get_request(conn, request.leader_id)
    if await find_execution(conn, app_id, request.request_id) is None:
        caller = operator_of(app)
        await start_execution(conn, request, caller, now, {"is_silent": not is_told})
    await _audit(conn, app, "execute_request", request.request_id, now)
    return request.request_id


def operator_of(app: public.App) -> public.Caller:
    """The operator as a caller, who has no credential."""
    return public.Caller("", OPERATOR, app.organization_id, app.organization, frozenset())


def _normal(email: str) -> str:
    identifier = public.parse_identifier("email", email)
    if identifier is None or "@" not in identifier.identifier_value:
        message = "email must be an e-mail address like name@example.com"
        raise Invalid(message, path="email")
    return identifier.identifier_value


def _draft(app_id: str, email: str, now: datetime) -> DataSubjectRequest:
    """A request that is not stored, to look at what it would touch."""
    return DataSubjectRequest(
        app_id=app_id,
        request_id="00000000-0000-0000-0000-000000000000",
        request_type=lifecycle.DELETE_DATA,
        status=lifecycle.TO_DO,
        channel="other",
        received_at=now,
        due_at=now,
        email=email,
        verified_at=now,
        verified_by=BY_HAND,
    )


async def _audit(
    conn: AsyncConnection, app: public.App, operation: str, request_id: str | None, now: datetime
) -> None:
    await public.record_audit_entry(
        conn,
        operator_of(app),
        operation,
        now=now,
        app_id=app.app_id,
        target_type="app" if request_id is None else "request",
        target_id=request_id,
    )
