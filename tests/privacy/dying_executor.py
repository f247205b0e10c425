"""Executes requests as the job does, and is killed once in each step.

Arguments: `before` or `after` the step's transaction commits; DATA_DIR. Before: the step has done
everything, then it is done again by another process. Each step is a child of its own, forked so
that nothing is imported again. Prints the phase of each step in which one was killed.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from sqlalchemy import select

from audience.profile_changes.erasure import operations as erasures
from audience.profile_changes.imports import erased_persons
from audience.profile_changes.persons import operations as persons
from audience.server.database import Database
from consent import tables as _tables  # noqa: F401 - puts them on the one MetaData
from consent.data_subject_requests.execution import access, erasing, jobs
from consent.data_subject_requests.execution.storage import Execution
from consent.tables_requests import data_subject_executions

_take_step = jobs.take_step
_NOTHING_LEFT = 3
#: So that each phase takes several steps.
_LIMITS = (
    (access, "_DECISIONS_AT_ONCE", 1),
    (access, "_VISITORS_AT_ONCE", 1),
    (access, "_TEXTS_AT_ONCE", 1),
    (access, "_REQUESTS_AT_ONCE", 1),
    (persons, "_MERGES_AT_ONCE", 1),
    (erasing, "_VISITORS_AT_ONCE", 1),
    (erasing, "_PARTS_AT_ONCE", 2),
    (erasing, "_REQUESTS_AT_ONCE", 1),
    (erasures, "_MERGES_AT_ONCE", 1),
    (erased_persons, "_CHUNKS_AT_ONCE", 1),
)


def _die(phase: str) -> None:
    os.write(1, f"{phase}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)


async def _take_step_and_die(work: jobs.Work) -> Execution:
    execution = await _take_step(work)
    _die(work.execution.phase)
    return execution


async def _execute_one(*, is_killed_before: bool, is_killed_after: bool) -> None:
    database = Database(os.environ["DATABASE_URL"])
    if is_killed_before:
        jobs.take_step = _take_step_and_die
    unfinished = select(data_subject_executions.c.phase).where(
        data_subject_executions.c.completed_at.is_(None)
    )
    async with database.transaction() as conn:
        phase = await conn.scalar(unfinished)
    if phase is None:
        os._exit(_NOTHING_LEFT)
    # Who was killed holds the row until the database has noticed.
    while await jobs.execute_step(database, Path(sys.argv[2])) is None:
        await asyncio.sleep(0.005)
    if is_killed_after:
        _die(phase)
    await database.close()


def _status_of_child(**is_killed: bool) -> int:
    child = os.fork()
    if child == 0:
        asyncio.run(_execute_one(**is_killed))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> int:
    """Execute until nothing is left; 0 when everybody died or lived as meant."""
    for module, name, value in _LIMITS:
        setattr(module, name, value)
    is_before = sys.argv[1] == "before"
    while True:
        status = _status_of_child(is_killed_before=is_before, is_killed_after=not is_before)
        if status == _NOTHING_LEFT:
            return 0
        if status != -signal.SIGKILL:
            return 1
        if is_before and _status_of_child(is_killed_before=False, is_killed_after=False) != 0:
            return 1


if __name__ == "__main__":
    sys.exit(main())
