"""The service without its guard against concurrent writers, to show what the guard prevents."""

from collections.abc import Collection

from audience.server.session_locks import storage
from consent.cli import main


async def lock_nothing(*_arguments: object, **_modes: bool) -> bool:
    """Let two sessions change the same profiles, or write to the same chain, at once."""
    return False


async def try_nothing(_conn: object, keys: Collection[int], **_modes: bool) -> set[int]:
    """As `lock_nothing`."""
    return set(keys)


storage.switch_locks = lock_nothing
storage.try_locks = try_nothing

main()
