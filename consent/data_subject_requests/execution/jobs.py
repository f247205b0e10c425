"""The background work of executions: their steps, and exports that have expired."""

import asyncio
from datetime import timedelta
from pathlib import Path

import structlog
from aiohttp import web

from audience import public
from audience.errors import DomainError, Unavailable
from audience.server import clock
from audience.server.database import Database
from audience.server.keys import DATABASE, SETTINGS
from audience.server.log import describe_error
from consent.data_subject_requests import lifecycle
from consent.data_subject_requests import storage as requests
from consent.data_subject_requests.execution import storage
from consent.data_subject_requests.execution.exports import storage as exports
from consent.data_subject_requests.execution.operations import take_step
from consent.data_subject_requests.execution.person_requests.storage import lock_request
from consent.data_subject_requests.execution.step import Work
from consent.data_subject_requests.execution.storage import Execution
from consent.data_subject_requests.mails.outbox import outbox_of
from consent.data_subject_requests.operations import SYSTEM, move_request, note_event

_FIRST_PAUSE_SECONDS = 10
_LONGEST_PAUSE_SECONDS = 3600
_PARTS_AT_ONCE = 500


async def execute_some(app: web.Application) -> bool:
    """One bounded step of the execution that has waited longest; True when there was one."""
    return await execute_step(app[DATABASE], outbox_of(app[SETTINGS])) is not None


async def execute_step(
    database: Database, outbox: Path, request_id: str | None = None
) -> Execution | None:
    """One step of an execution (the request's, or the one that has waited longest).

    outbox: the folder of mails that are files, from which an erasure takes the person's.
    The execution as it is now; None when there was nothing to do. One that can't be done goes back
    to the team; one that failed otherwise is tried again after a pause, the others go on. After a
    step of an erasure the app's writers get five times as long as it took.
    """
    now, loop = clock.now(), asyncio.get_running_loop()
    started = loop.time()
    execution: Execution | None = None
    try:
        async with database.transaction() as conn:
            execution = await storage.find_due_execution(conn, now, request_id)
            if execution is None:
                return None
            request = await requests.find_request(conn, execution.request_id)
            if request is None or request.status != lifecycle.IN_PROGRESS:
                await storage.delete_unfinished(conn, execution.app_id, execution.request_id)
                return execution
            execution = await take_step(Work(conn, execution, request, now, outbox))
    except Unavailable:
        raise
    except DomainError as refusal:
        if execution is None:
            raise
        await _give_back(database, execution, refusal)
        return execution
    except Exception as error:
        if execution is None:
            raise
        structlog.get_logger().error(
            "execution step failed",
            request=execution.request_id,
            phase=execution.phase,
            error=describe_error(error),
        )
        pause = min(_FIRST_PAUSE_SECONDS * 2**execution.try_count, _LONGEST_PAUSE_SECONDS)
        async with database.transaction() as conn:
            await storage.postpone(conn, execution, now + timedelta(seconds=pause))
        return execution
    if request.request_type == lifecycle.DELETE_DATA:
        await asyncio.sleep((loop.time() - started) * public.ERASURE_REST)
    return execution


async def forget_expired_exports(app: web.Application) -> bool:
    """A background step: up to 500 parts of an export that can't be downloaded any more."""
    async with app[DATABASE].transaction() as conn:
        expired = await exports.find_expired(conn, clock.now())
        if expired is None:
            return False
        await exports.delete_some(conn, expired.app_id, expired.request_id, _PARTS_AT_ONCE)
        return True


async def _give_back(database: Database, execution: Execution, refusal: DomainError) -> None:
    """The request is to be done again, with other instructions; its history says why."""
    now = clock.now()
    async with database.transaction() as conn:
        request = await lock_request(conn, execution.app_id, execution.request_id)
        await storage.delete_unfinished(conn, execution.app_id, execution.request_id)
        if request is not None and request.status == lifecycle.IN_PROGRESS:
            await note_event(
                conn, request, f"execution_refused_{refusal.code}", actor=SYSTEM, now=now
            )
            await move_request(conn, request, lifecycle.TO_DO, actor=SYSTEM, now=now)
