"""The advisory locks of one held connection, kept for a moment between batches.

Taking and releasing locks is half of a batch's round trips. So an owner that nobody competes with
keeps them for a while; one that had to wait releases them after each batch. Owners that can work
beside each other share the locks as long as there are several of them.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import asyncpg

from audience.errors import Unavailable
from audience.server.database import HeldConnection
from audience.server.session_locks import storage

#: Locks are kept this long after a batch, in case the next one needs them again ...
LINGER_SECONDS = 0.002
#: ... but not longer than this without a break ...
LONGEST_HOLD_SECONDS = 0.025
#: ... where they are shared for less time: who needs them alone waits for all others ...
LONGEST_SHARED_SECONDS = 0.005
#: ... and no more of them at a time ...
_MOST_LOCKS = 64
#: ... and not at all for a moment after somebody else had them. Measured: at 1.0 one contact left
#: the writers 6,500 writes a second in place of 11,000 for all of that second, so that erasures,
#: each a row of contacts, left 67 to 73 % of the writes; at 0.03 about 90 %.
_CONTENDED_SECONDS = 0.03
#: Who met others shares for so long, and then looks whether one of them shares too ...
TRIAL_SECONDS = 0.1
#: ... and if so for so long until the next look.
_SHARING_SECONDS = 1.0


class SessionLocks:
    """Which locks a connection holds, and when it gives them up.

    mutex: held by whoever uses the connection.
    """

    def __init__(self, held: HeldConnection) -> None:
        """held: the connection; when it is lost, so are the locks."""
        self.mutex = asyncio.Lock()
        self._held = held
        self._keys: set[int] = set()
        self._holder: asyncpg.Connection | None = None
        self._taken_at = 0.0
        self._contended_until = 0.0
        #: How the locks are held, or were held last.
        self.is_shared = False
        self._sharing_until = 0.0
        self._is_release_due = False
        self._release: asyncio.TimerHandle | None = None
        self._releasing: asyncio.Task[None] | None = None
        #: Asked whether requests wait for the next batch (`Batcher.has_waiting`).
        self.has_waiting: Callable[[], bool] = lambda: False

    def covers(self, keys: Sequence[int]) -> bool:
        """Whether all of these locks are held, for what the process knows."""
        return self._keys.issuperset(keys)

    def keep(self) -> None:
        """A batch begins: don't release what it may need."""
        if self._release is not None:
            self._release.cancel()

    async def take(
        self, conn: asyncpg.Connection, keys: Sequence[int], *, may_share: bool = False
    ) -> bool:
        """Make sure that the connection holds the locks; whether others had them.

        keys: in the order in which everybody takes them. Locks that are due to others are released
        first, in the same statement: who waits for them gets them, and this waits behind. Nobody
        waits while holding locks.
        may_share: where there are others who share the locks, hold them together with these:
        `is_shared` tells. Locks that are held alone are kept alone until they are released.
        """
        if conn is not self._holder:
            self._keys, self._holder = set(), conn
        is_shared = may_share and await self._are_others_about(conn, keys)
        is_enough = is_shared or not self.is_shared
        if (
            self._keys
            and is_enough
            and not self._is_release_due
            and await self._has_also(conn, keys)
        ):
            return False
        released = self._keys
        self._keys, self._is_release_due = set(), False
        has_waited = await storage.switch_locks(
            conn, released, keys, was_shared=self.is_shared, is_shared=is_shared
        )
        self._keys, self._taken_at, self.is_shared = set(keys), _now(), is_shared
        if has_waited:
            self._contended_until = self._taken_at + _CONTENDED_SECONDS
            until = self._taken_at + TRIAL_SECONDS
            self._sharing_until = max(self._sharing_until, until)
        return has_waited

    def end_batch(self) -> None:
        """Before the answers of a batch are given.

        Where others wait, the next batch begins with releasing the locks; without one that is begun
        now.
        """
        if self._is_contended():
            self._is_release_due = True
            if not self.has_waiting():
                self._unlock_soon()

    async def settle(self) -> None:
        """After the answers are given: keep the locks for the next batch, or for a moment."""
        if self._is_contended():
            return
        self._is_release_due = self._is_held_long()
        if not self.has_waiting():
            loop = asyncio.get_running_loop()
            self._release = loop.call_later(LINGER_SECONDS, self._unlock_soon)

    def _is_contended(self) -> bool:
        """Whether somebody else had the locks not long ago."""
        return _now() < self._contended_until

    def _is_held_long(self) -> bool:
        """Whether others should have a turn, even if none is known to wait."""
        longest = LONGEST_SHARED_SECONDS if self.is_shared else LONGEST_HOLD_SECONDS
        return _now() - self._taken_at > longest

    async def unlock(self) -> None:
        """Let others have the locks of the last batch."""
        async with self.mutex, self._held.use() as conn:
            keys, self._keys = self._keys, set()
            self._is_release_due = False
            if conn is self._holder and keys:
                await storage.switch_locks(
                    conn, keys, (), was_shared=self.is_shared, is_shared=False
                )

    async def close(self) -> None:
        """Release everything and close the connection."""
        if self._release is not None:
            self._release.cancel()
        if self._releasing is not None:
            await self._releasing
        await self._held.close()

    async def _has_also(self, conn: asyncpg.Connection, keys: Sequence[int]) -> bool:
        """Whether the locks are held, or could be taken besides without waiting."""
        missing = [key for key in keys if key not in self._keys]
        if missing and len(self._keys) + len(missing) <= _MOST_LOCKS:
            self._keys |= await storage.try_locks(conn, missing, is_shared=self.is_shared)
        return self._keys.issuperset(keys)

    async def _are_others_about(self, conn: asyncpg.Connection, keys: Sequence[int]) -> bool:
        """Whether somebody else had the locks lately, or who shares them is still there."""
        now = _now()
        if now < self._sharing_until:
            return True
        if self.is_shared and await storage.are_shared(conn, keys):
            self._sharing_until = now + _SHARING_SECONDS
            return True
        return False

    def _unlock_soon(self) -> None:
        self._releasing = asyncio.get_running_loop().create_task(self._try_to_unlock())

    async def _try_to_unlock(self) -> None:
        # Unavailable: the connection is gone, and the locks with it.
        with contextlib.suppress(Unavailable):
            await self.unlock()


def _now() -> float:
    return asyncio.get_running_loop().time()
