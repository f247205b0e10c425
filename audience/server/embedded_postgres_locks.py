"""The locks of the embedded PostgreSQL: flock, which the kernel takes back from ended processes.

A lock belongs to the descriptor and its copies in forked children. embedded_postgres_keeper lists
the files.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.01


class LockTimeout(Exception):
    """One line: which lock another process holds for too long."""


def take_lock(path: Path, kind: int, deadline: float) -> int:
    """A descriptor that holds the lock until it is closed, in the children that copy it, too.

    kind: fcntl.LOCK_SH or LOCK_EX; deadline: of time.monotonic().  Polls: flock has no time limit.
    Errors: LockTimeout.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise LockTimeout(f"another process holds {path} and does not end") from None
            time.sleep(_POLL_SECONDS)
        else:
            return descriptor


@contextmanager
def holding_lock(path: Path, deadline: float) -> Iterator[None]:
    """The exclusive lock for the time of a block.  Errors: LockTimeout."""
    descriptor = take_lock(path, fcntl.LOCK_EX, deadline)
    try:
        yield
    finally:
        os.close(descriptor)


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock exclusively at this moment."""
    try:
        os.close(take_lock(path, fcntl.LOCK_SH, 0.0))
    except LockTimeout:
        return False
    return True
