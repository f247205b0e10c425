"""Cross-origin headers of the public surface: any origin, no credentials (contract D2)."""

from aiohttp import web
from multidict import CIMultiDict

ANY_ORIGIN = "*"
MAX_AGE_SECONDS = 86_400
_MAX_HEADER_NAMES_CHARACTERS = 1024


def preflight(request: web.Request) -> web.Response:
    """204 to any preflight; the requested headers are allowed as they were asked for (D2.2)."""
    asked = request.headers.get("Access-Control-Request-Headers", "")
    allowed = asked if 0 < len(asked) <= _MAX_HEADER_NAMES_CHARACTERS else "Content-Type"
    headers = CIMultiDict({"Access-Control-Allow-Origin": ANY_ORIGIN})
    headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
    headers["Access-Control-Allow-Headers"] = allowed
    headers["Access-Control-Max-Age"] = str(MAX_AGE_SECONDS)
    return web.Response(status=204, headers=headers)
