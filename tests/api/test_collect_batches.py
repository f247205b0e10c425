"""Requests of several apps and with any texts in one batch: each is stored as if it came alone."""

import asyncio
from collections import Counter
from uuid import uuid4

from audience import public
from audience.profiles.identifiers import Identifier
from audience.server import clock
from consent.decisions.app_batch import Collect
from consent.decisions.collected import parse_collected
from consent.decisions.history.operations import verify_chain
from consent.decisions.known import Known
from consent.decisions.operations import Counts, collect_batch
from tests.conftest import App, MakeApp
from tests.consents import Visitor, history, new_visitor

ANALYTICS_ID = "0123456789abcdef"
#: What PostgreSQL would read as something else in an array that is not quoted.
HOSTNAMES = ("null", "a,b", "{}", '"', "\\", '\\"', " x ", "ü", "")


async def test_apps_in_one_batch_have_chains_of_their_own(make_app: MakeApp) -> None:
    apps = [await make_app() for _ in range(3)]
    visitors = [new_visitor(app) for _ in range(5) for app in apps]
    # Not over HTTP: a batch that fails is tried again request by request, and nobody would notice.
    conn = await apps[0].database.connect()
    try:
        for statuses in ((1, 0), (0, 1)):
            items = [_collect(visitor, status) for status in statuses for visitor in visitors]
            counts = Counts()
            results = await collect_batch(conn, items, Known(), clock.now, counts)
            assert (results, counts.decisions) == ([None] * 30, 30)
    finally:
        await conn.close()
    for app in apps:
        assert [row["sequence"] for row in await history(app)] == list(range(1, 21))
        assert (await verify_chain(app.rows, app.app_id)).fault is None
    for visitor in visitors:
        assert await visitor.state() == {"analytics": 1}


def _collect(visitor: Visitor, status: int) -> Collect:
    body = {
        "event": "consent_change",
        "websiteId": visitor.app.app_id,
        "visitorId": visitor.visitor_id,
        "consents": {"analytics": {"status": status}},
        "decisionId": str(uuid4()),
        "hostname": "shop.example",
    }
    return Collect(parse_collected(body), None)


async def test_any_host_name_and_language_is_stored_as_sent(app: App) -> None:
    await asyncio.gather(
        *(
            new_visitor(app).decide(analytics=1, hostname=hostname, language="null")
            for hostname in HOSTNAMES
            for _ in range(2)
        )
    )
    rows = await history(app)
    assert Counter(row["hostname"] for row in rows) == dict.fromkeys(HOSTNAMES, 2)
    assert {row["language"] for row in rows} == {"null"}
    counted = await app.rows.fetch(
        "SELECT hostname, sum(event_count) FROM consent_counters WHERE app_id = $1 GROUP BY 1",
        app.app_id,
    )
    assert {row[0]: row[1] for row in counted} == dict.fromkeys(HOSTNAMES, 2)


async def test_only_in_the_app_that_erased_somebody_is_the_analytics_id_blocked(
    app: App, noise: App
) -> None:
    for one in (app, noise):
        await one.write({"analytics_visitor_id": ANALYTICS_ID})
    person = [Identifier("analytics_visitor_id", ANALYTICS_ID)]
    async with app.database.transaction() as conn:
        await public.erase_person(conn, app.app_id, person, clock.now())
    visitors = [new_visitor(one) for one in (app, noise) for _ in range(5)]
    for visitor in visitors:
        visitor.cookies = (
            f"_pk_id.{visitor.app.app_id}.1fff={ANALYTICS_ID}.1700000000.1.1700000000.1700000000."
        )
    await asyncio.gather(
        *(visitor.decide(analytics=1, decisionId=str(uuid4())) for visitor in visitors)
    )
    tied = await app.rows.fetch(
        "SELECT app_id::text, count(analytics_visitor_id) FROM consent_visitors GROUP BY 1"
    )
    assert dict(map(tuple, tied)) == {app.app_id: 0, noise.app_id: 5}
