"""The body of a data subject request from a browser, checked; nothing stored yet.

    {"event": "view_data"|"change_data"|"delete_data", "websiteId", "email", "visitorId"?,
     "hostname"?, "userRequestedInfo"?, "cookies"?, "language"?}

Source: contract L3, L4, E4.6. Other members are ignored; of the cookies only the analytics ID is
kept. `language` is sent by our own widget only.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from audience.errors import Invalid
from audience.uuid_text import parse_uuid
from consent.data_subject_requests.lifecycle import REQUEST_TYPES

MAX_CONTENT_CHARACTERS = 4000
MAX_EMAIL_CHARACTERS = 254
MAX_HOSTNAME_CHARACTERS = 253
_SURROGATE = re.compile("[\ud800-\udfff]")

#: (cookies, app_id) -> the analytics ID.
ReadCookies = Callable[[object, str], str | None]
#: The e-mail in comparable form, or None when it is none.
CheckEmail = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Received:
    """A checked request from a browser; language: as wanted there, or None."""

    app_id: str
    request_type: str
    email: str
    content: str | None = None
    visitor_id: str | None = None
    analytics_visitor_id: str | None = None
    hostname: str | None = None
    language: str | None = None


def parse_received(
    body: dict[str, Any], check_email: CheckEmail, read_cookies: ReadCookies
) -> Received:
    """The checked request.  Errors: Invalid naming the field."""
    request_type = body.get("event")
    if request_type not in REQUEST_TYPES:
        message = f"event must be one of {', '.join(REQUEST_TYPES)}"
        raise Invalid(message, path="event")
    app_id = parse_uuid(body.get("websiteId"), "websiteId")
    visitor_id = body.get("visitorId")
    return Received(
        app_id=app_id,
        request_type=request_type,
        email=_email(body, check_email),
        content=_text(body, "userRequestedInfo", MAX_CONTENT_CHARACTERS),
        # Pages without the container's cookie have none.
        visitor_id=None if visitor_id in (None, "") else parse_uuid(visitor_id, "visitorId"),
        analytics_visitor_id=read_cookies(body.get("cookies"), app_id),
        hostname=_text(body, "hostname", MAX_HOSTNAME_CHARACTERS),
        language=_text(body, "language", 35),
    )


def _email(body: dict[str, Any], check_email: CheckEmail) -> str:
    value = body.get("email")
    if value is None or value == "":
        message = "email is required"
        raise Invalid(message, path="email")
    if isinstance(value, str) and len(value) <= MAX_EMAIL_CHARACTERS:
        checked = check_email(value)
        if checked is not None:
            return checked
    message = "email must be an e-mail address like name@example.com"
    raise Invalid(message, path="email")


def _text(body: dict[str, Any], name: str, longest: int) -> str | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    if (
        not isinstance(value, str)
        or len(value) > longest
        or "\x00" in value
        or _SURROGATE.search(value)
    ):
        message = f"{name} must be a text of at most {longest} characters without NUL"
        raise Invalid(message, path=name)
    return value
