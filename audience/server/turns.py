"""A few requests per turn of the event loop, so that nothing else waits for a crowd of them.

A loop runs everything that is ready before it looks at its sockets again. Many requests that
arrived together are all ready at once, and what the database has answered meanwhile waits until the
last one is parsed: measured, a sixth of a batch's time (ARCHITECTURE.md, decision 73).
"""

import asyncio
from collections import deque

#: So many per turn: each turn costs some microseconds, a request about twenty ...
AT_A_TIME = 2
#: ... or this part of those who wait, so that nobody waits for many turns, however long they are.
_PART = 1 / 16


class Turns:
    """Queues requests for the turns of the running loop, first come first served."""

    def __init__(self) -> None:
        """Waits for nobody yet."""
        self._left = AT_A_TIME
        self._is_begun = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    async def wait(self) -> None:
        """Return in a turn that has a place left."""
        loop = asyncio.get_running_loop()
        if not self._is_begun:
            self._is_begun = True
            loop.call_soon(self._begin)
        if self._left:
            self._left -= 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _begin(self) -> None:
        """Begin a turn with those who have waited for it."""
        self._left = most = max(AT_A_TIME, int(len(self._waiting) * _PART))
        while self._left and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
        self._is_begun = self._left < most
        if self._is_begun:
            asyncio.get_running_loop().call_soon(self._begin)
        else:
            self._left = AT_A_TIME
