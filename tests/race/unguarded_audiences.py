"""The service whose definitions change without the app's lock, to show what the lock prevents."""

from collections.abc import Iterable

from audience.audiences.catalogue import operations
from audience.audiences.upkeep import jobs
from consent.cli import main


async def lock_nothing(_conn: object, _app_ids: Iterable[str]) -> None:
    """Let definitions change and fills run while profiles are written."""


operations.lock_apps = lock_nothing  # type: ignore[assignment]
jobs.lock_apps = lock_nothing  # type: ignore[assignment]

main()
