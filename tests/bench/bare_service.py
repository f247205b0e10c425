"""A bare aiohttp handler on uvloop: what the HTTP stack alone costs.

python tests/bench/bare_service.py PORT
"""

import sys

import uvloop
from aiohttp import web


async def answer(_request: web.Request) -> web.Response:
    return web.Response(body=b'{"result": false}', content_type="application/json")


def main() -> None:
    app = web.Application()
    path = "/audiences/public/api/profiles/{analytics_visitor_id}/audiences/check/"
    app.router.add_get(path, answer)
    loop = uvloop.new_event_loop()
    web.run_app(
        app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=loop
    )


if __name__ == "__main__":
    main()
