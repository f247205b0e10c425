"""The job that removes mails from the outbox when what they are about is forgotten.

An erasure removes its mails itself, where it runs. This takes what is left: after the retention of
a request, in the outbox of another machine, of an app that is gone, and the outcome of an erasure.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from aiohttp import web

from audience.server import clock
from audience.server.keys import DATABASE, SETTINGS
from consent.data_subject_requests.mails.outbox import MailFile, list_mail_files, outbox_of
from consent.data_subject_requests.upkeep import storage

#: How long what was written after an erasure waits to be sent on: the mail that tells of it.
OUTCOME_KEPT_FOR = timedelta(days=7)
_FILES_AT_ONCE = 500

#: {"after": the name of the file that was looked at last}; "": a look begins.
OUTBOX_POSITION = web.AppKey("outbox_position", dict[str, str])


async def forget_some_files(app: web.Application) -> bool:
    """One step: look at up to 500 mails in the outbox; True until all have been looked at."""
    folder, position = outbox_of(app[SETTINGS]), app[OUTBOX_POSITION]
    files = await asyncio.to_thread(list_mail_files, folder, position["after"], _FILES_AT_ONCE)
    position["after"] = files[-1].path.name if files else ""
    if not files:
        return False
    ids = {file.request_id for file in files if file.request_id is not None}
    async with app[DATABASE].transaction() as conn:
        erased = await storage.list_erased_contents(conn, ids)
    now = clock.now()
    for file in files:
        if _is_to_go(file, erased, now):
            await asyncio.to_thread(file.path.unlink, missing_ok=True)
    return True


def _is_to_go(file: MailFile, erased: Mapping[str, datetime | None], now: datetime) -> bool:
    """erased: {request_id: when its content was erased, or None}, without requests that are gone.

    Of a request that is gone the mails stay for a while too: the service may have been started on
    another database.
    """
    is_old = file.written_at <= now - OUTCOME_KEPT_FOR
    if file.request_id is None or file.request_id not in erased:
        return is_old
    erased_at = erased[file.request_id]
    if erased_at is None:
        return False
    return is_old or file.queued_ms < int(erased_at.timestamp() * 1000)
