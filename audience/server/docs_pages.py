"""The documentation as pages: the files of `docs/`, for people, without anything from outside.

They lie in `docs/` of a checkout, `audience/docs/` of an installed wheel.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path

from aiohttp import web
from markdown_it import MarkdownIt

from audience.errors import NotFound

_PACKAGE = Path(__file__).resolve().parents[2]
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: light-dark(#eeece5, #23292e);
--accent: light-dark(#1b6b4a, #5fd0a0) }
body { background: light-dark(#fbfaf7, #14171a); color: light-dark(#1e2522, #e6eae7);
font: 16px/1.6 system-ui, sans-serif; max-width: 50rem; margin: 0 auto;
padding: 1.5rem 1rem }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -.02em }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem }
h3 { margin-top: 1.8rem } a { color: var(--accent) } img { max-width: 100% }
code, pre { font-family: ui-monospace, monospace; font-size: .88rem; overflow-wrap: anywhere }
pre { white-space: pre-wrap; background: var(--soft); padding: .8rem 1rem; border-radius: 8px }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .35rem .6rem; overflow-wrap: anywhere;
border-bottom: 1px solid var(--line) }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"
_CACHE_CONTROL = "public, max-age=300"


async def show_docs(request: web.Request) -> web.Response:
    """GET /docs/{name} -> 200, the document as a page; 404 for a name that is none."""
    page = pages().get(request.match_info["name"])
    if page is None:
        message = "there is no such document"
        raise NotFound(message)
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": _CACHE_CONTROL,
    }
    return web.Response(text=page, content_type="text/html", charset="utf-8", headers=headers)


@cache
def pages() -> Mapping[str, str]:
    """Each document by the name of its file without `.md`, as HTML."""
    installed = _PACKAGE / "audience" / "docs"
    folder = installed if installed.is_dir() else _PACKAGE / "docs"
    return {path.stem: render(path.read_text("utf-8")) for path in sorted(folder.glob("*.md"))}


def render(text: str) -> str:
    """A page of a Markdown text that starts with its title; HTML in it is shown, not obeyed."""
    title = re.match(r"# (.+)", text)
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title[1]) if title else 'Documentation'}</title>"
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>"
    )
