"""Public reads of audience membership (contract D1.1, D1.2). They look up, they never evaluate."""

from collections.abc import AsyncIterator, Sequence

import orjson
from aiohttp import web

from audience.audiences import storage
from audience.audiences.storage import MembershipQuestion, VisitorQuestion
from audience.profiles.handlers import json_bytes, unknown_app, visitor_id_of
from audience.server.batcher import Batcher
from audience.server.keys import DATABASE, SETTINGS
from audience.server.metrics import batch_counter
from audience.server.openapi import described
from audience.server.request_fields import required_uuid
from audience.server.schema_fields import MembershipAnswer, MembershipQuery, VisitorQuery

_CHECKS = web.AppKey("membership_checks", Batcher[MembershipQuestion, bool | None])
_LISTS = web.AppKey("membership_lists", Batcher[VisitorQuestion, list[str] | None])
_MAX_READS_IN_BATCH = 128

_MEMBER = b'{"result": true}'
_NO_MEMBER = b'{"result": false}'


async def hold_membership_reads(app: web.Application) -> AsyncIterator[None]:
    """Coalesces membership reads, one connection a kind, while the service runs."""
    held_for_checks, held_for_lists = app[DATABASE].hold(), app[DATABASE].hold()

    async def flush_checks(asked: Sequence[MembershipQuestion]) -> list[bool | None]:
        async with held_for_checks.use() as conn:
            return await storage.check_memberships(conn, asked)

    async def flush_lists(asked: Sequence[VisitorQuestion]) -> list[list[str] | None]:
        async with held_for_lists.use() as conn:
            return await storage.list_memberships(conn, asked)

    app[_CHECKS] = Batcher(
        flush_checks,
        max_weight=_MAX_READS_IN_BATCH,
        takes_arrived=True,
        gathers=app[SETTINGS].workers > 1,
        on_batch=batch_counter("checks"),
    )
    app[_LISTS] = Batcher(
        flush_lists,
        max_weight=_MAX_READS_IN_BATCH,
        takes_arrived=True,
        gathers=app[SETTINGS].workers > 1,
        on_batch=batch_counter("lists"),
    )
    yield
    await app[_CHECKS].close()
    await app[_LISTS].close()
    await held_for_checks.close()
    await held_for_lists.close()


@described(query=MembershipQuery, answer=MembershipAnswer)
async def check_audience(request: web.Request) -> web.StreamResponse:
    """GET .../profiles/{analytics_visitor_id}/audiences/check/?website_id=&audience_id= -> 200.

    Shape: {"result": true|false}, false also for an unknown visitor or audience; 403 for an unknown
    app, 400 for a malformed id.  Source: contract D1.2, D1.6, D1.10.
    """
    app_id = required_uuid(request, "website_id")
    audience_id = required_uuid(request, "audience_id")
    question = MembershipQuestion(app_id, visitor_id_of(request), audience_id)
    is_member = await request.app[_CHECKS].submit(question)
    if is_member is None:
        raise unknown_app()
    return json_bytes(_MEMBER if is_member else _NO_MEMBER)


@described(query=VisitorQuery)
async def list_audiences(request: web.Request) -> web.StreamResponse:
    """GET .../profiles/{analytics_visitor_id}/audiences/?website_id= -> 200.

    Shape: ["<audience id>"] in order, [] for an unknown visitor; 403 for an unknown app, 400 for a
    malformed id.  Source: contract D1.1, D1.6, D1.9.
    """
    app_id = required_uuid(request, "website_id")
    audience_ids = await request.app[_LISTS].submit(VisitorQuestion(app_id, visitor_id_of(request)))
    if audience_ids is None:
        raise unknown_app()
    return json_bytes(orjson.dumps(audience_ids))
