"""Taking erased persons out of files that are not applied yet.

Until that is done nothing of them is applied either: the write path drops what was taken in before
an erasure (`erasure/memory.py`).
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from audience.profile_changes.erasure import storage as erasure_storage
from audience.profile_changes.erasure.memory import identifier_hash
from audience.profile_changes.imports import storage
from audience.profile_changes.items import Item
from audience.profiles.identifiers import Identifier
from audience.profiles.storage import lock_apps
from audience.server.database import raw

_CHUNKS_AT_ONCE = 5
BEGINNING = ("00000000-0000-0000-0000-000000000000", 0)


async def erase_from_imports(
    conn: AsyncConnection, app_id: str, after: tuple[str, int]
) -> tuple[tuple[str, int] | None, int]:
    """(where to go on, or None at the end; rows removed) of a thousand waiting rows of the app.

    Rows go that name an identifier erased since their file was taken in.  after: BEGINNING first.
    The caller opens the transaction.  On repeat: nothing is left to remove.
    """
    driver = await raw(conn)
    await lock_apps(driver, [app_id])
    app_key = await erasure_storage.find_erasure_key(driver, app_id)
    chunks = await storage.list_chunks_after(driver, app_id, after, _CHUNKS_AT_ONCE)
    if app_key is None or not chunks:
        return None, 0
    hashes = {
        identifier: identifier_hash(app_key, identifier)
        for chunk in chunks
        for item in chunk.items
        for identifier in item.identifiers
    }
    erased_at = await erasure_storage.list_erased(driver, app_id, set(hashes.values()))
    removed = 0
    for chunk in chunks:
        kept = [item for item in chunk.items if not _is_erased(item, hashes, erased_at, chunk)]
        if len(kept) < len(chunk.items):
            removed += len(chunk.items) - len(kept)
            await storage.save_chunk(driver, app_id, chunk._replace(items=kept))
    last = chunks[-1]
    return (last.import_id, last.chunk_number), removed


def _is_erased(
    item: Item,
    hashes: Mapping[Identifier, bytes],
    erased_at: Mapping[bytes, datetime],
    chunk: storage.Chunk,
) -> bool:
    moments = (erased_at.get(hashes[identifier]) for identifier in item.identifiers)
    return any(moment is not None and moment >= chunk.taken_at for moment in moments)
