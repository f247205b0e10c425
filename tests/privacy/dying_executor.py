"""Executes requests as the job does, and is killed in the middle of the second step.

In the middle: the step has done everything, and its transaction is not committed.
"""

import asyncio
import os
import signal

from audience.server.database import Database
from consent import tables as _tables  # noqa: F401 - puts them on the one MetaData
from consent.data_subject_requests.execution import jobs
from consent.data_subject_requests.execution.storage import Execution

_take_step = jobs.take_step
_LIVES_FOR_STEPS = 1
_taken: list[str] = []


async def take_step_and_die(work: jobs.Work) -> Execution:
    """One step as it is; the second one is the last."""
    execution = await _take_step(work)
    _taken.append(execution.phase)
    if len(_taken) > _LIVES_FOR_STEPS:
        os.kill(os.getpid(), signal.SIGKILL)
    return execution


async def main() -> None:
    """Execute until nothing is left."""
    jobs.take_step = take_step_and_die
    database = Database(os.environ["DATABASE_URL"])
    while await jobs.execute_step(database) is not None:
        pass
    await database.close()


asyncio.run(main())
