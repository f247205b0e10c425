"""All SQL of profile imports."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import orjson

from audience.profile_changes.imports.rows import RowError
from audience.profile_changes.items import Item
from audience.profiles.identifiers import Identifier

#: Errors that are kept of one import; all are counted.
MAX_KEPT_ERRORS = 1000

COUNT_UNFINISHED = """
SELECT count(*) FROM profile_imports WHERE app_id = $1 AND finished_at IS NULL
"""

LOCK_IMPORTS = "SELECT pg_advisory_xact_lock(hashtextextended('imports of ' || $1::text, 0))"

INSERT_IMPORT = """
INSERT INTO profile_imports (app_id, import_id, author, row_count, created_at)
VALUES ($1, $2, $3, 0, $4)
"""

INSERT_CHUNK = """
INSERT INTO profile_import_chunks (app_id, import_id, chunk_number, items)
VALUES ($1, $2, $3, $4::text::jsonb)
"""

SAVE_RECEIVED = """
UPDATE profile_imports SET row_count = $3, refused_count = $4, error_count = $5,
    errors = $6::text::jsonb
WHERE app_id = $1 AND import_id = $2
"""

_COLUMNS = """app_id::text AS app_id, import_id::text AS import_id, author, row_count,
    applied_count, refused_count, error_count, errors::text AS errors, failure, created_at,
    started_at, finished_at"""

GET_IMPORT = f"SELECT {_COLUMNS} FROM profile_imports WHERE app_id = $1 AND import_id = $2"  # noqa: S608

LIST_IMPORTS = f"""
SELECT {_COLUMNS}, count(*) OVER () AS total FROM profile_imports WHERE app_id = $1
ORDER BY import_id DESC LIMIT $2 OFFSET $3
"""  # noqa: S608 - the column list is a constant

FIND_UNFINISHED = """
SELECT app_id::text AS app_id, import_id::text AS import_id FROM profile_imports
WHERE finished_at IS NULL ORDER BY created_at, import_id LIMIT 1
"""

FIND_CHUNK = """
SELECT c.chunk_number, c.items::text AS items, i.created_at
FROM profile_import_chunks c
JOIN profile_imports i ON i.app_id = c.app_id AND i.import_id = c.import_id
WHERE c.app_id = $1 AND c.import_id = $2 ORDER BY c.chunk_number LIMIT 1
"""

LIST_CHUNKS_AFTER = """
SELECT c.import_id::text AS import_id, c.chunk_number, c.items::text AS items, i.created_at
FROM profile_import_chunks c
JOIN profile_imports i ON i.app_id = c.app_id AND i.import_id = c.import_id
WHERE c.app_id = $1 AND (c.import_id, c.chunk_number) > ($2, $3)
ORDER BY c.import_id, c.chunk_number LIMIT $4
"""

SAVE_CHUNK = """
UPDATE profile_import_chunks SET items = $4::text::jsonb
WHERE app_id = $1 AND import_id = $2 AND chunk_number = $3
"""

DELETE_CHUNK = """
DELETE FROM profile_import_chunks WHERE app_id = $1 AND import_id = $2 AND chunk_number = $3
"""

SAVE_APPLIED = """
UPDATE profile_imports SET applied_count = applied_count + $3, refused_count = refused_count + $4,
    error_count = error_count + $5, started_at = coalesce(started_at, $7),
    errors = errors || (
        SELECT coalesce(jsonb_agg(error ORDER BY position), '[]')
        FROM jsonb_array_elements($6::text::jsonb) WITH ORDINALITY AS new(error, position)
        WHERE position <= $8 - jsonb_array_length(errors)
    )
