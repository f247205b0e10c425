"""The words of OpenDSR and ours. Pure: standard library only.

Source: OpenDSR specification 2.0, sections 5 to 9. A status that it lacks is told as the nearest
one: rejected as cancelled, a duplicate as the request that is worked on in its place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from audience.errors import Invalid
from audience.uuid_text import UUID_PATTERN, parse_uuid
from consent.data_subject_requests.lifecycle import DELETE_DATA, VIEW_DATA

API_VERSION = "2.0"

PENDING, RUNNING, COMPLETED, CANCELLED = "pending", "in_progress", "completed", "cancelled"
#: {our status: theirs}; a duplicate's is its leader's.
STATUSES: Final[Mapping[str, str]] = {
    "unverified": PENDING,
    "to_do": PENDING,
    "in_progress": RUNNING,
    "resolved": COMPLETED,
    "rejected": CANCELLED,
    "cancelled": CANCELLED,
    "duplicate": PENDING,
}
#: {their request type: ours}
REQUEST_TYPES: Final[Mapping[str, str]] = {
    "access": VIEW_DATA,
    "portability": VIEW_DATA,
    "erasure": DELETE_DATA,
}
#: {their identity type: our identifier}, values in the format `raw` only.
IDENTITIES: Final[Mapping[str, str]] = {
    "email": "email",
    "controller_customer_id": "user_id",
    "android_advertising_id": "device_id",
    "android_id": "device_id",
    "fire_advertising_id": "device_id",
    "ios_advertising_id": "device_id",
    "ios_vendor_id": "device_id",
    "microsoft_advertising_id": "device_id",
    "microsoft_publisher_id": "device_id",
    "roku_advertising_id": "device_id",
    "roku_publisher_id": "device_id",
}
RAW = "raw"
REGULATIONS = ("gdpr", "ccpa")

MAX_IDENTITIES = 20
MAX_VALUE_CHARACTERS = 512
MAX_CALLBACKS = 10
MAX_URL_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Submission:
    """A checked request; app_id: None when it names none. identities: beside the e-mail."""

    subject_request_id: str
    request_type: str
    submitted_at: datetime
    regulation: str
    email: str | None
    identities: Sequence[Mapping[str, str]]
    callback_urls: Sequence[str]
    app_id: str | None


def parse_submission(
    body: object, domain: str, check_email: Callable[[str], str | None]
) -> Submission:
    """The checked request; domain: ours, under which extensions are for us.

    The app is `website_id` (or `property_id`) of our extension, or `property_id` of the body.
    Errors: Invalid naming the field.
    """
    if not isinstance(body, dict):
        message = "the body must be a JSON object"
        raise Invalid(message)
    submitted = body.get("subject_request_type")
    if not isinstance(submitted, str) or submitted not in REQUEST_TYPES:
        raise _invalid("subject_request_type", f"must be one of {', '.join(REQUEST_TYPES)}")
    regulation = body.get("regulation", REGULATIONS[0])
    if regulation not in REGULATIONS:
        raise _invalid("regulation", f"must be one of {', '.join(REGULATIONS)}")
    email, identities = _identities(body.get("subject_identities"), check_email)
    return Submission(
        parse_uuid(body.get("subject_request_id"), "subject_request_id"),
        REQUEST_TYPES[submitted],
        _moment(body.get("submitted_time")),
        regulation,
        email,
        identities,
        _callback_urls(body.get("status_callback_urls")),
        _app_id(body, domain),
    )


def _identities(
    raw: object, check_email: Callable[[str], str | None]
) -> tuple[str | None, list[dict[str, str]]]:
    if not isinstance(raw, list) or not 1 <= len(raw) <= MAX_IDENTITIES:
        raise _invalid("subject_identities", f"must be a list of 1 to {MAX_IDENTITIES} identities")
    email: str | None = None
    found: list[dict[str, str]] = []
    for position, one in enumerate(raw):
        where = f"subject_identities[{position}]"
        name, value = _identity(one, where)
        if name != "email":
            found.append({"identifier_name": name, "identifier_value": value})
            continue
        checked = check_email(value)
        if checked is None:
            raise _invalid(f"{where}.identity_value", "must be an e-mail address")
        if email is None:
            email = checked
        else:
            found.append({"identifier_name": name, "identifier_value": checked})
    return email, found


def _identity(one: object, where: str) -> tuple[str, str]:
    if not isinstance(one, dict):
        raise _invalid(where, "must be an object")
    kind, value = one.get("identity_type"), one.get("identity_value")
    if not isinstance(kind, str) or kind not in IDENTITIES:
        raise _invalid(f"{where}.identity_type", f"must be one of {', '.join(IDENTITIES)}")
    if one.get("identity_format") != RAW:
        raise _invalid(f"{where}.identity_format", f"must be {RAW}")
    if (
        not isinstance(value, str)
        or not value.strip()
        or len(value) > MAX_VALUE_CHARACTERS
        or not value.isprintable()
    ):
        raise _invalid(
            f"{where}.identity_value", f"must have 1 to {MAX_VALUE_CHARACTERS} characters"
        )
    return IDENTITIES[kind], value.strip()


def _callback_urls(raw: object) -> list[str]:
    if raw is None:
        return []
    if not isinstance(raw, list) or len(raw) > MAX_CALLBACKS:
        raise _invalid("status_callback_urls", f"must be a list of at most {MAX_CALLBACKS} URLs")
    for position, url in enumerate(raw):
        if not _is_callback_url(url):
            raise _invalid(
                f"status_callback_urls[{position}]",
                f"must be an http or https URL of at most {MAX_URL_CHARACTERS} characters, "
                "without a password",
            )
    return list(dict.fromkeys(raw))


def _is_callback_url(url: object) -> bool:
    if not isinstance(url, str) or len(url) > MAX_URL_CHARACTERS or not url.isprintable():
        return False
    try:
        parts = urlsplit(url)
        has_valid_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in url
    return is_web and has_valid_port and parts.username is None


def _app_id(body: dict[str, Any], domain: str) -> str | None:
    extensions = body.get("extensions")
    own = extensions.get(domain) if isinstance(extensions, dict) else None
    if isinstance(own, dict):
        for name in ("website_id", "property_id"):
            if own.get(name) is not None:
                return parse_uuid(own[name], f"extensions.{domain}.{name}")
    named = body.get("property_id")
    if isinstance(named, str) and UUID_PATTERN.fullmatch(named):
        return named.lower()
    if named is not None:
        raise _invalid("property_id", "must be an app ID")
    return None


def _moment(value: object) -> datetime:
    moment = None
    if isinstance(value, str):
        try:
            given = datetime.fromisoformat(value)
            moment = given.replace(tzinfo=given.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            moment = None
    if moment is None:
        raise _invalid("submitted_time", "must be a time like 2026-01-31T12:30:00Z")
    return moment


def _invalid(path: str, problem: str) -> Invalid:
    return Invalid(f"{path} {problem}", path=path)
