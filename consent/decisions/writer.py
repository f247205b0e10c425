"""The writer of collected requests: under the locks of their apps, counted by metrics."""

from collections.abc import Sequence

import asyncpg

from audience.server import clock
from audience.server.database import HeldConnection
from audience.server.session_locks.writer import LockedWriter, Turn
from consent.decisions.app_batch import Collect
from consent.decisions.known import Known
from consent.decisions.metrics import DECISIONS, REPETITIONS
from consent.decisions.operations import CollectResult, Counts, collect_batch, lock_keys

CollectWriter = LockedWriter[Collect, CollectResult]


def make_writer(held: HeldConnection) -> CollectWriter:
    """The one writer of the process.  held: a connection of its own."""
    known = Known()

    async def write(
        conn: asyncpg.Connection, items: Sequence[Collect], _turn: Turn
    ) -> list[CollectResult]:
        counts = Counts()
        results = await collect_batch(conn, items, known, clock.now, counts)
        DECISIONS.inc(counts.decisions)
        REPETITIONS.inc(counts.repetitions)
        return results

    return CollectWriter(held, lock_keys, write)
