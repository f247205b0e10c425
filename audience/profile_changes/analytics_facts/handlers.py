"""POST /api/audiences/v1/analytics/: facts of the analytics system."""

from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from audience.apps.access import access_app, caller_of
from audience.apps.audit.operations import record_audit_entry
from audience.errors import Invalid
from audience.profile_changes.analytics_facts.facts import Conversion, Fact, Order
from audience.profile_changes.analytics_facts.operations import add_analytics_facts
from audience.profile_changes.analytics_facts.schemas import AnalyticsFact, FactsAnswer
from audience.profiles.identifiers import ANALYTICS_VISITOR_ID, USER_ID, Identifier
from audience.profiles.storage import lock_apps
from audience.server import clock
from audience.server.database import raw
from audience.server.json_api import json_response, read_list
from audience.server.keys import DATABASE
from audience.server.openapi import described

MAX_FACTS = 1000
#: Clocks of two machines differ; what is later than that is a mistake.
_MAX_CLOCK_SKEW = timedelta(minutes=10)


@described(body=AnalyticsFact, is_body_list=True, answer=FactsAnswer)
async def add_facts(request: web.Request) -> web.Response:
    """POST /api/audiences/v1/analytics/ -> 200, what was counted.

    Body: an array of at most 1,000 facts (or one); all of them are applied or none. An order id and
    a goal's event id count once, whoever has them by then; late facts replace nothing newer. On
    repeat: the same state. Facts from before a person's erasure, and for a day all that name only
    that person's visitor IDs, are dropped.  400 malformed, 404 for an unknown app.
    """
    now = clock.now()
    given = await read_list(request, AnalyticsFact, MAX_FACTS)
    facts = [_fact(position, fact, now) for position, fact in enumerate(given)]
    caller = caller_of(request)
    async with request.app[DATABASE].transaction() as conn:
        app_ids = sorted({fact.app_id for fact in facts})
        for app_id in app_ids:
            await access_app(conn, caller, app_id)
        driver = await raw(conn)
        await lock_apps(driver, app_ids)
        # Under the locks: merges are in the ledger in the order in which they happened.
        now = clock.now()
        outcome = await add_analytics_facts(driver, facts, now)
        for app_id in app_ids:
            await record_audit_entry(
                conn, caller, "add_facts", now=now, app_id=app_id, target_type="app"
            )
    answer: dict[str, Any] = {
        "facts": outcome.fact_count,
        "orders": outcome.order_count,
        "conversions": outcome.conversion_count,
        "repeated": outcome.repeated_count,
        "erased": outcome.erased_count,
        "skipped": [
            {"fact": position, "name": "goal", "reason": reason}
            for position, reason in outcome.skipped
        ],
    }
    return json_response(request, answer)


def _fact(position: int, given: dict[str, Any], now: datetime) -> Fact:
    if given["occurred_at"] > now + _MAX_CLOCK_SKEW:
        path = f"/{position}/occurred_at"
        message = f"{path} must not be in the future"
        raise Invalid(message, path=path)
    identifiers = [Identifier(ANALYTICS_VISITOR_ID, given["analytics_visitor_id"].lower())]
    user_id = given.get("user_id", "")
    if user_id and not user_id.isspace():
        identifiers.insert(0, Identifier(USER_ID, user_id))
    goal, order = given["goal"], given["order"]
    return Fact(
        position,
        given["website_id"],
        tuple(identifiers),
        given["occurred_at"],
        given["analytics"],
        given["visit"],
        None if goal is None else Conversion(goal["id"], goal["revenue"], goal.get("event_id")),
        None if order is None else Order(order["id"], order["revenue"]),
    )
