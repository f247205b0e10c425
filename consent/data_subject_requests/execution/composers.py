"""The mails that tell the requester what became of a request.

A composer runs when its mail is sent: the secret of the download link is made then and stored only
as a hash, so a mail that is sent again carries a new link and the old one is dead.
"""

import hashlib
import secrets
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.server.settings import Settings
from consent.data_subject_requests import storage as requests
from consent.data_subject_requests.execution.exports import storage as exports
from consent.data_subject_requests.execution.texts import text
from consent.data_subject_requests.lifecycle import CHANGE_DATA, DELETE_DATA, VIEW_DATA
from consent.data_subject_requests.mails.operations import Composer, Letter
from consent.data_subject_requests.mails.storage import Mail
from consent.data_subject_requests.texts import day

ACCESS_READY, CHANGE_DONE, DELETION_DONE = "access_ready", "change_done", "deletion_done"
#: {request type: purpose of the mail when it is done}
OUTCOME_PURPOSES = {
    VIEW_DATA: ACCESS_READY,
    CHANGE_DATA: CHANGE_DONE,
    DELETE_DATA: DELETION_DONE,
}
#: Below the origin; the secret of the link follows.
EXPORTS_PATH = "/privacy/exports"
_SECRET_BYTES = 32


def hash_of_link(secret: str) -> bytes:
    """What is stored of a download link."""
    return hashlib.sha256(secret.encode()).digest()


async def compose_outcome(
    conn: AsyncConnection, mail: Mail, settings: Settings, now: datetime
) -> Letter | None:
    """The letter about a request that is done; None when there is nothing to say any more."""
    if mail.request_id is None:
        return None
    request = await requests.find_request(conn, mail.request_id)
    if request is None:
        return None
    site = await public.get_app(conn, request.app_id)
    values: dict[str, object] = {
        "site": site.name,
        "date": day(request.received_at, site.timezone),
    }
    if mail.purpose == ACCESS_READY:
        export = await exports.find_export(conn, request.app_id, request.request_id)
        if export is None or export.expires_at <= now:
            return None
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        link_hash = hash_of_link(secret)
        await exports.save_link_hash(conn, request.app_id, request.request_id, link_hash)
        values["url"] = f"{settings.origin}{EXPORTS_PATH}/{secret}"
        values["expires"] = day(export.expires_at, site.timezone)
    return Letter(
        text(mail.language, f"{mail.purpose}_subject", **values),
        text(mail.language, f"{mail.purpose}_text", **values),
    )


#: {purpose: its composer}
COMPOSERS: dict[str, Composer] = dict.fromkeys(OUTCOME_PURPOSES.values(), compose_outcome)
