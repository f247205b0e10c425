"""What every step of an execution is made of."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from consent.data_subject_requests.execution.storage import Execution
from consent.data_subject_requests.storage import DataSubjectRequest

#: The phase in which the request is resolved; the last one of all types.
FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Work:
    """A locked execution with its request."""

    conn: AsyncConnection
    execution: Execution
    request: DataSubjectRequest
    now: datetime

    @property
    def app_id(self) -> str:
        """The app that the request is about."""
        return self.execution.app_id

    @property
    def cursor(self) -> dict[str, Any]:
        """How far the phase has come; a copy."""
        return dict(self.execution.cursor)


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step did. counts: added to what was counted before, by table."""

    is_phase_done: bool
    cursor: Mapping[str, Any]
    counts: Mapping[str, int] = field(default_factory=dict)


#: Does one bounded share of a phase in the transaction of `work.conn`.
Step = Callable[[Work], Awaitable[Progress]]
