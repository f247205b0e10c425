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
        self,
        *,
        tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        is_tls_first: bool = False,
    ) -> None:
        """tls: offer and demand STARTTLS, or speak nothing but TLS when is_tls_first.

        login: demand this user and password.
        """
        self.mails: list[EmailMessage] = []
        self.refusals: list[str] = []
        self.sender_refusals: list[str] = []
        self.content_refusals: list[str] = []
        self.logins: list[tuple[str, str]] = []
        self._login = login
        self._scheme = "smtps" if is_tls_first else "smtp"
        self.port = free_port()
        starttls = None if is_tls_first else tls
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            ssl_context=tls if is_tls_first else None,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=self._authenticate if login else None,
            auth_required=login is not None and starttls is not None,
            auth_require_tls=starttls is not None,
        )

    @property
    def url(self) -> str:
        """As SMTP_URL has it."""
        return self.url_for("")

    def url_for(self, login: str, host: str = "127.0.0.1") -> str:
        """As SMTP_URL has it; login: `user:password@`, escaped."""
        return f"{self._scheme}://{login}{host}:{self.port}"

    def refuse(self, *answers: str) -> None:
        """Refuse the next recipients with these answers, one each."""
        self.refusals += answers

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Take or refuse a sender."""
        if self.sender_refusals:
            return self.sender_refusals.pop(0)
        envelope.mail_from = address
        return "250 OK"

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
        """Keep a mail, or refuse what it says."""
        if self.content_refusals:
            return self.content_refusals.pop(0)
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
        return AuthResult(success=given == self._login, handled=False)

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
