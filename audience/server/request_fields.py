"""Reading single fields of a request's query."""

from aiohttp import web

from audience.uuid_text import parse_uuid


def required_uuid(request: web.Request, name: str) -> str:
    """The UUID of a query parameter; the first one counts.  Errors: as `parse_uuid`."""
    return parse_uuid(request.query.get(name), name)
