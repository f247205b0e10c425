"""The authorized surface: JSON:API answers, bodies and errors (contract D3.4, D4.7-D4.10).

Errors: {"errors": [{"status", "code", "title", "detail", "source": {"parameter"|"pointer"}}]}; a
caller who is not authenticated gets {"error": "..."} as documented (D4.8).
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from aiohttp import web
from marshmallow import Schema, ValidationError

from audience.errors import (
    DomainError,
    Invalid,
    InvalidFields,
    InvalidParameter,
    TooLarge,
    Unauthenticated,
    UnsupportedType,
)
from audience.server.error_response import add_retry_after, status_of
from audience.server.request_body import read_json

JSON = "application/json"
JSON_API = "application/vnd.api+json"
#: Where the attributes of a resource stand in its document, for the pointers of errors.
POINTER_PREFIX = web.RequestKey("pointer_prefix", str)
#: Objects of a list that are checked before other requests get their turn.
_CHECKED_AT_A_STRETCH = 25
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Payload Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def json_response(request: web.Request, document: object, status: int = 200) -> web.Response:
    """A JSON answer that no cache keeps; as JSON:API when the Accept header asks for it."""
    accepted = JSON_API if JSON_API in request.headers.get("Accept", "") else JSON
    return _response(
        document, status, f"{accepted}; charset=utf-8" if accepted == JSON else JSON_API
    )


def no_content() -> web.Response:
    """204, the answer to a PATCH or DELETE that was done (contract D4.10)."""
    return web.Response(status=204, headers={"Cache-Control": "no-store"})


def resource(kind: str, resource_id: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """One JSON:API resource object."""
    return {"type": kind, "id": resource_id, "attributes": dict(attributes)}


def document_of(data: object, **members: object) -> dict[str, Any]:
    """A JSON:API document; members: `meta` and the like, left out when None."""
    return {"data": data, **{name: value for name, value in members.items() if value is not None}}


async def read_body(request: web.Request, schema: type[Schema]) -> dict[str, Any]:
    """The body, a plain JSON object, checked by the schema.

    Errors: UnsupportedType for another media type than JSON, InvalidFields, TooLarge.
    """
    _check_media_type(request)
    return _load(schema(), await read_json(request), "")


async def read_list(request: web.Request, schema: type[Schema], most: int) -> list[dict[str, Any]]:
    """The body, a plain JSON array of objects (or one object), each checked by the schema.

    most: how many there may be.
    Errors: UnsupportedType for another media type than JSON, InvalidFields with pointers, TooLarge.
    """
    _check_media_type(request)
    given = await read_json(request)
    given = [given] if isinstance(given, dict) else given
    if not isinstance(given, list):
        raise InvalidFields([("/", "must be a JSON array of objects")])
    if len(given) > most:
        message = f"the body holds {len(given)} objects, at most {most} are allowed"
        raise TooLarge(message)
    checks, checked = schema(), []
    for position, one in enumerate(given):
        checked.append(_load(checks, one, f"/{position}"))
        if position % _CHECKED_AT_A_STRETCH == 0:
            # Public requests come first.
            await asyncio.sleep(0)
    return checked


async def read_resource(
    request: web.Request,
    kind: str,
    schema: type[Schema],
    *,
    resource_id: str | None = None,
    is_partial: bool = False,
) -> dict[str, Any]:
    """The attributes of a document {"data": {"type", "id"?, "attributes"}}, checked by the schema.

    resource_id: the id in the path, which the document must repeat when it names one (PATCH must,
    D4.10). is_partial: attributes may be left out.
    Errors: UnsupportedType, InvalidFields with pointers into the document, TooLarge.
    """
    data = await _read_data(request, kind)
    given_id = data.get("id")
    if resource_id is not None and given_id != resource_id and (is_partial or given_id is not None):
        raise InvalidFields([("/data/id", "id must be the id in the path")])
    return _load_attributes(data, schema, is_partial=is_partial)


async def read_named_resource(
    request: web.Request, kind: str, schema: type[Schema]
) -> tuple[str, dict[str, Any]]:
    """(id, attributes) of a document whose path has no id; attributes may be left out.

    Errors: as `read_resource`.
    """
    data = await _read_data(request, kind)
    given_id = data.get("id")
    if not isinstance(given_id, str):
        raise InvalidFields([("/data/id", "id must be a text")])
    return given_id, _load_attributes(data, schema, is_partial=True)


def read_query(request: web.Request, schema: type[Schema]) -> dict[str, Any]:
    """The query's parameters, checked by the schema; the last one of a name counts.

    Errors: InvalidParameter naming the first parameter at fault; unknown ones are ignored.
    """
    try:
        return dict(schema(unknown="exclude").load(dict(request.query)))
    except ValidationError as error:
        path, message = next(iter(_problems(error.messages, "")))
        name = path.strip("/").partition("/")[0]
        raise InvalidParameter(f"{name}: {message}", path=name) from None


def error_response(request: web.Request, error: DomainError) -> web.Response:
    """The answer to a refused authorized request."""
    status = status_of(error)
    if isinstance(error, Unauthenticated):
        response = _response({"error": error.message}, status, JSON)
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    if isinstance(error, InvalidFields):
        errors = [
            _error(status, error.code, text, _source(request, error, path))
            for path, text in error.problems
        ]
    else:
        errors = [_error(status, error.code, error.message, _source(request, error, error.path))]
    return add_retry_after(_response({"errors": errors}, status, JSON_API), error)


def plain_error(status: int, code: str, detail: str) -> web.Response:
    """One error without a source: unknown path, wrong method, a failure of ours."""
    return _response({"errors": [_error(status, code, detail, None)]}, status, JSON_API)


def _error(status: int, code: str, detail: str, source: dict[str, str] | None) -> dict[str, Any]:
    error: dict[str, Any] = {
        "status": str(status),
        "code": code,
        "title": _TITLES.get(status, "Error"),
        "detail": detail,
    }
    return error if source is None else error | {"source": source}


def _source(request: web.Request, error: DomainError, path: str | None) -> dict[str, str] | None:
    if path is None or not isinstance(error, Invalid):
        return None
    if isinstance(error, InvalidParameter):
        return {"parameter": path}
    if path.startswith("/"):
        return {"pointer": path}
    steps = re.sub(r"\[(\d+)\]", r".\1", path).split(".")
    return {"pointer": "/".join([request.get(POINTER_PREFIX, ""), *steps])}


async def _read_data(request: web.Request, kind: str) -> dict[str, Any]:
    """The resource of the document, its type checked."""
    _check_media_type(request)
    document = await read_json(request)
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        raise InvalidFields([("/data", "data must be an object {type, attributes}")])
    if data.get("type") != kind:
        raise InvalidFields([("/data/type", f"type must be {kind!r}")])
    request[POINTER_PREFIX] = "/data/attributes"
    return data


def _load_attributes(
    data: dict[str, Any], schema: type[Schema], *, is_partial: bool
) -> dict[str, Any]:
    return _load(schema(partial=is_partial), data.get("attributes", {}), "/data/attributes")


def _check_media_type(request: web.Request) -> None:
    if request.content_type in (JSON, JSON_API) or "Content-Type" not in request.headers:
        return
    message = (
        f'"{request.content_type[:100]}" is not a valid JSON API Content-Type header, '
        f'use "{JSON_API}" instead'
    )
    raise UnsupportedType(message)


def _load(schema: Schema, raw: object, prefix: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise InvalidFields([(prefix or "/", "must be a JSON object")])
    try:
        return dict(schema.load(raw))
    except ValidationError as error:
        raise InvalidFields(
            [
                (path, f"{path.rpartition('/')[2]}: {message}")
                for path, message in _problems(error.messages, prefix)
            ]
        ) from None


def _problems(messages: Any, path: str) -> Iterator[tuple[str, str]]:
    """(pointer, sentence) of everything marshmallow found."""
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from _problems(inner, path if name == "_schema" else f"{path}/{name}")
    elif isinstance(messages, list):
        for inner in messages:
            yield from _problems(inner, path)
    else:
        yield path or "/", str(messages)


def _response(document: object, status: int, content_type: str) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(document),
        headers={"Content-Type": content_type, "Cache-Control": "no-store"},
    )
