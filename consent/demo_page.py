"""GET /demo/: both widgets at work on one page; there only beside the demo app."""

import secrets
from html import escape

import orjson
from aiohttp import web

from audience.server.keys import SETTINGS
from audience.server.static_files import built_file, get_built_file
from consent.demo import Demo

DEMO: web.AppKey[Demo] = web.AppKey("demo")

_SLASH = "{slash:/?}"


def add_demo_page(app: web.Application, demo: Demo) -> None:
    """Register the page with its script and style; without this call its paths are 404."""
    app[DEMO] = demo
    root_path = app[SETTINGS].root_path
    app.router.add_get(f"{root_path}/demo{_SLASH}", show_demo)
    for name in ("demo.min.js", "demo.min.js.map", "demo.min.css"):
        app.router.add_get(f"{root_path}/demo/{name}", built_file(f"demo/{name}"))


async def show_demo(request: web.Request) -> web.Response:
    """GET /demo/ -> 200, the page; nothing on it comes from elsewhere.

    Its policy is the strict one that the documentation asks of pages: a nonce for the snippets, and
    the address of the instance, which here is the page's own.
    """
    demo, root = request.app[DEMO], request.app[SETTINGS].root_path
    nonce = secrets.token_urlsafe(18)
    data = orjson.dumps({"app_id": demo.app_id, "audiences": demo.audiences}).decode()
    values = {
        "nonce": nonce,
        "root": root,
        "app_id": demo.app_id,
        # Inside a script element only `<` could end it.
        "demo": data.replace("<", "\\u003c"),
    }
    html = get_built_file("demo/index.html").bodies["identity"].decode()
    for name, value in values.items():
        html = html.replace("{{" + name + "}}", value if name == "demo" else escape(value))
    policy = (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; connect-src 'self'; "
        "style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return web.Response(
        text=html,
        content_type="text/html",
        charset="utf-8",
        headers={
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )
