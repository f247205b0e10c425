"""The body of `POST /consent/collect`, checked: shapes, types and limits, nothing stored yet.

Pure: standard library only, written by hand because every collect passes here. Source: contract
L1-L5, E3.17, E3.30-E3.38. What other members a body has is ignored.

    event "consent_change": {visitorId, websiteId, hostname, consents, cookies?, decisionId?,
        decidedAt?, method?, source?, language?}; `consents` is the full state. Statuses may also be
        true, false, "1", "0" or "-1" (E3.17). All -1: a form was shown, nothing decided (E3.38).
    event "form_view":  {websiteId, hostname, source: 1|2|3, visitorId?}      (E3.30-E3.32)
    event "form_click": {websiteId, hostname, button: 1|2|3|4, visitorId?}    (E3.33-E3.36)
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn

from audience.errors import Invalid
from audience.uuid_text import parse_uuid
from consent.forms.consent_types import APPROVED, CONSENT_TYPES, NOT_DECIDED, REJECTED
from consent.forms.texts import INTRO

CONSENT_CHANGE, FORM_VIEW, FORM_CLICK = "consent_change", "form_view", "form_click"
#: Data subject requests arrive at the same address (contract L3) and are parsed elsewhere.
REQUEST_EVENTS = ("view_data", "change_data", "delete_data")
EVENTS = (CONSENT_CHANGE, FORM_VIEW, FORM_CLICK, *REQUEST_EVENTS)
METHODS = ("agree_all", "reject_all", "save", "close", "api", "gpc")
SOURCES = (1, 2, 3)
BUTTONS = (1, 2, 3, 4)
MAX_HISTORY_ID_CHARACTERS = 100
MAX_HOSTNAME_CHARACTERS = 253
MAX_COOKIES_CHARACTERS = 100_000
MAX_CONSENT_MEMBERS = 100
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,3}")
_ANALYTICS_ID = re.compile(r"[0-9a-fA-F]{16}")
_MIN_YEAR = 2018

_STATUS_TYPES = (bool, int, str)
_STATUSES: dict[tuple[type, Any], int] = {
    **{(int, status): status for status in (NOT_DECIDED, REJECTED, APPROVED)},
    **{(str, str(status)): status for status in (NOT_DECIDED, REJECTED, APPROVED)},
    (bool, False): REJECTED,
    (bool, True): APPROVED,
}


class Entry(NamedTuple):
    """One consent type of a decision; history_id: the text that was shown, as sent."""

    status: int
    history_id: str | None


class ConsentChange(NamedTuple):
    """A checked `consent_change`.

    consents: {consent type: entry}, known types only. decided_at: None means now.
    is_gpc_signalled: the request had `Sec-GPC: 1`.
    """

    app_id: str
    visitor_id: str
    hostname: str
    consents: Mapping[str, Entry]
    intro_history_id: str | None = None
    analytics_visitor_id: str | None = None
    decision_id: str | None = None
    decided_at: datetime | None = None
    method: str | None = None
    source: int | None = None
    language: str | None = None
    is_gpc_signalled: bool = False

    def history_ids(self) -> list[str | None]:
        """The ids of the texts that were shown, as sent."""
        return [self.intro_history_id, *[one[1] for one in self.consents.values()]]


class FormEvent(NamedTuple):
    """A checked `form_view` (source) or `form_click` (button)."""

    app_id: str
    visitor_id: str | None
    hostname: str
    source: int | None
    button: int | None


Collected = ConsentChange | FormEvent


def parse_collected(body: object, *, is_gpc_signalled: bool = False) -> Collected:
    """The checked request.  Errors: Invalid naming the field."""
    if not isinstance(body, dict):
        message = "the body must be a JSON object"
        raise Invalid(message)
    event = body.get("event")
    if event == CONSENT_CHANGE:
        return _consent_change(body, is_gpc_signalled=is_gpc_signalled)
    if event not in (FORM_VIEW, FORM_CLICK):
        _refuse("event", "is required" if event is None else f"must be one of {', '.join(EVENTS)}")
    return _form_event(body, is_view=event == FORM_VIEW)


def _consent_change(body: dict[str, Any], *, is_gpc_signalled: bool) -> ConsentChange:
    app_id = parse_uuid(body.get("websiteId"), "websiteId")
    visitor_id = parse_uuid(body.get("visitorId"), "visitorId")
    consents, intro_history_id = _consents(body.get("consents"))
    decision_id = body.get("decisionId")
    language = body.get("language") or None
    if language is not None and not (isinstance(language, str) and _LANGUAGE.fullmatch(language)):
        _refuse("language", "must be a language like en or pt-BR")
    return ConsentChange(
        app_id,
        visitor_id,
        _hostname(body),
        consents,
        intro_history_id,
        analytics_visitor_id(body.get("cookies"), app_id),
        None if decision_id is None else parse_uuid(decision_id, "decisionId"),
        _decided_at(body.get("decidedAt")),
        _choice(body, "method", METHODS),
        _choice(body, "source", SOURCES),
        language,
        is_gpc_signalled,
    )


def _form_event(body: dict[str, Any], *, is_view: bool) -> FormEvent:
    app_id = parse_uuid(body.get("websiteId"), "websiteId")
    visitor_id = body.get("visitorId")
    if visitor_id is not None:
        visitor_id = parse_uuid(visitor_id, "visitorId")
    name, choices = ("source", SOURCES) if is_view else ("button", BUTTONS)
    chosen = _choice(body, name, choices)
    if chosen is None:
        _refuse(name, "is required")
    hostname = _hostname(body)
    if is_view:
        return FormEvent(app_id, visitor_id, hostname, chosen, None)
    return FormEvent(app_id, visitor_id, hostname, None, chosen)


def _consents(raw: object) -> tuple[dict[str, Entry], str | None]:
    if not isinstance(raw, dict):
        _refuse("consents", "is required" if raw is None else "must be an object by consent type")
    if len(raw) > MAX_CONSENT_MEMBERS:
        _refuse("consents", f"may have at most {MAX_CONSENT_MEMBERS} members")
    found: dict[str, Entry] = {}
    for consent_type in CONSENT_TYPES:
        if consent_type not in raw:
            continue
        value = raw[consent_type]
        if not isinstance(value, dict):
            _refuse(f"consents.{consent_type}", "must be an object {status, historyId}")
        given = value.get("status")
        status = _STATUSES.get((type(given), given)) if isinstance(given, _STATUS_TYPES) else None
        if status is None:
            problem = "is required" if given is None else "must be -1, 0 or 1"
            _refuse(f"consents.{consent_type}.status", problem)
        found[consent_type] = Entry(status, _history_id(value, consent_type))
    if not found:
        _refuse("consents", f"must have at least one of {', '.join(CONSENT_TYPES)}")
    intro = raw.get(INTRO)
    if intro is not None and not isinstance(intro, dict):
        _refuse(f"consents.{INTRO}", "must be an object {historyId}")
    return found, None if intro is None else _history_id(intro, INTRO)


def _history_id(entry: dict[str, Any], name: str) -> str | None:
    value = entry.get("historyId")
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_HISTORY_ID_CHARACTERS or "\x00" in value:
        _refuse(
            f"consents.{name}.historyId",
            f"must be a string of at most {MAX_HISTORY_ID_CHARACTERS} characters without NUL",
        )
    return value


def _hostname(body: dict[str, Any]) -> str:
    value = body.get("hostname")
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or len(value) > MAX_HOSTNAME_CHARACTERS or "\x00" in value:
        _refuse(
            "hostname",
            f"must be a string of at most {MAX_HOSTNAME_CHARACTERS} characters without NUL",
        )
    return value.lower()


def _decided_at(value: object) -> datetime | None:
    if value is None:
        return None
    moment = None
    if isinstance(value, str) and len(value) <= len("2026-11-25T10:00:00.000000000+00:00"):
        try:
            given = datetime.fromisoformat(value)
            moment = None if given.tzinfo is None else given.astimezone(UTC)
        except (ValueError, OverflowError):
            # OverflowError: the last day of the calendar, which is over in UTC.
            moment = None
    if moment is None or moment.year < _MIN_YEAR:
        _refuse("decidedAt", "must be a moment like 2026-11-25T10:00:00.000Z")
    return moment


def _choice(body: dict[str, Any], name: str, choices: tuple[Any, ...]) -> Any:
    value = body.get(name)
    if value is None:
        return None
    # Also by type: true equals 1 in Python. Choices are all of one type.
    if type(value) is not type(choices[0]) or value not in choices:
        _refuse(name, f"must be one of {', '.join(map(str, choices))}")
    return value


def analytics_visitor_id(cookies: object, app_id: str) -> str | None:
    """The analytics ID in a cookie string, lower-case, or None; nothing else of it is kept.

    The first dot-field of a cookie `_pk_id.<app>.<hash>`; of several the one with the latest
    current visit.  Source: contract L4, A1.10, A1.12.
    Errors: Invalid when it is no string or longer than 100,000 characters.
    """
    if cookies is None:
        return None
    if not isinstance(cookies, str) or len(cookies) > MAX_COOKIES_CHARACTERS:
        _refuse("cookies", f"must be a string of at most {MAX_COOKIES_CHARACTERS} characters")
    prefix = f"_pk_id.{app_id}."
    best: tuple[int, str] | None = None
    for cookie in cookies.split(";"):
        name, _, value = cookie.strip().partition("=")
        if name[: len(prefix)].lower() != prefix:
            continue
        fields = value.split(".")
        if _ANALYTICS_ID.fullmatch(fields[0]):
            is_dated = len(fields) > _CURRENT_VISIT and fields[_CURRENT_VISIT].isdecimal()
            visited = int(fields[_CURRENT_VISIT][:18]) if is_dated else 0
            if best is None or visited > best[0]:
                best = (visited, fields[0].lower())
    return None if best is None else best[1]


#: Which dot-field of the cookie is the time of the current visit.
_CURRENT_VISIT = 3


def _refuse(path: str, problem: str) -> NoReturn:
    message = f"{path} {problem}"
    raise Invalid(message, path=path)
