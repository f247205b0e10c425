"""The naive service, written well: one statement per request on a pool of ten connections.

python tests/bench/naive_service.py PORT DATABASE_URL
"""

import sys
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import orjson
import uvloop
from aiohttp import web

POOL_SIZE = 10
_POOL = web.AppKey("pool", asyncpg.Pool)

_CHECK = """
SELECT EXISTS (
    SELECT FROM profile_identifiers i
    JOIN audience_members m ON m.app_id = i.app_id AND m.profile_id = i.profile_id
    WHERE i.app_id = $1 AND i.identifier_name = 'analytics_visitor_id'
        AND i.identifier_value = $2 AND m.audience_id = $3
)
"""

_WRITE = """
UPDATE naive_profiles p SET attributes = p.attributes || $4::jsonb, updated_at = now()
FROM naive_profile_identifiers i
WHERE i.app_id = $1 AND i.identifier_name = $2 AND i.identifier_value = $3
    AND p.app_id = i.app_id AND p.profile_id = i.profile_id
"""


_COLLECT = """
INSERT INTO naive_decisions (app_id, decision_id, visitor_id, consents, hostname, method,
    decided_at)
VALUES ($1, $2, $3, $4::jsonb, $5, $6, now())
ON CONFLICT DO NOTHING
"""


async def check_audience(request: web.Request) -> web.Response:
    """Is this visitor in this audience; one SELECT."""
    try:
        app_id = UUID(request.query["website_id"])
        audience_id = UUID(request.query["audience_id"])
    except (KeyError, ValueError):
        raise web.HTTPBadRequest(text="website_id and audience_id must be UUIDs") from None
    visitor_id = request.match_info["analytics_visitor_id"]
    is_member = await request.app[_POOL].fetchval(_CHECK, app_id, visitor_id, audience_id)
    body = orjson.dumps({"result": is_member})
    return web.Response(body=body, content_type="application/json")


async def modify_attributes(request: web.Request) -> web.Response:
    """Merge attributes into the profile of the strongest identifier; one UPDATE an item."""
    try:
        items = orjson.loads(await request.read())
        changes = [_change(item) for item in items]
    except (KeyError, TypeError, ValueError):
        raise web.HTTPBadRequest(text="expected items with website_id and attributes") from None
    for change in changes:
        await request.app[_POOL].execute(_WRITE, *change)
    return web.Response(status=204)


def _change(item: dict[str, object]) -> tuple[UUID, str, str, str]:
    name = "user_id" if item.get("user_id") else "analytics_visitor_id"
    attributes = {entry["name"]: entry["value"] for entry in item["attributes"]}
    return UUID(item["website_id"]), name, item[name], orjson.dumps(attributes).decode()


async def collect(request: web.Request) -> web.Response:
    """Store a consent decision; one INSERT."""
    try:
        body = orjson.loads(await request.read())
        row = (
            UUID(body["websiteId"]),
            UUID(body["decisionId"]),
            UUID(body["visitorId"]),
            orjson.dumps(body["consents"]).decode(),
            body["hostname"],
            body["method"],
        )
    except (KeyError, TypeError, ValueError):
        raise web.HTTPBadRequest(text="expected a consent decision") from None
    await request.app[_POOL].execute(_COLLECT, *row)
    return web.Response(status=204)


async def _hold_pool(app: web.Application) -> AsyncIterator[None]:
    url = sys.argv[2]
    async with asyncpg.create_pool(url, min_size=POOL_SIZE, max_size=POOL_SIZE) as pool:
        app[_POOL] = pool
        yield


def main() -> None:
    app = web.Application()
    app.cleanup_ctx.append(_hold_pool)
    path = "/audiences/public/api/profiles/{analytics_visitor_id}/audiences/check/"
    app.router.add_get(path, check_audience)
    app.router.add_post("/audiences/tracker/attributes/", modify_attributes)
    app.router.add_post("/consent/collect", collect)
    loop = uvloop.new_event_loop()
    web.run_app(
        app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=loop
    )


if __name__ == "__main__":
    main()
