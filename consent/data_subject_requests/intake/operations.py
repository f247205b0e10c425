"""Taking a request in: limits, the row, its history, the mail that asks for proof.

Nothing here looks for the person: known and unknown e-mails take the same way.
"""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import Forbidden, TooManyRequests
from audience.public import Identifier
from audience.server.clock import new_id
from consent.data_subject_requests import lifecycle
from consent.data_subject_requests import storage as requests
from consent.data_subject_requests.intake import storage
from consent.data_subject_requests.intake.received import Received
from consent.data_subject_requests.intake.storage import Limit
from consent.data_subject_requests.operations import REQUESTER, note_event
from consent.data_subject_requests.storage import DataSubjectRequest
from consent.data_subject_requests.verification.operations import ask_for_proof
from consent.forms.settings import may_collect

#: From one e-mail in a day, so that nobody's mailbox is filled.
MAX_OF_AN_EMAIL = 5
_EMAIL_HOURS = 24
#: To one app in an hour.
MAX_OF_AN_APP = 1000
_APP_HOURS = 1


async def receive_request(
    conn: AsyncConnection, app: public.App, received: Received, language: str, now: datetime
) -> str:
    """The id of the new request, unverified; a mail that asks for proof is queued.

    Errors: TooManyRequests past the limit of the app or of the e-mail; nothing is stored then.
    """
    await _refuse_too_many(conn, received, now)
    # One at a time per person and app, so that many at once do not all find few. Looked at before
    # too: whoever is past a limit anyway keeps nobody waiting.
    await requests.lock_person(conn, received.app_id, [Identifier("email", received.email)])
    await storage.lock_intake(conn, received.app_id)
    await _refuse_too_many(conn, received, now)
    request = DataSubjectRequest(
        app_id=received.app_id,
        request_id=new_id(),
        request_type=received.request_type,
        status=lifecycle.UNVERIFIED,
        channel=lifecycle.FORM,
        received_at=now,
        due_at=lifecycle.due_at(now, app.timezone),
        email=received.email,
        content=received.content,
        visitor_id=received.visitor_id,
        analytics_visitor_id=received.analytics_visitor_id,
        hostname=received.hostname,
        language=language,
    )
    await requests.insert_request(conn, request)
    await note_event(conn, request, "received", actor=REQUESTER, now=now)
    await ask_for_proof(conn, request, now)
    return request.request_id


async def check_origin(conn: AsyncConnection, received: Received, origin: str | None) -> None:
    """Errors: Forbidden when the app has a list of host names without the request's.

    origin: the host of the Origin header, None without one.
    """
    origins = await storage.find_origins(conn, received.app_id)
    hostnames = {name.lower() for name in (origin, received.hostname) if name is not None}
    if origins and not (hostnames and all(may_collect(origins, name) for name in hostnames)):
        message = "Forbidden: hostname is not one from which this app collects requests"
        raise Forbidden(message, path="hostname")


async def _refuse_too_many(conn: AsyncConnection, received: Received, now: datetime) -> None:
    """Errors: TooManyRequests past a limit.  What the team and controllers bring counts nowhere."""
    found = await storage.count_recent(
        conn,
        received.app_id,
        received.email,
        Limit(MAX_OF_AN_EMAIL, now - timedelta(hours=_EMAIL_HOURS)),
        Limit(MAX_OF_AN_APP, now - timedelta(hours=_APP_HOURS)),
    )
    if found.of_email < MAX_OF_AN_EMAIL and found.of_app < MAX_OF_AN_APP:
        return
    is_email = found.of_email >= MAX_OF_AN_EMAIL
    refusal = TooManyRequests(
        f"Too Many Requests: at most {MAX_OF_AN_EMAIL} a day from one e-mail"
        if is_email
        else f"Too Many Requests: at most {MAX_OF_AN_APP} an hour to one app"
    )
    refusal.retry_after_seconds = 3600
    raise refusal
