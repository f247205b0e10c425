"""Reading single fields of a request's query."""

import re
from functools import cache

from aiohttp import web

from audience.uuid_text import UUID_FORM, parse_uuid


def required_uuid(request: web.Request, name: str) -> str:
    """The UUID of a query parameter; the first one counts.  Errors: as `parse_uuid`."""
    found = _plainly(name).match(request.rel_url.raw_query_string)
    if found is not None:
        return found[1].lower()
    return parse_uuid(request.query.get(name), name)


@cache
def _plainly(name: str) -> re.Pattern[str]:
    """Finds the parameter as every client writes it, without parsing the whole query."""
    return re.compile(f"(?:(?!{name}=)[^&]*&)*{name}=({UUID_FORM})(?:&|$)")
