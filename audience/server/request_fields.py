"""Reading single fields of a request's query."""

import re
from functools import cache, lru_cache

from aiohttp import web

from audience.uuid_text import UUID_FORM, parse_uuid


def required_uuid(request: web.Request, name: str) -> str:
    """The UUID of a query parameter; the first one counts.  Errors: as `parse_uuid`."""
    query = request.rel_url.raw_query_string
    found = _remembered(query, name) if len(query) <= _MAX_REMEMBERED else _plain(query, name)
    if found is not None:
        return found
    return parse_uuid(request.query.get(name), name)


def _plain(query: str, name: str) -> str | None:
    found = _plainly(name).match(query)
    return None if found is None else found[1].lower()


# Widgets ask for the same few audiences of an app again and again.
_remembered = lru_cache(maxsize=4096)(_plain)
_MAX_REMEMBERED = 256


@cache
def _plainly(name: str) -> re.Pattern[str]:
    """Finds the parameter as every client writes it, without parsing the whole query."""
    return re.compile(f"(?:(?!{name}=)[^&]*&)*{name}=({UUID_FORM})(?:&|$)")
