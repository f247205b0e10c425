"""The service without the lock of consents, to show what it prevents."""

from collections.abc import Iterable

from consent.cli import main
from consent.decisions import storage


async def lock_nothing(_conn: object, _unlocked: Iterable[int], _locked: Iterable[int]) -> None:
    """Let two sessions write to the same chain at once."""


storage.switch_locks = lock_nothing

main()
