"""Writing an export to its client while it is read from PostgreSQL, with little in memory."""

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable

#: Pieces of this size are compressed and sent at once.
_CHUNK_BYTES = 128 * 1024
#: A client that takes nothing for so long has gone, even if its connection has not.
STALLED_AFTER_SECONDS = 60
#: Fast rather than small: the database waits for the compression.
_GZIP_LEVEL = 1
_GZIP_WINDOW = 31

Write = Callable[[bytes], Awaitable[None]]


class ExportStream:
    """Gathers rows into pieces, compresses them in a thread, and waits for the client to take them.

    write: sends bytes and waits while the client is slow.
    Errors: TimeoutError when the client takes nothing for a minute; those of `write`.
    """

    def __init__(self, write: Write, *, is_gzip: bool) -> None:
        """is_gzip: the client takes compressed bytes."""
        self._write = write
        self._pieces: list[bytes] = []
        self._size = 0
        self._gzip = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW) if is_gzip else None

    async def write(self, data: bytes) -> None:
        """Take some bytes."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= _CHUNK_BYTES:
            await self._send(is_last=False)

    async def finish(self) -> None:
        """Send what is left."""
        await self._send(is_last=True)

    async def _send(self, *, is_last: bool) -> None:
        piece = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        if self._gzip is not None:
            piece = await asyncio.to_thread(_compress, self._gzip, piece, is_last=is_last)
        if piece:
            async with asyncio.timeout(STALLED_AFTER_SECONDS):
                await self._write(piece)


class JsonArray:
    """Makes one JSON array of objects that arrive one a line, cut anywhere."""

    def __init__(self, write: Write) -> None:
        """write: takes the array's bytes."""
        self._write = write
        self._before = b"["

    async def write(self, lines: bytes) -> None:
        """Take some lines."""
        ends = lines.endswith(b"\n")
        body = (lines[:-1] if ends else lines).replace(b"\n", b",\n")
        await self._write(self._before + body)
        self._before = b",\n" if ends else b""

    async def finish(self) -> None:
        """Close the array."""
        await self._write(b"[]\n" if self._before == b"[" else b"]\n")


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the header Accept-Encoding takes gzip (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, _, parameters = part.partition(";")
        found = re.search(r"q\s*=\s*([0-9.]+)", parameters)
        try:
            weights[name.strip()] = float(found[1]) if found else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _compress(gzip: "zlib._Compress", piece: bytes, *, is_last: bool) -> bytes:
    return gzip.compress(piece) + (gzip.flush() if is_last else b"")
