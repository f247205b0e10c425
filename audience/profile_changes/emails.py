"""E-mail addresses: which ones are valid, and their comparable form."""

from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from audience.profile_changes.items import EmailCheck
from audience.profiles.identifiers import normalise_email

_CACHED_EMAILS = 4096


def email_check(*, is_test: bool) -> EmailCheck:
    """The check that the setting ALLOW_TEST_EMAILS (is_test) asks for."""
    return check_test_email if is_test else check_email


@lru_cache(maxsize=_CACHED_EMAILS)
def check_email(value: str) -> str | None:
    """The e-mail in comparable form, None when email-validator refuses it (decision 8)."""
    return check_email_afresh(value, is_test=False)


@lru_cache(maxsize=_CACHED_EMAILS)
def check_test_email(value: str) -> str | None:
    """As `check_email`, but domains made for tests are fine (setting ALLOW_TEST_EMAILS)."""
    return check_email_afresh(value, is_test=True)


def check_email_afresh(value: str, *, is_test: bool) -> str | None:
    """As `check_email` without what it remembers.

    For requests whose time must not tell whether the service saw an e-mail lately.
    """
    try:
        checked = validate_email(
            value.strip(), check_deliverability=False, test_environment=is_test
        )
    except EmailNotValidError:
        return None
    return normalise_email(checked.normalized)
