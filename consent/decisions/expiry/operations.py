"""A decision older than its app's period counts as none: profiles are told by a job.

The gate, the state and the form reckon with the time themselves; only the copy that a profile has,
for conditions of audiences, must be emptied.
"""

from aiohttp import web

from audience import public
from audience.server import clock
from audience.server.database import raw
from audience.server.keys import DATABASE
from consent.decisions.expiry import storage
from consent.decisions.storage import consent_lock_key

_EXPIRED_AT_ONCE = 200


async def expire_consents(app: web.Application) -> bool:
    """A step of the job: up to 200 visitors of one app; True when more may be waiting.

    Safe to run twice.
    """
    now = clock.now()
    async with app[DATABASE].transaction() as conn:
        driver = await raw(conn)
        app_id = await storage.find_app_with_expired(driver, now)
        if app_id is None:
            return False
        await storage.lock_consents(driver, consent_lock_key(app_id))
        expired = await storage.expire_some(driver, app_id, now, _EXPIRED_AT_ONCE)
        states = {
            one.analytics_visitor_id: public.VisitorConsents({}, one.decided_at)
            for one in sorted(expired, key=lambda one: one.decided_at)
            if one.analytics_visitor_id is not None
        }
        if states:
            await public.set_consents_of_visitors(driver, {app_id: states}, now)
        return True
