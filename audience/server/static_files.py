"""Serving built files: browser scripts with their source maps, precompressed, revalidated.

A built file lies in `static/dist/` of a checkout, `audience/static/dist/` of an installed wheel,
with `.gz` and `.br` beside it. All are read once: whoever asks for another name gets 404.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiohttp import web
from multidict import CIMultiDict

from audience.errors import NotFound
from audience.server.surface import Handler

_PACKAGE = Path(__file__).resolve().parents[2]
_CONTENT_TYPES = {
    ".js": "application/javascript; charset=utf-8",
    ".map": "application/json; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: Content-Encoding -> ending of the precompressed file; what is smaller first.
_ENCODINGS = {"br": ".br", "gzip": ".gz"}
_IDENTITY = "identity"
#: Every page asks for these: the browser keeps one for a moment, then asks whether it changed.
CACHE_CONTROL = "public, max-age=300, must-revalidate"


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """One file. bodies: Content-Encoding or `identity` -> bytes; has_map: a source map is there."""

    name: str
    content_type: str
    bodies: Mapping[str, bytes]
    digest: str
    has_map: bool


@cache
def built_files(folder: Path | None = None) -> Mapping[str, BuiltFile]:
    """All built files by name, which may hold slashes: `demo/index.html`."""
    place = folder or _built_folder()
    found: dict[str, BuiltFile] = {}
    for path in sorted(place.rglob("*")):
        content_type = _CONTENT_TYPES.get(path.suffix)
        if content_type is None or not path.is_file():
            continue
        name = path.relative_to(place).as_posix()
        bodies = {_IDENTITY: path.read_bytes()}
        for encoding, ending in _ENCODINGS.items():
            beside = path.with_name(path.name + ending)
            if beside.is_file():
                bodies[encoding] = beside.read_bytes()
        digest = hashlib.sha256(bodies[_IDENTITY]).hexdigest()[:20]
        has_map = path.with_name(f"{path.name}.map").is_file()
        found[name] = BuiltFile(name, content_type, bodies, digest, has_map)
    return found


def _built_folder() -> Path:
    installed = _PACKAGE / "audience" / "static" / "dist"
    return installed if installed.is_dir() else _PACKAGE / "static" / "dist"


def get_built_file(name: str) -> BuiltFile:
    """Errors: NotFound."""
    file = built_files().get(name)
    if file is None:
        message = "there is no such file"
        raise NotFound(message)
    return file


def built_file(name: str) -> Handler:
    """A handler that serves one built file; all such handlers are one route to metrics and logs."""

    async def serve_built_file(request: web.Request) -> web.Response:
        """GET <path>/<name> -> 200 or 304; any origin may read it.

        Compressed as the request accepts; `ETag` for revalidation; `SourceMap` names the map.
        Source: contract E0.8.
        """
        return file_response(request, get_built_file(name))

    return serve_built_file


def file_response(
    request: web.Request, file: BuiltFile, cache_control: str = CACHE_CONTROL
) -> web.Response:
    """The file, or 304 when the request has it already."""
    encoding = choose_encoding(request.headers.get("Accept-Encoding", ""), file.bodies)
    # Each encoding is a representation of its own: one strong ETag for all would be wrong.
    etag = file.digest if encoding == _IDENTITY else f"{file.digest}-{encoding}"
    headers = CIMultiDict({"Cache-Control": cache_control, "ETag": f'"{etag}"'})
    headers["Vary"] = "Accept-Encoding"
    # Pages that isolate themselves (COEP) load it as well.
    headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    if any(known.value in (etag, "*") for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = file.content_type
    headers["X-Content-Type-Options"] = "nosniff"
    if file.has_map:
        headers["SourceMap"] = f"{file.name.rpartition('/')[2]}.map"
    if encoding != _IDENTITY:
        headers["Content-Encoding"] = encoding
    return web.Response(body=file.bodies[encoding], headers=headers)


def choose_encoding(accepted: str, bodies: Mapping[str, bytes]) -> str:
    """The encoding of those there are that the request's Accept-Encoding likes best.

    Between equally liked ones the smaller: br, gzip, then none. When everything is refused: none.
    Source: RFC 9110, 12.5.3.
    """
    weights: dict[str, float] = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        weights[name.strip()] = _weight(parameters)
    anything = weights.get("*", 0.0)
    offered = [(name, weights.get(name, anything)) for name in _ENCODINGS if name in bodies]
    # Without a word about it, no encoding at all is fine, but liked less than a named one.
    offered.append((_IDENTITY, weights.get(_IDENTITY, 0.0 if "*" in weights else 0.0001)))
    best, weight = max(offered, key=lambda choice: choice[1])
    return best if weight > 0 else _IDENTITY


def _weight(parameters: str) -> float:
    name, _, value = parameters.replace(" ", "").partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
