"""The description of the API as a page for people: no script, no outside resource.

GET /api/openapi.json and GET /api/docs need no token: they tell nothing of anybody's data.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import orjson
from aiohttp import web

OPENAPI: web.AppKey[Callable[[], dict[str, Any]]] = web.AppKey("openapi")

_MAX_DEPTH = 6
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881;
--accent: light-dark(#0b57d0, #8ab4f8) }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.7rem } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
nav ul { columns: 16rem; padding: 0; list-style: none } a { color: var(--accent) }
details { border: 1px solid var(--line); border-radius: 8px; margin: .6rem 0; padding: .5rem .8rem }
summary { cursor: pointer; overflow-wrap: anywhere } summary code { font-size: 1rem }
.method { display: inline-block; min-width: 4.2rem; font: 600 .8rem ui-monospace, monospace }
code, pre { font-family: ui-monospace, monospace; font-size: .88rem }
pre { white-space: pre-wrap; background: var(--soft); padding: .6rem; border-radius: 6px }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top;
padding: .25rem .5rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
h3 { margin: .8rem 0 .2rem; font-size: 1rem }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


async def show_openapi(request: web.Request) -> web.Response:
    """GET /api/openapi.json -> 200, the OpenAPI 3 document of every route."""
    body = orjson.dumps(request.app[OPENAPI](), option=orjson.OPT_INDENT_2)
    return web.Response(body=body, content_type="application/json")


async def show_api_docs(request: web.Request) -> web.Response:
    """GET /api/docs -> 200, the same as a page."""
    page = "".join(render_page(request.app[OPENAPI]()))
    policy = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
    return web.Response(text=page, content_type="text/html", charset="utf-8", headers=headers)


def render_page(document: dict[str, Any]) -> Iterator[str]:
    """The page, piece by piece. document: OpenAPI 3; its texts are escaped here."""
    title = escape(f"{document['info']['title']} API")
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
    yield f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>"
    yield f"<p>{escape(document['info'].get('description', ''))} "
    yield 'The same for programs: <a href="openapi.json">openapi.json</a>.</p>'
    tags: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tags.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    yield '<nav aria-label="Sections"><ul>'
    for tag in tags:
        yield f'<li><a href="#{_anchor(tag)}">{escape(tag)}</a></li>'
    yield "</ul></nav>"
    for tag, operations_of_tag in tags.items():
        yield f'<section><h2 id="{_anchor(tag)}">{escape(tag)}</h2>'
        for method, path, operation in operations_of_tag:
            yield from _operation(document, method, path, operation)
        yield "</section>"
    yield "</main></body></html>"


def _operation(
    document: dict[str, Any], method: str, path: str, operation: dict[str, Any]
) -> Iterator[str]:
    yield f'<details id="{escape(operation["operationId"])}"><summary>'
    yield f'<span class="method">{escape(method)}</span> <code>{escape(path)}</code> '
    yield f"{escape(operation['summary'])}</summary>"
    yield f"<pre>{escape(operation['description'])}</pre>"
    if operation["parameters"]:
        yield "<h3>Parameters</h3>"
        rows = [
            (one["name"], one["in"], one.get("schema", {}), one.get("required", False))
            for one in operation["parameters"]
        ]
        yield from _table(
            (name, f"{place}, {_kind(document, schema)}{', required' if is_required else ''}", text)
            for name, place, schema, is_required in rows
            for text in [schema.get("description", "")]
        )
    for name, content in _contents(operation):
        yield f"<h3>{escape(name)}</h3>"
        for media_type, media in content.items():
            yield f"<p><code>{escape(media_type)}</code></p>"
            yield from _table(_members(document, media["schema"]))
    yield "</details>"


def _contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if "requestBody" in operation:
        yield "Body", operation["requestBody"]["content"]
    for status, answer in operation["responses"].items():
        if status != "default" and "content" in answer:
            yield f"Answer {status}", answer["content"]


def _members(
    document: dict[str, Any], schema: dict[str, Any], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, str, str]]:
    """(path, kind, description) of every member of a schema."""
    schema = _resolved(document, schema)
    if depth > _MAX_DEPTH:
        return
    if schema.get("type") == "array":
        yield from _members(document, schema.get("items", {}), f"{prefix}[]", depth + 1)
        return
    properties = schema.get("properties", {})
    if not properties:
        yield prefix or "(whole)", _kind(document, schema), schema.get("description", "")
    for name, member in properties.items():
        path = f"{prefix}.{name}" if prefix else name
        required = ", required" if name in schema.get("required", ()) else ""
        inner = _resolved(document, member)
        if inner.get("properties") or inner.get("type") == "array":
            yield from _members(document, member, path, depth + 1)
        else:
            yield path, _kind(document, member) + required, member.get("description", "")


def _kind(document: dict[str, Any], schema: dict[str, Any]) -> str:
    schema = _resolved(document, schema)
    kind = schema.get("type", "any")
    kind = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if "enum" in schema:
        kind += ": " + ", ".join(str(value) for value in schema["enum"])
    if "default" in schema:
        kind += f", default {schema['default']}"
    return kind


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "")
    if not reference:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _table(rows: Any) -> Iterator[str]:
    yield "<table><thead><tr><th>Name</th><th>Kind</th><th>Meaning</th></tr></thead><tbody>"
    for name, kind, text in rows:
        yield f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td>"
        yield f"<td>{escape(str(text))}</td></tr>"
    yield "</tbody></table>"


def _anchor(tag: str) -> str:
    return escape(tag.replace(" ", "-"))
