"""Queueing mails, and the job that sends them.

What a mail says is composed when it is sent: the secrets of its links and codes are made then and
stored only as hashes. Each purpose has a composer in COMPOSERS.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import aiosmtplib
import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.server import clock
from audience.server.keys import DATABASE, SETTINGS
from audience.server.log import describe_error
from audience.server.settings import Settings
from consent.data_subject_requests import storage as requests
from consent.data_subject_requests.mails import storage
from consent.data_subject_requests.mails.delivery import (
    MailRefused,
    deliver,
    make_message,
    take_back,
)
from consent.data_subject_requests.mails.storage import Mail
from consent.data_subject_requests.operations import SYSTEM, note_event

#: Twelve tries in about twenty hours.
MAX_TRIES = 12
_FIRST_PAUSE_SECONDS = 60
_LONGEST_PAUSE_SECONDS = 6 * 3600


class Letter(NamedTuple):
    """What a mail says."""

    subject: str
    text: str


#: (conn, mail, settings, now) -> the letter, or None when there is nothing to say any more.
Composer = Callable[[AsyncConnection, Mail, Settings, datetime], Awaitable[Letter | None]]

#: {purpose: composer}
COMPOSERS = web.AppKey("mail_composers", dict[str, Composer])


async def queue_mail(
    conn: AsyncConnection,
    *,
    app_id: str,
    purpose: str,
    recipient: str,
    language: str,
    now: datetime,
    request_id: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Have a mail sent after the transaction; purpose: a key of COMPOSERS."""
    mail = Mail(
        app_id, clock.new_id(), purpose, recipient, language, now, now, request_id, parameters
    )
    await storage.insert_mail(conn, mail)


async def send_some_mails(app: web.Application) -> bool:
    """One step: try to send one mail; True when one was due.

    Killed in the middle, the mail is sent once more after a pause.
    """
    now = clock.now()
    async with app[DATABASE].transaction() as conn:
        mail = await storage.find_due_mail(conn, now)
        if mail is None:
            return False
        # The next try is set before this one: whatever happens to it, it is not lost, and a mail
        # that can't be composed keeps no other one waiting.
        await storage.count_try(conn, mail, now + pause_after(mail.try_count + 1))
        if mail.try_count >= MAX_TRIES:
            await storage.delete_mail(conn, mail)
            await _note(conn, mail, "mail_given_up")
            return True
    async with app[DATABASE].transaction() as conn:
        letter = await app[COMPOSERS][mail.purpose](conn, mail, app[SETTINGS], now)
        # Its recipient may have been erased since it was found.
        if not await storage.is_waiting(conn, mail):
            return True
    outcome = "mail_dropped" if letter is None else await _deliver(app[SETTINGS], mail, letter, now)
    if outcome is not None:
        async with app[DATABASE].transaction() as conn:
            is_wanted = await storage.delete_mail(conn, mail)
            if is_wanted:
                await _note(conn, mail, outcome)
        if not is_wanted:
            # Its recipient was erased while it was being handed over.
            await take_back(app[SETTINGS], mail)
    return True


def pause_after(tries: int) -> timedelta:
    """How long to wait after so many tries."""
    return timedelta(seconds=min(_FIRST_PAUSE_SECONDS * 2 ** (tries - 1), _LONGEST_PAUSE_SECONDS))


async def _deliver(settings: Settings, mail: Mail, letter: Letter, now: datetime) -> str | None:
    """What became of the mail, or None when it is to be tried again."""
    message = make_message(
        settings, mail.recipient, letter.subject, letter.text, language=mail.language, now=now
    )
    try:
        await deliver(settings, message, mail)
    except MailRefused:
        return "mail_refused"
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        structlog.get_logger().warning(
            "mail not sent",
            mail=mail.mail_id,
            tries=mail.try_count + 1,
            error=describe_error(error),
        )
        return "mail_given_up" if mail.try_count + 1 >= MAX_TRIES else None
    return "mail_sent"


async def _note(conn: AsyncConnection, mail: Mail, outcome: str) -> None:
    if outcome != "mail_sent":
        structlog.get_logger().warning(outcome.replace("_", " "), mail=mail.mail_id)
    if mail.request_id is None:
        return
    request = await requests.find_request(conn, mail.request_id)
    if request is not None:
        await note_event(conn, request, f"{mail.purpose}_{outcome}", actor=SYSTEM, now=clock.now())
