"""What every step of an execution is made of."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from audience.public import Identifier
from consent.data_subject_requests.execution.person import identifiers_of_person
from consent.data_subject_requests.execution.storage import Execution
from consent.data_subject_requests.storage import DataSubjectRequest, emails_among

#: The phase in which the request is resolved; the last one of all types.
FINISH = "finish"
#: What stays in the cursor to the end: found by the first phase, and later not to be found again.
IDENTIFIERS = "identifiers"
#: What stood there before there were other identifiers: an execution may have begun then.
EMAILS = "emails"


@dataclass(frozen=True, slots=True)
class Work:
    """A locked execution with its request. outbox: the folder of mails that are files."""

    conn: AsyncConnection
    execution: Execution
    request: DataSubjectRequest
    now: datetime
    outbox: Path

    @property
    def app_id(self) -> str:
        """The app that the request is about."""
        return self.execution.app_id

    @property
    def cursor(self) -> dict[str, Any]:
        """How far the phase has come; a copy."""
        return dict(self.execution.cursor)

    @property
    def identifiers(self) -> list[Identifier]:
        """E-mail addresses and user IDs of the person, as the first phase has found them."""
        found = self.execution.cursor.get(IDENTIFIERS)
        if found is None:
            emails = self.execution.cursor.get(EMAILS, [])
            return identifiers_of_person(self.request, [Identifier("email", one) for one in emails])
        return [Identifier(*one) for one in found]

    @property
    def emails(self) -> list[str]:
        """The e-mail addresses among the identifiers."""
        return emails_among(self.identifiers)


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step did.

    cursor: takes the place of the one before; the person's identifiers are kept beyond.
    counts: added to what was counted before, by table.
    """

    is_phase_done: bool
    cursor: Mapping[str, Any]
    counts: Mapping[str, int] = field(default_factory=dict)


#: Does one bounded share of a phase in the transaction of `work.conn`.
Step = Callable[[Work], Awaitable[Progress]]
