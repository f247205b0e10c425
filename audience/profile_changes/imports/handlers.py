"""Importing profiles from CSV: /api/audiences/v1/profiles/import/."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from aiohttp import BodyPartReader, ClientError, web
from aiohttp.http_exceptions import HttpProcessingError

from audience.apps.access import access_app, caller_of
from audience.apps.audit.operations import record_audit_entry
from audience.errors import Invalid, InvalidParameter, NotFound, Unavailable, UnsupportedType
from audience.profile_changes.emails import email_check
from audience.profile_changes.imports import storage
from audience.profile_changes.imports.receive import ImportRequest, Received, receive_import
from audience.profile_changes.imports.schemas import (
    MAX_MAPPING_CHARACTERS,
    ImportAttributes,
    ImportQuery,
    ImportsQuery,
)
from audience.profile_changes.imports.storage import ImportRow, error_document
from audience.profiles.authorized.schemas import WebsiteQuery
from audience.profiles.profile import timestamp_text
from audience.server import clock
from audience.server.database import raw
from audience.server.json_api import document_of, json_response, read_query, resource
from audience.server.keys import DATABASE, SETTINGS
from audience.server.openapi import described
from audience.uuid_text import parse_uuid

KIND = "ProfileImport"
#: Uploads of one process at a time: each holds a connection.
MAX_UPLOADS = 2
_SLOTS = web.AppKey("import_slots", asyncio.Semaphore)
_CSV_TYPES = ("text/csv", "text/plain", "application/octet-stream")
_PIECE_BYTES = 65536
_LONGEST_SECONDS = 1800
#: A body of which nothing arrives for so long is given up.
_STALLED_AFTER_SECONDS = 60


async def hold_imports(app: web.Application) -> AsyncIterator[None]:
    """Bounds the uploads of this process while the service runs."""
    app[_SLOTS] = asyncio.Semaphore(MAX_UPLOADS)
    yield


@described(
    query=ImportQuery, body_type="text/csv", answer=ImportAttributes, resource=KIND, status=202
)
async def import_profiles(request: web.Request) -> web.Response:
    """POST /api/audiences/v1/profiles/import/?website_id=&dry_run=&mapping= -> 202, or 200.

    Body: a CSV file in UTF-8 with a header, at most 256 MiB and 1,000,000 rows; as it is, or as the
    part `file` of a form, after the part `mapping`. Rows that are wrong are told, each with its
    number and column, and left out; the others are applied in the background like public writes:
    see the answer's id. A dry run (200) stores nothing. 400 when the file or the mapping can't be
    read, 409 when five imports are not done, 503 when two files are arriving already.
    """
    query = read_query(request, ImportQuery)
    caller, now, app_id = caller_of(request), clock.now(), query["website_id"]
    slots = request.app[_SLOTS]
    if slots.locked():
        message = f"{MAX_UPLOADS} files are arriving, try again when one is there"
        raise Unavailable(message)
    async with (
        slots,
        asyncio.timeout(_LONGEST_SECONDS),
        request.app[DATABASE].transaction() as conn,
    ):
        await access_app(conn, caller, app_id)
        mapping, file = await _upload(request, query.get("mapping"))
        wanted = ImportRequest(
            app_id,
            mapping,
            email_check(is_test=request.app[SETTINGS].allow_test_emails),
            caller.name,
            query["dry_run"],
        )
        received = await receive_import(await raw(conn), wanted, file, now)
        await record_audit_entry(
            conn,
            caller,
            "import_profiles",
            now=now,
            app_id=app_id,
            target_type="import",
            target_id=received.import_id,
        )
        if received.import_id is None:
            return json_response(request, document_of(_dry_run(received)))
        row = await storage.get_import(await raw(conn), app_id, received.import_id)
        assert row is not None  # noqa: S101 - stored above
        return json_response(request, document_of(_resource(row)), 202)


@described(query=ImportsQuery, answer=ImportAttributes, resource=KIND, is_list=True)
async def list_imports(request: web.Request) -> web.Response:
    """GET /api/audiences/v1/profiles/import/?website_id= -> 200, imports of 90 days, newest first.

    meta.total counts all.
    """
    query = read_query(request, ImportsQuery)
    app_id = query["website_id"]
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller_of(request), app_id)
        rows, total = await storage.list_imports(
            await raw(conn), app_id, query["limit"], query["offset"]
        )
    data = [_resource(row) for row in rows]
    return json_response(request, document_of(data, meta={"total": total}))


@described(query=WebsiteQuery, answer=ImportAttributes, resource=KIND)
async def get_import(request: web.Request) -> web.Response:
    """GET /api/audiences/v1/profiles/import/{id}/?website_id= -> 200, also while it is applied."""
    app_id = read_query(request, WebsiteQuery)["website_id"]
    import_id = parse_uuid(request.match_info["import_id"], "import_id")
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller_of(request), app_id)
        row = await storage.get_import(await raw(conn), app_id, import_id)
    if row is None:
        message = f"there is no import {import_id}"
        raise NotFound(message, path="import_id")
    return json_response(request, document_of(_resource(row)))


async def _upload(
    request: web.Request, mapping: str | None
) -> tuple[dict[str, Any], AsyncIterator[bytes]]:
    """The mapping, and the file piece by piece."""
    if request.content_type in _CSV_TYPES:
        return _parse_mapping(mapping), _pieces(request.content.read, request.content.at_eof)
    if request.content_type != "multipart/form-data":
        message = "the body must be text/csv, or multipart/form-data with the part `file`"
        raise UnsupportedType(message)
    try:
        reader = await request.multipart()
        async for part in reader:
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "file":
                return _parse_mapping(mapping), _pieces(part.read_chunk, part.at_eof)
            if part.name == "mapping":
                mapping = await _short_text(part)
    except (ClientError, HttpProcessingError, ValueError) as error:
        raise _unreadable() from error
    message = "the form has no part `file`"
    raise Invalid(message, path="file")


async def _pieces(read: Any, at_eof: Any) -> AsyncIterator[bytes]:
    try:
        while not at_eof():
            async with asyncio.timeout(_STALLED_AFTER_SECONDS):
                piece: bytes = await read(_PIECE_BYTES)
            yield piece
    except (ClientError, HttpProcessingError, web.RequestPayloadError, ValueError) as error:
        raise _unreadable() from error
    except TimeoutError:
        message = f"nothing of the file arrived for {_STALLED_AFTER_SECONDS} seconds"
        raise Invalid(message, path="file") from None


async def _short_text(part: BodyPartReader) -> str:
    text = b""
    while not part.at_eof():
        text += await part.read_chunk(_PIECE_BYTES)
        if len(text) > MAX_MAPPING_CHARACTERS:
            message = f"mapping may have at most {MAX_MAPPING_CHARACTERS} characters"
            raise Invalid(message, path="mapping")
    return text.decode("utf-8", "replace")


def _parse_mapping(text: str | None) -> dict[str, Any]:
    try:
        mapping = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        mapping = None
    if not isinstance(mapping, dict):
        message = "mapping must be a JSON object"
        raise InvalidParameter(message, path="mapping")
    return mapping


def _unreadable() -> Invalid:
    return Invalid("the body could not be read or broke off", path="file")


def _dry_run(received: Received) -> dict[str, Any]:
    attributes = {
        "state": "dry_run",
        "rows": received.row_count,
        "rows_refused": received.refused_count,
        "error_count": received.error_count,
        "errors": [error_document(each) for each in received.errors],
    }
    return {"type": KIND, "attributes": attributes}


def _resource(row: ImportRow) -> dict[str, Any]:
    treated = row.applied_count + row.refused_count
    state = "waiting" if row.started_at is None else "running"
    if row.finished_at is not None:
        state = "done" if row.failure is None else "failed"
    attributes = {
        "state": state,
        "rows": row.row_count,
        "rows_applied": row.applied_count,
        "rows_refused": row.refused_count,
        "progress_percent": 100 if not row.row_count else treated * 100 // row.row_count,
        "error_count": row.error_count,
        "errors": row.errors,
        "failure": row.failure,
        "author": row.author,
        "created_at": timestamp_text(row.created_at),
        "started_at": None if row.started_at is None else timestamp_text(row.started_at),
        "finished_at": None if row.finished_at is None else timestamp_text(row.finished_at),
    }
    shown = {name: value for name, value in attributes.items() if value is not None}
    return resource(KIND, row.import_id, shown)
