"""Handing one mail over: to the SMTP server, or without one to a file.

Source: issue "Data subject requests", item 2.
"""

import asyncio
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog

from audience.server.settings import Settings
from consent.data_subject_requests.mails import outbox
from consent.data_subject_requests.mails.storage import Mail

_SMTP_TIMEOUT_SECONDS = 30
_PERMANENT = 500


class MailRefused(Exception):
    """The recipient does not exist, says the server: trying again is of no use."""


def make_message(
    settings: Settings, recipient: str, subject: str, text: str, *, language: str, now: datetime
) -> EmailMessage:
    """The mail: plain text, marked as sent by a machine so that nobody's machine answers."""
    # The settings have checked the form `NAME <ADDRESS>`; a name may have commas.
    name, _, sender = settings.mail_from.removesuffix(">").rpartition(" <")
    local, _, domain = sender.rpartition("@")
    message = EmailMessage()
    message["From"] = Address(name, local, domain)
    message["To"] = recipient
    # An app's name, which is in it, may have line breaks.
    message["Subject"] = " ".join(subject.split())
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain=domain)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(text)
    # Not before the content, which takes such headers away.
    message["Content-Language"] = language
    return message


async def deliver(settings: Settings, message: EmailMessage, mail: Mail) -> None:
    """Hand the mail over.

    Errors: MailRefused; anything else that SMTP and the network raise: try again later.
    """
    if settings.smtp_url is None:
        path = outbox.path_of(outbox.outbox_of(settings), mail.request_id, mail.mail_id)
        await asyncio.to_thread(outbox.write_mail, path, bytes(message))
        structlog.get_logger().info(
            "SMTP_URL is not set: mail written to the outbox", file=str(path)
        )
        return
    try:
        await _send(settings.smtp_url, message)
    except aiosmtplib.SMTPRecipientsRefused as error:
        if all(refusal.code >= _PERMANENT for refusal in error.recipients):
            raise MailRefused from error
        raise


async def take_back(settings: Settings, mail: Mail) -> None:
    """Remove what `deliver` may have written of the mail; what SMTP took can't be taken back."""
    path = outbox.path_of(outbox.outbox_of(settings), mail.request_id, mail.mail_id)
    await asyncio.to_thread(path.unlink, missing_ok=True)


async def _send(smtp_url: str, message: EmailMessage) -> None:
    parts = urlsplit(smtp_url)
    is_tls = parts.scheme == "smtps"
    has_password = parts.username is not None
    await aiosmtplib.send(
        message,
        hostname=parts.hostname,
        port=parts.port,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=is_tls,
        # With a password STARTTLS is a must; without one it is used where the server has it.
        start_tls=None if is_tls or not has_password else True,
        timeout=_SMTP_TIMEOUT_SECONDS,
    )
