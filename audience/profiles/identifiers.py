"""The four identifiers of a profile: their names, strength, normal form and blocked values.

Pure: standard library only. Sources: contract A1, A3.2; decisions 2 and 8; blocked values are this
project's (ARCHITECTURE.md, decision 5).
"""

import re
from collections.abc import Collection
from typing import NamedTuple

USER_ID = "user_id"
EMAIL = "email"
DEVICE_ID = "device_id"
ANALYTICS_VISITOR_ID = "analytics_visitor_id"

#: Strongest first (contract A3.2). Strong ones never move between profiles, weak ones may.
IDENTIFIER_NAMES = (USER_ID, EMAIL, DEVICE_ID, ANALYTICS_VISITOR_ID)
STRONG_IDENTIFIER_NAMES = frozenset({USER_ID, EMAIL})

#: Longest identifier value. Four bytes a character still fit PostgreSQL's index row (2,704 bytes).
MAX_IDENTIFIER_CHARACTERS = 512

_VISITOR_ID = re.compile(r"[0-9a-f]{16}")
#: Quotes and white space around a value don't make it another one.
_AROUND = " \t\r\n\f\v\u00a0\"'`\u2018\u2019\u201c\u201d"

#: Values that programs send when they know nothing; joining on one would merge strangers.
BLOCKED_VALUES = frozenset(
    {
        "",
        "null",
        "undefined",
        "none",
        "nan",
        "anonymous",
        "guest",
        "0",
        "-1",
        "true",
        "false",
        "[object object]",
    }
)
BLOCKED_EMAIL_LOCAL_PARTS = frozenset({"noreply", "no-reply"})
_BLOCKED_EMAILS = tuple(f"{part}@" for part in sorted(BLOCKED_EMAIL_LOCAL_PARTS))


class Identifier(NamedTuple):
    """One identifier as stored: `identifier_name` of IDENTIFIER_NAMES and its normal form."""

    identifier_name: str
    identifier_value: str


def normalise_analytics_visitor_id(value: str) -> str | None:
    """The visitor ID in lower case, or None when it is not 16 hex digits.

    Source: contract A1.2, A1.13, decision 2.
    """
    lowered = value.lower()
    return lowered if _VISITOR_ID.fullmatch(lowered) else None


def normalise_email(value: str) -> str:
    """The e-mail as it is compared: trimmed and lower-cased (contract A1.13)."""
    return value.strip().lower()


def is_blocked(
    identifier_name: str, identifier_value: str, also_blocked: Collection[str] = ()
) -> bool:
    """True when the value must never join or create a profile.

    also_blocked: the app's own list, lower-cased. Compared trimmed, without quotes, in any case.
    """
    value = identifier_value.strip(_AROUND).lower()
    # Nothing but zeros (and what a UUID has between its digits) identifies nobody.
    if value in BLOCKED_VALUES or not value.strip("0{}-") or value in also_blocked:
        return True
    return identifier_name == EMAIL and value.startswith(_BLOCKED_EMAILS)


def parse_identifier(identifier_name: str, value: str) -> Identifier | None:
    """The identifier in its normal form, or None when the value can't be one of that kind."""
    normal: str | None = value
    if identifier_name == ANALYTICS_VISITOR_ID:
        normal = normalise_analytics_visitor_id(value)
    elif identifier_name == EMAIL:
        normal = normalise_email(value)
    return Identifier(identifier_name, normal) if normal and "\x00" not in normal else None
