"""Public reads of a profile's attributes (contract D1.3)."""

from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from audience.errors import Forbidden, Invalid, NotFound
from audience.profiles.identifiers import normalise_analytics_visitor_id
from audience.profiles.public_attributes import storage
from audience.profiles.public_attributes.storage import PublicAttributes
from audience.server.batcher import Batcher
from audience.server.keys import DATABASE, SETTINGS
from audience.server.metrics import batch_counter
from audience.server.openapi import described
from audience.server.ready_response import ReadyResponse, ResponseHead
from audience.server.request_fields import required_uuid
from audience.server.schema_fields import PublicAttribute, VisitorQuery

_READS = web.AppKey("attribute_reads", Batcher[tuple[str, str], PublicAttributes])
_MAX_READS_IN_BATCH = 128


async def hold_attribute_reads(app: web.Application) -> AsyncIterator[None]:
    """Coalesces the reads of attributes on one connection while the service runs."""
    held = app[DATABASE].hold()

    async def flush(asked: Sequence[tuple[str, str]]) -> list[PublicAttributes]:
        async with held.use() as conn:
            return await storage.read_public_attributes(conn, asked)

    observe = batch_counter("attributes")
    app[_READS] = Batcher(
        flush,
        max_weight=_MAX_READS_IN_BATCH,
        takes_arrived=True,
        gathers=app[SETTINGS].workers > 1,
        on_batch=observe,
    )
    yield
    await app[_READS].close()
    await held.close()


def visitor_id_of(request: web.Request) -> str:
    """The visitor ID of the path, lower-cased.  Errors: Invalid when it is not 16 hex digits."""
    visitor_id = normalise_analytics_visitor_id(request.match_info["analytics_visitor_id"])
    if visitor_id is None:
        message = "analytics_visitor_id (in the path) must be 16 hex digits"
        raise Invalid(message, path="analytics_visitor_id")
    return visitor_id


def unknown_app() -> Forbidden:
    """The refusal for an app that does not exist or has the audience manager switched off."""
    return Forbidden("Forbidden: website_id names no app of this service", path="website_id")


def json_bytes(body: bytes) -> web.StreamResponse:
    """200 with JSON that no cache keeps (contract D1.15)."""
    return ReadyResponse(_JSON, body)


_JSON = ResponseHead(
    200, {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}
)


@described(query=VisitorQuery, answer=PublicAttribute, is_list=True)
async def get_attributes(request: web.Request) -> web.StreamResponse:
    """GET .../public/api/profiles/{analytics_visitor_id}/attributes/?website_id= -> 200.

    Shape: [{"name", "value", "field_type"}], only whitelisted attributes; 404 for an unknown
    visitor, 403 for an unknown app, 400 for a malformed id.  Source: contract D1.3, D1.6-D1.10.
    """
    app_id = required_uuid(request, "website_id")
    found = await request.app[_READS].submit((app_id, visitor_id_of(request)))
    if not found.is_app_known:
        raise unknown_app()
    if found.document is None:
        message = "Profile not found"
        raise NotFound(message)
    return json_bytes(found.document.encode())
