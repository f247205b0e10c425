"""A real SMTP server for tests, and ways to read what it got."""

import re
import ssl
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.service_process import free_port

_LINK = re.compile(r"https?://\S+/privacy/confirm/(\S+)")
_CODE = re.compile(r"^\S+ ?: (\d{6})$", re.MULTILINE)


class Mailbox:
    """Takes every mail, or refuses as told; listens on 127.0.0.1."""

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None
    ) -> None:
        """tls: offer and demand STARTTLS; login: demand this user and password."""
        self.mails: list[EmailMessage] = []
        self.refusals: list[str] = []
        self.logins: list[tuple[str, str]] = []
        self._login = login
        self.port = free_port()
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=tls,
            require_starttls=tls is not None,
            authenticator=self._authenticate if login else None,
            auth_required=login is not None and tls is not None,
            auth_require_tls=tls is not None,
        )

    @property
    def url(self) -> str:
        """As SMTP_URL has it."""
        return f"smtp://127.0.0.1:{self.port}"

    def refuse(self, *answers: str) -> None:
        """Refuse the next recipients with these answers, one each."""
        self.refusals += answers

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Take or refuse a recipient."""
        if self.refusals:
            return self.refusals.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Keep a mail."""
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return "250 OK"

    def _authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _how: Any, data: Any
    ) -> Any:
        given = (data.login.decode(), data.password.decode())
        self.logins.append(given)
        return AuthResult(success=given == self._login)

    def __enter__(self) -> Self:
        """Listen."""
        self._controller.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop."""
        self._controller.stop()


def body_of(mail: EmailMessage) -> str:
    """The text of a mail."""
    text: str = mail.get_content()
    return text.replace("\r\n", "\n")


def secrets_of(mail: EmailMessage) -> tuple[str, str]:
    """(link's secret, code) of a verification mail."""
    link, code = _LINK.search(body_of(mail)), _CODE.search(body_of(mail))
    assert link is not None, body_of(mail)
    assert code is not None, body_of(mail)
    return link[1], code[1]
