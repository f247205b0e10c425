"""Taking a file in: read, checked and stored while it arrives; or only checked."""

import asyncio
import codecs
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from audience.errors import Conflict, Forbidden, Invalid, TooLarge
from audience.profile_changes import storage as change_storage
from audience.profile_changes.imports import storage
from audience.profile_changes.imports.columns import map_columns
from audience.profile_changes.imports.csv_records import CsvRecords
from audience.profile_changes.imports.rows import RowError, RowRules, parse_row
from audience.profile_changes.items import EmailCheck, Item
from audience.server.clock import new_id

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_ROWS = 1_000_000
MAX_UNFINISHED_IMPORTS = 5
#: Rows and values that are applied in one transaction, which holds the app's lock.
_CHUNK_ROWS, _CHUNK_ENTRIES = 200, 2000
#: Rows that are checked before requests get their turn.
_ROWS_AT_A_STRETCH = 50


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What is to be imported and how; mapping: see `map_columns`; author: for the books."""

    app_id: str
    mapping: Mapping[str, Any]
    check_email: EmailCheck
    author: str
    is_dry_run: bool


@dataclass(slots=True)
class Received:
    """What a file held. import_id: None for a dry run; errors: the first ones, error_count all."""

    import_id: str | None
    row_count: int = 0
    refused_count: int = 0
    error_count: int = 0
    errors: list[RowError] = field(default_factory=list)


async def receive_import(
    conn: asyncpg.Connection, wanted: ImportRequest, file: AsyncIterator[bytes], now: datetime
) -> Received:
    """Take a CSV file in: its rows wait in the database for being applied; or only check them.

    The caller opens the transaction: a file that breaks off leaves nothing.
    Errors: Invalid when the file or the mapping can't be read, TooLarge past 256 MiB or 1,000,000
    rows, Conflict when five imports of the app are not done, Forbidden for an app without audience
    manager. A row that is wrong is no error: it is counted, and what is wrong with it is told.
    """
    if not wanted.is_dry_run:
        await _check_room(conn, wanted.app_id, MAX_UNFINISHED_IMPORTS - 1)
    receiver = _Receiver(conn, wanted, now)
    records = CsvRecords()
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    size = 0
    async for piece in file:
        size += len(piece)
        if size > MAX_FILE_BYTES:
            message = f"the file may have at most {MAX_FILE_BYTES // 2**20} MiB"
            raise TooLarge(message)
        for cells in records.feed(_decoded(decoder, piece)):
            await receiver.take(cells)
    for cells in (*records.feed(_decoded(decoder, b"", is_last=True)), *records.finish()):
        await receiver.take(cells)
    return await receiver.finish()


async def _check_room(conn: asyncpg.Connection, app_id: str, most: int) -> None:
    unfinished = await storage.count_unfinished(conn, app_id)
    if unfinished > most:
        message = f"{MAX_UNFINISHED_IMPORTS} imports of this app are not done yet, wait for one"
        raise Conflict(message, code="too_many_imports")


def _decoded(decoder: codecs.IncrementalDecoder, piece: bytes, *, is_last: bool = False) -> str:
    try:
        return decoder.decode(piece, is_last)
    except UnicodeDecodeError:
        message = "the file must be text in UTF-8"
        raise Invalid(message, path="file") from None


class _Receiver:
    """Checks rows one by one and stores them in chunks."""

    def __init__(self, conn: asyncpg.Connection, wanted: ImportRequest, now: datetime) -> None:
        self._conn, self._wanted, self._now = conn, wanted, now
        self._rules: RowRules | None = None
        self._items: list[Item] = []
        self._entries = 0
        self._chunks = 0
        self._row = 1
        self._received = Received(None if wanted.is_dry_run else new_id())

    async def take(self, cells: list[str]) -> None:
        """One record of the file; the first one is the header."""
        if self._rules is None:
            self._rules = await self._begin(cells)
            return
        received = self._received
        received.row_count += 1
        if received.row_count > MAX_ROWS:
            message = f"the file may have at most {MAX_ROWS:,} rows"
            raise TooLarge(message)
        self._row += 1
        found = parse_row(self._rules, self._row, cells)
        if isinstance(found, Item):
            self._items.append(found)
            self._entries += 1 + len(found.entries)
        else:
            received.refused_count += 1
            received.error_count += len(found)
            received.errors += found[: storage.MAX_KEPT_ERRORS - len(received.errors)]
        if len(self._items) >= _CHUNK_ROWS or self._entries >= _CHUNK_ENTRIES:
            await self._store()
        if received.row_count % _ROWS_AT_A_STRETCH == 0:
            await asyncio.sleep(0)

    async def finish(self) -> Received:
        """The file has ended."""
        if self._rules is None:
            message = "the file is empty, expected a header and rows"
            raise Invalid(message, path="file")
        await self._store()
        found = self._received
        if found.import_id is not None:
            key = (self._wanted.app_id, found.import_id)
            # Others may have arrived meanwhile; from here to the commit none does. This one counts.
            await storage.lock_imports(self._conn, self._wanted.app_id)
            await _check_room(self._conn, self._wanted.app_id, MAX_UNFINISHED_IMPORTS)
            counts = (found.row_count, found.refused_count, found.error_count)
            await storage.save_received(self._conn, key, counts, found.errors)
        return found

    async def _begin(self, header: list[str]) -> RowRules:
        columns = map_columns(header, self._wanted.mapping)
        app_id = self._wanted.app_id
        names = {column.attribute for column in columns if column.attribute is not None}
        loaded = await change_storage.load_apps(self._conn, {app_id: []}, {app_id: names})
        if app_id not in loaded:
            message = "the audience manager is switched off for this app"
            raise Forbidden(message, path="website_id")
        app = loaded[app_id]
        if self._received.import_id is not None:
            await storage.insert_import(
                self._conn, app_id, self._received.import_id, self._wanted.author, self._now
            )
        return RowRules(
            app_id,
            columns,
            len(header),
            self._wanted.check_email,
            app.known.types,
            app.known.also_blocked,
        )

    async def _store(self) -> None:
        items, self._items, self._entries = self._items, [], 0
        import_id = self._received.import_id
        if items and import_id is not None:
            await storage.insert_chunk(
                self._conn, self._wanted.app_id, import_id, self._chunks, items
            )
            self._chunks += 1
