"""What browsers load for an app: GET /containers/..., GET /.well-known/gpc.json.

Answers are kept for a few seconds in each process: so a change of the settings shows at once, and a
busy page costs nothing but a look into a dict.
"""

import gzip
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC

import orjson
from aiohttp import web
from multidict import CIMultiDict
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.errors import Invalid
from audience.server import clock
from audience.server.keys import DATABASE
from audience.server.static_files import choose_encoding
from audience.uuid_text import parse_uuid
from consent.forms import operations, storage
from consent.forms.assets import container_scripts, template_sources
from consent.forms.container import (
    COMMON_KEYS,
    DEFAULT_DATA_LAYER_NAME,
    TEMPLATE_KEYS,
    WIDGET_KEYS,
    container_configuration,
    container_script,
    templates,
)
from consent.forms.texts import LANGUAGE_NAMES

_JAVASCRIPT = "application/javascript; charset=utf-8"
_JSON = "application/json; charset=utf-8"
_HTML = "text/html; charset=utf-8"
#: Browsers ask again after this time whether it changed.
_CACHE_CONTROL = "public, max-age=60, must-revalidate"
_KEPT_SECONDS = 5.0
_MAX_KEPT = 2000
_DATA_LAYER_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,63}")
_UNKNOWN_LANGUAGE = "?"
_NOSCRIPT = "<!doctype html><meta charset=utf-8><title>No script</title>"

#: Makes the text of an answer.
Maker = Callable[[AsyncConnection], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class _Answer:
    text: bytes
    compressed: bytes
    digest: str
    until: float


class Answers:
    """The answers of the last seconds, by what was asked."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self._kept: dict[tuple[str, ...], _Answer] = {}

    async def get(
        self, request: web.Request, key: tuple[str, ...], content_type: str, make: Maker
    ) -> web.Response:
        """200 with the kept or newly made text, or 304 when the browser has it."""
        answer = self._kept.get(key)
        if answer is None or answer.until < time.monotonic():
            async with request.app[DATABASE].transaction() as conn:
                text = (await make(conn)).encode()
            digest = hashlib.sha256(text).hexdigest()[:20]
            compressed = gzip.compress(text, 9, mtime=0)
            answer = _Answer(text, compressed, digest, time.monotonic() + _KEPT_SECONDS)
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[key] = answer
        bodies = {"identity": answer.text, "gzip": answer.compressed}
        accepted = request.headers.get("Accept-Encoding", "")
        is_zipped = choose_encoding(accepted, bodies) == "gzip"
        # Each encoding is a representation of its own.
        etag = f"{answer.digest}-gzip" if is_zipped else answer.digest
        headers = CIMultiDict({"Cache-Control": _CACHE_CONTROL, "ETag": f'"{etag}"'})
        headers["Vary"] = "Accept-Encoding"
        # Pages that isolate themselves (COEP) load it as well.
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if any(known.value in (etag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = content_type
        headers["X-Content-Type-Options"] = "nosniff"
        if is_zipped:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=answer.compressed if is_zipped else answer.text, headers=headers)


_ANSWERS = web.AppKey("container_answers", Answers)


def keep_container_answers(app: web.Application) -> None:
    """Prepare the application for the handlers here."""
    app[_ANSWERS] = Answers()


async def show_container(request: web.Request) -> web.Response:
    """GET /containers/<app>.js?data_layer_name= -> 200 or 304; 404 for an unknown app.

    Also as <app>.sync.js: the container starts once, whichever snippet the page has, both too.
    Source: contract D0.7, L6.
    """
    app_id = _app_id(request)
    asked = request.query.get("data_layer_name", "")
    name = asked if _DATA_LAYER_NAME.fullmatch(asked) else DEFAULT_DATA_LAYER_NAME

    async def make(conn: AsyncConnection) -> str:
        settings = (await operations.get_form(conn, app_id)).settings
        scripts = container_scripts()
        script = scripts.commands if settings.is_custom_form else scripts.form
        return container_script(script, container_configuration(settings, name))

    return await request.app[_ANSWERS].get(request, (app_id, name), _JAVASCRIPT, make)


async def show_templates(request: web.Request) -> web.Response:
    """GET /containers/<app>/privacy-templates.json?language= -> 200 or 304; 404 unknown app.

    All languages, or the one asked for (the default one when it is not offered). Then without the
    data request form, which the container fetches as widgets where a page has it.
    Source: contract L6.
    """
    keys = COMMON_KEYS if request.query.get("language") else TEMPLATE_KEYS
    return await _show_templates(request, "templates", keys)


async def show_widgets(request: web.Request) -> web.Response:
    """GET /containers/<app>/privacy-widgets.json -> as `show_templates`, only the widgets."""
    return await _show_templates(request, "widgets", WIDGET_KEYS)


async def show_widgets_script(request: web.Request) -> web.Response:
    """GET /audiences/static/widget/consent-widgets.min.js -> 200 or 304.

    The container of an app with a form of its own fetches it on pages that have a widget.
    """

    async def make(_conn: AsyncConnection) -> str:
        return container_scripts().widgets

    return await request.app[_ANSWERS].get(request, ("widgets script",), _JAVASCRIPT, make)


async def show_noscript(request: web.Request) -> web.Response:
    """GET /containers/<app>/noscript.html -> 200, an empty page: nothing is done without script."""
    _app_id(request)
    return web.Response(
        body=_NOSCRIPT.encode(),
        headers={"Content-Type": _HTML, "Cache-Control": "public, max-age=86400"},
    )


async def show_gpc(request: web.Request) -> web.Response:
    """GET /.well-known/gpc.json?website_id= -> 200 {"gpc", "lastUpdate"} of the app.

    Without an app it speaks for the whole service: true when every app honours the signal.
    Source: contract L10.
    """
    app_id = request.query.get("website_id")
    async with request.app[DATABASE].transaction() as conn:
        if app_id is not None:
            settings = await operations.get_settings(conn, parse_uuid(app_id, "website_id"))
            is_honoured, changed_at = settings.is_gpc_honoured, settings.gpc_changed_at
        else:
            count, honouring, changed_at = await storage.summarize_gpc(conn)
            is_honoured = count == honouring
    day = (changed_at or clock.now()).astimezone(UTC).date().isoformat()
    return web.Response(
        body=orjson.dumps({"gpc": is_honoured, "lastUpdate": day}),
        headers={"Content-Type": "application/json", "Cache-Control": "public, max-age=3600"},
    )


async def _show_templates(request: web.Request, kind: str, keys: tuple[str, ...]) -> web.Response:
    app_id = _app_id(request)
    asked = request.query.get("language", "")
    if asked and asked not in LANGUAGE_NAMES:
        # All unknown ones get the default's: one answer to keep, not one for each word.
        asked = _UNKNOWN_LANGUAGE

    async def make(conn: AsyncConnection) -> str:
        form = await operations.show_form(conn, app_id, clock.now())
        texts = form.texts
        if asked:
            language = asked if asked in texts else form.settings.default_language
            texts = {language: texts[language]}
        return orjson.dumps(templates(form.settings, texts, template_sources(), keys)).decode()

    return await request.app[_ANSWERS].get(request, (app_id, kind, asked), _JSON, make)


def _app_id(request: web.Request) -> str:
    try:
        return parse_uuid(request.match_info["app_id"], "the app ID in the path")
    except Invalid as error:
        raise Invalid(error.message) from None
