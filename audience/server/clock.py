"""Where time and random identities come from; the pure core takes them as arguments."""

import secrets
import time
from datetime import UTC, datetime
from uuid import UUID


def now() -> datetime:
    """The current time, aware, UTC."""
    return datetime.now(UTC)


class _Ids:
    """Remembers the last identity, so that two of one millisecond keep their order."""

    last = 0


def new_id() -> str:
    """A fresh UUID (version 7) in text form: time first, so that indexes grow at one end.

    Ids of one process grow strictly, also within a millisecond.
    """
    milliseconds = time.time_ns() // 1_000_000
    random_bits = secrets.randbits(74)
    value = max(milliseconds << 74 | random_bits, _Ids.last + 1)
    _Ids.last = value
    milliseconds, upper, lower = value >> 74, value >> 62 & 0xFFF, value & (2**62 - 1)
    return str(UUID(int=milliseconds << 80 | 7 << 76 | upper << 64 | 2 << 62 | lower))
