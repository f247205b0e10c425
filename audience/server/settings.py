"""The settings of the service, read once from the environment; the README documents each.

A wrong value stops the process with one line naming the variable, the value and what was expected.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("console", "json")
_MAX_WORKERS = 64
_MAX_PER_MINUTE = 100_000
_MAX_PROXIES = 10
_DIRECTORY = "a directory, existing or to be made"
_ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_ISSUER = re.compile(r"[!-~]{1,200}")
_HOST = re.compile(r"[A-Za-z0-9.:_-]+")
_PUBLIC_URL = re.compile(r"https?://[A-Za-z0-9._\[\]:-]+(?:/[A-Za-z0-9._~-]+)*")
_MAIL_FROM = re.compile(r"(?:[^<>@\r\n]{1,100} <[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)")


class SettingsError(Exception):
    """One line: the variable, its value and the expected form."""


@dataclass(frozen=True)
class Settings:
    """What the operator may choose; the defaults serve on this machine alone."""

    database_url: str | None = None
    data_dir: Path = Path("data")
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    root_path: str = ""
    log_level: str = "info"
    log_format: str = "console"
    allow_test_emails: bool = False
    collect_per_minute: int = 600
    trusted_proxies: int = 0
    token_issuer: str = "ppms"  # noqa: S105 - a name, no password
    public_url: str = ""
    smtp_url: str | None = None
    mail_from: str = "privacy@localhost"
    allow_private_callbacks: bool = False

    @property
    def origin(self) -> str:
        """Where others reach the service, without a slash at the end: for links in mails."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}{self.root_path}"

    @property
    def has_socket_per_worker(self) -> bool:
        """Whether each worker listens on a socket of its own.

        With one for all, whichever worker wakes up first takes most of the connections that come
        together. Elsewhere than on Linux sockets of one address share nothing out.
        """
        return self.workers > 1 and sys.platform == "linux"


def settings_from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings; an empty variable counts as unset.

    Errors: SettingsError for the first wrong value.
    """
    given = {name: value for name, value in environment.items() if value}
    defaults = Settings()
    return Settings(
        database_url=_database_url(given.get("DATABASE_URL")),
        data_dir=_data_dir(given.get("DATA_DIR"), defaults.data_dir),
        host=_matching(given, "HOST", defaults.host, _HOST, "a host name or address"),
        port=_integer(given, "PORT", defaults.port, 1, 65535),
        workers=_integer(given, "WORKERS", defaults.workers, 1, _MAX_WORKERS),
        root_path=_root_path(given.get("ROOT_PATH", "")),
        log_level=_choice(given, "LOG_LEVEL", defaults.log_level, LOG_LEVELS),
        log_format=_choice(given, "LOG_FORMAT", defaults.log_format, LOG_FORMATS),
        allow_test_emails=_choice(given, "ALLOW_TEST_EMAILS", "no", ("yes", "no")) == "yes",
        collect_per_minute=_integer(
            given, "COLLECT_PER_MINUTE", defaults.collect_per_minute, 0, _MAX_PER_MINUTE
        ),
        trusted_proxies=_integer(
            given, "TRUSTED_PROXIES", defaults.trusted_proxies, 0, _MAX_PROXIES
        ),
        token_issuer=_matching(
            given, "TOKEN_ISSUER", defaults.token_issuer, _ISSUER, "1 to 200 printable characters"
        ),
        public_url=_public_url(given.get("PUBLIC_URL")),
        smtp_url=_smtp_url(given.get("SMTP_URL")),
        mail_from=_matching(
            given,
            "MAIL_FROM",
            defaults.mail_from,
            _MAIL_FROM,
            "an address, or a name with one: Privacy team <privacy@example.com>",
        ),
        allow_private_callbacks=_choice(given, "ALLOW_PRIVATE_CALLBACKS", "no", ("yes", "no"))
        == "yes",
    )


def _refuse(name: str, value: str, expected: str) -> SettingsError:
    return SettingsError(f"{name}={value!r} is not valid: expected {expected}")


def _database_url(value: str | None) -> str | None:
    if value is None:
        return None
    expected = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    # The password must not be printed, so the value is not repeated here beyond its scheme.
    scheme = value.partition("://")[0] if "://" in value else "(no scheme)"
    try:
        parts = urlsplit(value)
        has_valid_port = parts.port is None or parts.port > 0
    except ValueError:
        raise _refuse("DATABASE_URL", f"{scheme}://...", expected) from None
    if parts.scheme not in ("postgresql", "postgres") or len(parts.path) < 2 or not has_valid_port:  # noqa: PLR2004
        raise _refuse("DATABASE_URL", f"{scheme}://...", expected)
    return "postgresql" + value[len(parts.scheme) :]


def _public_url(value: str | None) -> str:
    url = (value or "").rstrip("/")
    if url and not _PUBLIC_URL.fullmatch(url):
        raise _refuse("PUBLIC_URL", url, "an address like https://consent.example.com, or nothing")
    return url


def _smtp_url(value: str | None) -> str | None:
    if value is None:
        return None
    expected = "smtp://USER:PASSWORD@HOST:PORT, or smtps:// for TLS from the start"
    # As with the database: the password must not be printed.
    scheme = value.partition("://")[0] if "://" in value else "(no scheme)"
    try:
        parts = urlsplit(value)
        is_valid = parts.port is None or parts.port > 0
    except ValueError:
        is_valid = False
    if not is_valid or parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise _refuse("SMTP_URL", f"{scheme}://...", expected)
    return value


def _data_dir(value: str | None, default: Path) -> Path:
    path = Path(value).expanduser() if value else default
    whole = path.absolute()
    try:
        nearest = next(one for one in (whole, *whole.parents) if one.exists())
    except OSError as error:  # A folder above it that we may not enter.
        raise _refuse("DATA_DIR", str(path), _DIRECTORY) from error
    if not nearest.is_dir():
        raise _refuse("DATA_DIR", str(path), _DIRECTORY)
    return whole


def _matching(
    given: Mapping[str, str], name: str, default: str, form: re.Pattern[str], expected: str
) -> str:
    value = given.get(name, default)
    if not form.fullmatch(value):
        raise _refuse(name, value, expected)
    return value


def _integer(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    value = given.get(name)
    if value is None:
        return default
    if not re.fullmatch(r"[0-9]{1,6}", value) or not least <= int(value) <= most:
        raise _refuse(name, value, f"a whole number from {least} to {most}")
    return int(value)


def _root_path(value: str) -> str:
    path = "" if value == "/" else value.rstrip("/")
    if not _ROOT_PATH.fullmatch(path):
        raise _refuse("ROOT_PATH", value, "a path like /piwik, or nothing")
    return path


def _choice(given: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = given.get(name, default).lower()
    if value not in allowed:
        raise _refuse(name, given[name], "one of " + ", ".join(allowed))
    return value
