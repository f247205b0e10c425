"""Applying an import, one chunk a transaction, by the same write path as public writes."""

from collections.abc import Callable, Sequence

import asyncpg
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.errors import DomainError
from audience.profile_changes.imports import storage
from audience.profile_changes.imports.rows import RowError
from audience.profile_changes.items import Item, Items
from audience.profile_changes.operations import Counts, WriteResult, write_batch
from audience.profile_changes.write_request import WriteRequest
from audience.profiles.storage import lock_apps
from audience.server import clock
from audience.server.database import CONNECTION_ERRORS, Database, raw
from audience.server.log import describe_error

_ERASED_AT_ONCE = 500
#: Says nothing against the rows.
_MAY_WORK_LATER: tuple[type[Exception], ...] = (*CONNECTION_ERRORS, SQLAlchemyError, DomainError)


async def apply_next_rows(
    database: Database, app_id: str, import_id: str, tell: Callable[[Counts], None] | None = None
) -> bool:
    """Apply the next rows of the import in one transaction; False when it is done.

    tell: is told what the rows did to profiles, once they are stored.
    Rows are applied once, whoever asks and however often: what is applied goes in the same
    transaction. Each row is a request of its own, so that a refused one does not hinder the others.
    Rows that break the transaction end the import as failed.
    """
    key = (app_id, import_id)
    counts = Counts()
    try:
        async with database.transaction() as conn:
            is_more = await _apply(await raw(conn), key, counts)
    except _MAY_WORK_LATER:
        raise
    except Exception as error:  # noqa: BLE001 - this import must not stop the ones after it
        structlog.get_logger().error("import failed", error=describe_error(error))
        async with database.transaction() as conn:
            failure = f"rows could not be applied ({type(error).__name__})"
            await storage.save_finished(await raw(conn), key, clock.now(), failure)
        return False
    if tell is not None:
        tell(counts)
    return is_more


async def erase_some_import_rows(conn: AsyncConnection, app_id: str) -> bool:
    """Remove waiting rows of a deleted app, a step of its erasure; False: none left."""
    return await storage.delete_some_chunks(await raw(conn), app_id, _ERASED_AT_ONCE)


async def _apply(conn: asyncpg.Connection, key: tuple[str, str], counts: Counts) -> bool:
    await lock_apps(conn, key[:1])
    chunk = await storage.find_chunk(conn, *key)
    if chunk is None:
        await storage.save_finished(conn, key, clock.now())
        return False
    number, items, taken_at = chunk
    requests = [WriteRequest(Items((item,), ()), taken_at=taken_at) for item in items]
    results = await write_batch(conn, requests, clock.now, counts)
    applied, errors = _outcome(items, results)
    refused = len(items) - applied
    await storage.save_applied(conn, key, number, (applied, refused), errors, clock.now())
    return True


def _outcome(items: Sequence[Item], results: Sequence[WriteResult]) -> tuple[int, list[RowError]]:
    """(rows applied, errors): a skipped value is told, the rest of its row is applied."""
    applied = 0
    errors: list[RowError] = []
    for item, result in zip(items, results, strict=True):
        if isinstance(result, DomainError):
            errors.append(RowError(item.position, None, f"was refused: {result.code}"))
            continue
        applied += 1
        errors += [RowError(skip.item, skip.name, skip.reason) for skip in result]
    return applied, errors