WHERE app_id = $1 AND import_id = $2
"""

SAVE_FINISHED = """
UPDATE profile_imports SET finished_at = $3, started_at = coalesce(started_at, $3), failure = $4
WHERE app_id = $1 AND import_id = $2 AND finished_at IS NULL
"""

DELETE_CHUNKS = "DELETE FROM profile_import_chunks WHERE app_id = $1 AND import_id = $2"

DELETE_OLD_IMPORTS = "DELETE FROM profile_imports WHERE finished_at < $1"

DELETE_SOME_CHUNKS = """
DELETE FROM profile_import_chunks WHERE app_id = $1 AND (import_id, chunk_number) IN (
    SELECT import_id, chunk_number FROM profile_import_chunks WHERE app_id = $1 LIMIT $2
)
"""


class Chunk(NamedTuple):
    """Some rows of an import that wait for being applied."""

    import_id: str
    chunk_number: int
    items: list[Item]
    taken_at: datetime


class ImportRow(NamedTuple):
    """One import as stored; errors: the first ones, [{"row", "column"?, "problem"}]."""

    app_id: str
    import_id: str
    author: str
    row_count: int
    applied_count: int
    refused_count: int
    error_count: int
    errors: list[dict[str, Any]]
    failure: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


async def count_unfinished(conn: asyncpg.Connection, app_id: str) -> int:
    """How many imports of the app are not done yet."""
    count: int = await conn.fetchval(COUNT_UNFINISHED, app_id)
    return count


async def lock_imports(conn: asyncpg.Connection, app_id: str) -> None:
    """Wait until this transaction is the only one that ends the arrival of a file of the app."""
    await conn.execute(LOCK_IMPORTS, app_id)


async def insert_import(
    conn: asyncpg.Connection, app_id: str, import_id: str, author: str, now: datetime
) -> None:
    """Begin to take a file in."""
    await conn.execute(INSERT_IMPORT, app_id, import_id, author, now)


async def insert_chunk(
    conn: asyncpg.Connection, app_id: str, import_id: str, number: int, items: Sequence[Item]
) -> None:
    """Store rows that wait for being applied; number: their place among the chunks."""
    document = orjson.dumps([_raw(item) for item in items]).decode()
    await conn.execute(INSERT_CHUNK, app_id, import_id, number, document)


async def save_received(
    conn: asyncpg.Connection,
    key: tuple[str, str],
    counts: tuple[int, int, int],
    errors: Sequence[RowError],
) -> None:
    """Note what a file held that has arrived whole.

    key: (app_id, import_id); counts: (rows, refused rows, errors); errors: the first ones.
    """
    await conn.execute(SAVE_RECEIVED, *key, *counts, _errors_document(errors))


async def get_import(conn: asyncpg.Connection, app_id: str, import_id: str) -> ImportRow | None:
    """The import or None."""
    row = await conn.fetchrow(GET_IMPORT, app_id, import_id)
    return None if row is None else _import(row)


async def list_imports(
    conn: asyncpg.Connection, app_id: str, limit: int, offset: int
) -> tuple[list[ImportRow], int]:
    """Imports of the app, newest first, and how many there are; past the last one 0."""
    rows = await conn.fetch(LIST_IMPORTS, app_id, limit, offset)
    return [_import(row) for row in rows], rows[0]["total"] if rows else 0


async def find_unfinished(conn: asyncpg.Connection) -> tuple[str, str] | None:
    """(app_id, import_id) of the oldest import that is not done, of all apps."""
    row = await conn.fetchrow(FIND_UNFINISHED)
    return None if row is None else (row["app_id"], row["import_id"])


async def find_chunk(
    conn: asyncpg.Connection, app_id: str, import_id: str
) -> tuple[int, list[Item], datetime] | None:
    """(number, items, when they were taken in) of the next rows to apply; needs the app's lock."""
    row = await conn.fetchrow(FIND_CHUNK, app_id, import_id)
    if row is None:
        return None
    items = [_item(app_id, raw) for raw in orjson.loads(row["items"])]
    return row["chunk_number"], items, row["created_at"]


async def list_chunks_after(
    conn: asyncpg.Connection, app_id: str, after: tuple[str, int], limit: int
) -> list[Chunk]:
    """Waiting rows of all imports of the app, after (import_id, chunk_number); needs the lock."""
    return [
        Chunk(
            row["import_id"],
            row["chunk_number"],
            [_item(app_id, raw) for raw in orjson.loads(row["items"])],
            row["created_at"],
        )
        for row in await conn.fetch(LIST_CHUNKS_AFTER, app_id, *after, limit)
    ]


async def save_chunk(conn: asyncpg.Connection, app_id: str, chunk: Chunk) -> None:
    """Write other items in place of a chunk's; needs the app's lock."""
    document = orjson.dumps([_raw(item) for item in chunk.items]).decode()
    await conn.execute(SAVE_CHUNK, app_id, chunk.import_id, chunk.chunk_number, document)


async def save_applied(
    conn: asyncpg.Connection,
    key: tuple[str, str],
    number: int,
    counts: tuple[int, int],
    errors: Sequence[RowError],
    now: datetime,
) -> None:
    """Remove applied rows and note what became of them.

    key: (app_id, import_id); number: the chunk's; counts: (applied, refused).
    """
    await conn.execute(DELETE_CHUNK, *key, number)
    document = _errors_document(errors)
    most = MAX_KEPT_ERRORS
    await conn.execute(SAVE_APPLIED, *key, *counts, len(errors), document, now, most)


async def save_finished(
    conn: asyncpg.Connection, key: tuple[str, str], now: datetime, failure: str | None = None
) -> None:
    """Note that nothing is left to do; what a failed import left is removed.  On repeat: nothing.

    key: (app_id, import_id).
    """
    await conn.execute(DELETE_CHUNKS, *key)
    await conn.execute(SAVE_FINISHED, *key, now, failure)


async def delete_old_imports(conn: asyncpg.Connection, before: datetime) -> None:
    """Forget imports that were done before that moment."""
    await conn.execute(DELETE_OLD_IMPORTS, before)


async def delete_some_chunks(conn: asyncpg.Connection, app_id: str, at_most: int) -> bool:
    """Remove rows of the app that wait for being applied; False when there are none."""
    status: str = await conn.execute(DELETE_SOME_CHUNKS, app_id, at_most)
    return status != "DELETE 0"


def _errors_document(errors: Sequence[RowError]) -> str:
    return orjson.dumps([error_document(error) for error in errors]).decode()


def error_document(error: RowError) -> dict[str, Any]:
    """The error as JSON; `column` only where there is one."""
    return {name: value for name, value in error._asdict().items() if value is not None}


def _raw(item: Item) -> list[Any]:
    identifiers = [[*identifier] for identifier in item.identifiers]
    entries = [[*entry] for entry in item.entries]
    return [item.position, identifiers, item.email_as_given, entries]


def _item(app_id: str, raw: list[Any]) -> Item:
    row, identifiers, email_as_given, entries = raw
    return Item(
        row,
        app_id,
        tuple(Identifier(*pair) for pair in identifiers),
        email_as_given,
        tuple((number, name, action, value) for number, name, action, value in entries),
    )


def _import(row: asyncpg.Record) -> ImportRow:
    members = {name: row[name] for name in ImportRow._fields}
    return ImportRow(**{**members, "errors": orjson.loads(row["errors"])})
