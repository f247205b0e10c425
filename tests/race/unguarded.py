"""The service without its guard against concurrent writers, to show what the guard prevents."""

from collections.abc import Collection, Iterable

from audience.profile_changes import storage
from consent.cli import main


async def lock_nothing(_conn: object, _unlocked: Iterable[str], _locked: Iterable[str]) -> bool:
    """Let two sessions change the same profiles at once."""
    return False


async def try_nothing(_conn: object, app_ids: Collection[str]) -> set[str]:
    """As `lock_nothing`."""
    return set(app_ids)


storage.switch_locks = lock_nothing
storage.try_locks = try_nothing

main()
