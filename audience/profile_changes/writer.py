"""The writer of public requests: under the locks of their apps, counted by metrics."""

from collections.abc import Sequence

import asyncpg

from audience.profile_changes.operations import Counts, WriteResult, write_batch
from audience.profile_changes.write_request import WriteRequest
from audience.profiles.storage import app_lock_key
from audience.server import clock, metrics
from audience.server.database import HeldConnection
from audience.server.session_locks.writer import LockedWriter, NeedsToBeAlone, Turn

Writer = LockedWriter[WriteRequest, WriteResult]


def make_writer(held: HeldConnection) -> Writer:
    """The one writer of the process.  held: a connection of its own."""
    return Writer(held, _lock_keys, _write, can_share=True)


def _lock_keys(requests: Sequence[WriteRequest]) -> list[int]:
    app_ids = set().union(*[request.app_ids for request in requests])
    return sorted([app_lock_key(app_id) for app_id in app_ids])


async def _write(
    conn: asyncpg.Connection, requests: Sequence[WriteRequest], turn: Turn
) -> list[WriteResult]:
    counts = Counts()
    try:
        results = await write_batch(
            conn, requests, clock.now, counts, is_shared=turn.is_shared, done=turn.done
        )
    except NeedsToBeAlone:
        metrics.count_turn("repeated")
        raise
    turn.needs_to_be_alone |= not counts.is_one_statement
    metrics.count_turn("shared" if turn.is_shared else "alone")
    if counts.merges:
        metrics.MERGES.inc(counts.merges)
    for reason, count in counts.refusals.items():
        metrics.MERGE_REFUSALS.labels(reason).inc(count)
    return results
