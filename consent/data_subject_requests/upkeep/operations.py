"""The jobs: remind the team, forget what is kept for too long."""

from dataclasses import replace
from datetime import datetime

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.server import clock
from audience.server.keys import DATABASE
from audience.server.settings import Settings
from consent.data_subject_requests import lifecycle
from consent.data_subject_requests import storage as requests
from consent.data_subject_requests.execution.person_requests.storage import empty_execution
from consent.data_subject_requests.mails.operations import Letter, queue_mail
from consent.data_subject_requests.mails.storage import Mail
from consent.data_subject_requests.operations import SYSTEM, move_request, note_event
from consent.data_subject_requests.texts import day, text
from consent.data_subject_requests.upkeep import storage

#: Purpose of the mail to the team.
REMINDER = "reminder"
_STEP = 100


async def remind_some(app: web.Application) -> bool:
    """One step: queue one reminder for each of up to a hundred requests that are due soon."""
    now = clock.now()
    async with app[DATABASE].transaction() as conn:
        found = await storage.list_requests_to_remind(conn, now, _STEP)
        for due in found:
            request = replace(due.request, reminded_at=now)
            await requests.save_request(conn, request)
            await queue_mail(
                conn,
                app_id=request.app_id,
                request_id=request.request_id,
                purpose=REMINDER,
                recipient=due.recipient,
                language=due.language,
                now=now,
            )
    return len(found) == _STEP


async def forget_some(app: web.Application) -> bool:
    """One step: up to a hundred requests lose what is personal in them.

    One that was never verified is cancelled with it: it can't be verified any more.
    """
    now = clock.now()
    async with app[DATABASE].transaction() as conn:
        found = await storage.list_requests_to_forget(conn, now, _STEP)
        for request in found:
            if request.status == lifecycle.UNVERIFIED:
                await move_request(conn, request, lifecycle.CANCELLED, actor=SYSTEM, now=now)
            await storage.erase_personal_content(conn, request, now)
            await empty_execution(conn, request)
            await note_event(conn, request, "content_erased", actor=SYSTEM, now=now)
    return len(found) == _STEP


async def compose_reminder(
    conn: AsyncConnection,
    mail: Mail,
    settings: Settings,  # noqa: ARG001 - every composer has it
    now: datetime,
) -> Letter | None:
    """The letter to the team; None when the request has been answered meanwhile."""
    request = mail.request_id and await requests.find_request(conn, mail.request_id)
    if not request or not lifecycle.awaits_answer(request.status, request.channel):
        return None
    app = await public.get_app(conn, request.app_id)
    values = {
        "site": app.name,
        "request_id": request.request_id,
        "request_type": request.request_type,
        "status": request.status,
        "date": day(request.received_at, app.timezone),
        "due": day(request.due_at, app.timezone),
        "days": lifecycle.days_left(request.due_at, now, app.timezone),
    }
    return Letter(
        text(mail.language, "reminder_subject", **values),
        text(mail.language, "reminder_text", **values),
    )
