"""One write as a batch takes it. Pure: standard library only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from audience.errors import DomainError
from audience.profile_changes.items import Items, Skip


@dataclass(slots=True)
class WriteRequest:
    """One write: its items, taken in then (None: now); strict: any skip refuses it whole.

    app_ids: the apps it writes to.
    """

    items: Items
    is_strict: bool = False
    taken_at: datetime | None = None
    app_ids: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.app_ids = frozenset([item.app_id for item in self.items.items])


class SkippedStrictly(DomainError):
    """A strict request had entries to skip: nothing of it was applied (decision 1)."""

    code = "skipped"

    def __init__(self, skipped: Sequence[Skip]) -> None:
        """skipped: what would have been skipped, in order."""
        super().__init__("entries were skipped")
        self.skipped = list(skipped)
