"""The service without its guard against concurrent writers, to show what the guard prevents."""

from collections.abc import Iterable

from audience.profile_changes import storage
from consent.cli import main


async def lock_nothing(_conn: object, _app_ids: Iterable[str]) -> None:
    """Let two sessions change the same profiles at once."""


storage.lock_apps = storage.unlock_apps = lock_nothing

main()
