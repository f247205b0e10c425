"""What mails and pages about requests say, in five languages: `<language>.json`.

Every file has the same keys with the same `{placeholders}`.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

LANGUAGES = ("en", "de", "fr", "pl", "es")
DEFAULT_LANGUAGE = "en"
_MAX_HEADER_CHARACTERS = 1000


@cache
def texts_in(language: str) -> Mapping[str, str]:
    """{key: text} in the language; in English for one that there is not."""
    known = language if language in LANGUAGES else DEFAULT_LANGUAGE
    source = files("consent.data_subject_requests.texts").joinpath(f"{known}.json")
    found: dict[str, str] = json.loads(source.read_text("utf-8"))
    return found


def text(language: str, key: str, **values: object) -> str:
    """The text with its placeholders filled; what is filled in is taken as it is."""
    return texts_in(language)[key].format_map(values)


def day(moment: datetime, timezone: str) -> str:
    """The day of a moment by the app's calendar, in the one form that every language reads."""
    return moment.astimezone(ZoneInfo(timezone)).date().isoformat()


def known_language(wanted: str | None) -> str | None:
    """The language of LANGUAGES that a tag like `de-AT` stands for, or None."""
    base = (wanted or "").strip().lower().replace("_", "-").partition("-")[0]
    return base if base in LANGUAGES else None


def best_language(accept_language: str | None) -> str:
    """The language of LANGUAGES that an Accept-Language header likes best, else English."""
    wanted: list[tuple[float, int, str]] = []
    header = (accept_language or "")[:_MAX_HEADER_CHARACTERS]
    for position, part in enumerate(header.split(",")):
        tag, _, parameters = part.partition(";")
        language = known_language(tag)
        if language is not None:
            wanted.append((-_quality(parameters), position, language))
    return min(wanted)[2] if wanted else DEFAULT_LANGUAGE


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
