"""What the application needs of data subject requests beside their routes."""

import time

import structlog
from aiohttp import web

from audience.server.jobs import Job
from audience.server.keys import SETTINGS
from audience.server.rate_limit import RateLimit, share_of_worker
from consent.data_subject_requests.execution import composers as execution_composers
from consent.data_subject_requests.execution import jobs as execution
from consent.data_subject_requests.handling import operations as handling
from consent.data_subject_requests.intake import handlers as intake
from consent.data_subject_requests.lifecycle import REQUEST_TYPES
from consent.data_subject_requests.mails import operations as mails
from consent.data_subject_requests.opendsr import callbacks
from consent.data_subject_requests.upkeep import operations as upkeep
from consent.data_subject_requests.upkeep import outbox
from consent.data_subject_requests.verification import operations as proofs
from consent.decisions.handlers import OTHER_EVENTS, EventHandler

REQUEST_JOBS: tuple[Job, ...] = (
    Job("send mails", 2, mails.send_some_mails),
    Job("execute data subject requests", 2, execution.execute_some),
    Job("forget expired exports", 60, execution.forget_expired_exports),
    Job("report to controllers", 5, callbacks.report_some),
    Job("remind of requests", 600, upkeep.remind_some),
    Job("forget old requests", 600, upkeep.forget_some),
    Job("forget old mails in the outbox", 600, outbox.forget_some_files),
)

#: {purpose of a mail: what composes it}
COMPOSERS: dict[str, mails.Composer] = {
    proofs.VERIFICATION: proofs.compose_verification,
    handling.EXTENSION: handling.compose_news,
    handling.REJECTION: handling.compose_news,
    **execution_composers.COMPOSERS,
    upkeep.REMINDER: upkeep.compose_reminder,
}


def set_up_requests(app: web.Application) -> None:
    """Have requests collected, addresses limited and mails composed."""
    settings = app[SETTINGS]
    if settings.smtp_url is not None and not settings.public_url:
        structlog.get_logger().warning(
            "PUBLIC_URL is not set: links in mails lead to this machine", url=settings.origin
        )
    take_request: EventHandler = intake.collect_request
    app[OTHER_EVENTS] = dict.fromkeys(REQUEST_TYPES, take_request)
    share = share_of_worker(intake.REQUESTS_PER_MINUTE, settings.workers)
    app[intake.REQUEST_LIMIT] = RateLimit(share, time.monotonic)
    app[mails.COMPOSERS] = dict(COMPOSERS)
    app[outbox.OUTBOX_POSITION] = {"after": ""}
