"""Previewing and executing requests, and the receipt, for the privacy team."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from marshmallow import Schema, fields
from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import NotFound
from audience.server import clock
from audience.server.json_api import document_of, json_response, read_resource, resource
from audience.server.keys import DATABASE
from audience.server.openapi import described
from consent.data_subject_requests.audit import record_request_audit
from consent.data_subject_requests.execution import operations, storage
from consent.data_subject_requests.execution.schemas import ExecutionInstructions
from consent.data_subject_requests.execution.storage import Execution
from consent.data_subject_requests.handling.document import KIND
from consent.data_subject_requests.handling.handlers import access_request
from consent.data_subject_requests.storage import DataSubjectRequest


class RequestPreview(Schema):
    """What executing would touch."""

    counts = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={
            "description": "Rows by table. consent_decisions become anonymous, they stay. The "
            "receipt of an erasure has the same counts unless something happens in between, and "
            "rows of imported files that are not applied yet beside them."
        },
    )


class RequestExecution(Schema):
    """How far the work has come."""

    phase = fields.String(metadata={"description": "What is being done; `finish` is the last."})
    counts = fields.Dict(
        keys=fields.String(), values=fields.Integer(), metadata={"description": "Rows by table."}
    )
    started_at = fields.String()
    completed_at = fields.String(metadata={"description": "Left out while a job works on it."})
    try_count = fields.Integer(metadata={"description": "Failed tries of the current step."})


class RequestReceipt(Schema):
    """Proof of what was done."""

    receipt = fields.String(
        metadata={"description": "Compact JWS, to be verified with /auth/jwks.json."}
    )


@described(answer=RequestPreview, resource=KIND)
async def preview_request(request: web.Request) -> web.Response:
    """GET /api/privacy/v1/requests/{request_id}/preview -> 200, what executing it would touch.

    Changes nothing. Before verification only the requests themselves are counted; of a correction
    nothing, as what to correct is not said.
    """
    return await _preview(request, "preview_request", None)


@described(body=ExecutionInstructions, answer=RequestPreview, resource=KIND)
async def preview_execution(request: web.Request) -> web.Response:
    """POST /api/privacy/v1/requests/{request_id}/preview -> 200, as GET with instructions.

    With those that `execute` takes: confirmed identifiers lead to more, and a correction is tried
    and taken back: 400 or 409 when it is not possible.
    """
    instructions = await read_resource(request, KIND, ExecutionInstructions)
    return await _preview(request, "preview_execution", instructions)


@described(body=ExecutionInstructions, answer=RequestExecution, resource=KIND, status=202)
async def execute_request(request: web.Request) -> web.Response:
    """POST /api/privacy/v1/requests/{request_id}/execute -> 202, a job does it from now on.

    409 when it is not verified (`not_verified`), a duplicate, or executed already.
    """
    instructions = await read_resource(request, KIND, ExecutionInstructions)
    caller, now = public.caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        found, _ = await access_request(conn, request)
        await operations.start_execution(conn, found, caller, now, instructions)
        await record_request_audit(conn, caller, "execute_request", found, now)
        execution = await _get_execution(conn, found)
    return json_response(request, document_of(_resource(execution)), 202)


@described(answer=RequestExecution, resource=KIND)
async def get_execution(request: web.Request) -> web.Response:
    """GET /api/privacy/v1/requests/{request_id}/execution -> 200, how far the work has come.

    404 before it was started.
    """
    async with request.app[DATABASE].transaction() as conn:
        found, _ = await access_request(conn, request, is_locked=False)
        execution = await _get_execution(conn, found)
    return json_response(request, document_of(_resource(execution)))


@described(answer=RequestReceipt, resource=KIND)
async def get_receipt(request: web.Request) -> web.Response:
    """GET /api/privacy/v1/requests/{request_id}/receipt -> 200, the signed receipt.

    Its claims: request_id, request_type, website_id, received_at, completed_at and counts by table:
    of an erasure rows deleted, consent_decisions made anonymous and requests emptied.
    409 before the request was executed.
    """
    caller, now = public.caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        found, _ = await access_request(conn, request, is_locked=False)
        signed = await operations.receipt(conn, found)
        await record_request_audit(conn, caller, "get_receipt", found, now)
    answer = resource(KIND, found.request_id, {"receipt": signed})
    return json_response(request, document_of(answer))


async def _preview(
    request: web.Request, operation: str, instructions: dict[str, Any] | None
) -> web.Response:
    caller, now = public.caller_of(request), clock.now()
    async with request.app[DATABASE].transaction() as conn:
        found, _ = await access_request(conn, request, is_locked=False)
        counts = await operations.preview_request(conn, found, now, instructions)
        await record_request_audit(conn, caller, operation, found, now)
    answer = resource(KIND, found.request_id, {"counts": counts})
    return json_response(request, document_of(answer))


async def _get_execution(conn: AsyncConnection, found: DataSubjectRequest) -> Execution:
    execution = await storage.find_execution(conn, found.app_id, found.request_id)
    if execution is None:
        message = f"the request {found.request_id} has not been executed"
        raise NotFound(message)
    return execution


def _resource(execution: Execution) -> dict[str, Any]:
    attributes = {
        "phase": execution.phase,
        "counts": dict(execution.counts),
        "started_at": _moment(execution.started_at),
        "try_count": execution.try_count,
    }
    if execution.completed_at is not None:
        attributes["completed_at"] = _moment(execution.completed_at)
    return resource(KIND, execution.request_id, attributes)


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
