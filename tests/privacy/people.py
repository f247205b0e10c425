"""Jane and her neighbour, known to an app in every way, for tests of executions."""

from datetime import UTC, datetime
from typing import Any

from audience import public
from audience.profile_changes.analytics_facts.facts import Conversion, Fact, Order
from audience.profile_changes.analytics_facts.operations import add_analytics_facts
from audience.profiles.identifiers import ANALYTICS_VISITOR_ID, Identifier
from audience.server import clock
from audience.server.database import raw
from tests.api.audience_api import leaf
from tests.conftest import App
from tests.data_subjects import Office

VISITOR = "fedcba98deadbeef"
NEIGHBOUR_VISITOR = "0123456789abcdef"
CONSENT_VISITOR = "0a1b2c3d-0000-4000-8000-000000000001"
NEIGHBOUR_CONSENT_VISITOR = "0a1b2c3d-0000-4000-8000-000000000002"
JANE = {"email": "jane@shop.example", "user_id": "marker-jane", "analytics_visitor_id": VISITOR}
MARKERS = (
    "jane@shop.example",
    "marker-jane",
    "marker-value",
    "marker-wish",
    "marker-form",
    "marker-city",
    VISITOR,
    CONSENT_VISITOR,
)


async def decide(office: Office, consent_visitor: str, visitor: str, status: int) -> None:
    body = {
        "visitorId": consent_visitor,
        "websiteId": office.app_id,
        "hostname": "shop.example",
        "event": "consent_change",
        "consents": {"analytics": {"status": status}},
        "cookies": f"_pk_id.{office.app_id}.1fff={visitor}.1.2.3",
    }
    answer = await office.service.post("/consent/collect", json=body)
    assert answer.status == 204, await answer.text()


async def _submit_form(app: App, visitor: str, name: str) -> None:
    item = {"website_id": app.app_id, "analytics_visitor_id": visitor, "attributes": []}
    body = {**item, "form_id": name, "url": f"https://shop.example/{name}"}
    answer = await app.service.post("/audiences/tracker/forms/", json=body)
    assert answer.status == 204, await answer.text()


async def _add_fact(app: App, visitor: str, city: str) -> None:
    """A visit with everything that the analytics system may tell."""
    fact = Fact(
        position=0,
        app_id=app.app_id,
        identifiers=(Identifier(ANALYTICS_VISITOR_ID, visitor),),
        occurred_at=datetime(2026, 3, 1, tzinfo=UTC),
        analytics={"city": city},
        is_visit=True,
        conversion=Conversion("2", 4),
        order=Order(f"order-{visitor}", 6.32),
    )
    async with app.database.transaction() as conn:
        await add_analytics_facts(await raw(conn), [fact], clock.now())


async def _make_audience(app: App) -> None:
    """One that everybody with a color is in."""
    fields = public.AudienceFields(name="Colorful", definition=leaf("exists", name="color"))
    async with app.database.transaction() as conn:
        await public.create_audience(conn, app.app_id, fields, "test", clock.now())


async def make_people(app: App, office: Office) -> None:
    """Jane with everything there is, and a neighbour who has the same."""
    await _make_audience(app)
    color = [{"name": "color", "value": "marker-value"}, {"name": "age", "value": 47}]
    await app.write({"analytics_visitor_id": VISITOR, "attributes": color})
    await app.write({**JANE})
    await app.write({"device_id": "marker-jane-device", "email": "jane@shop.example"})
    await app.write(
        {
            "email": "neighbour@shop.example",
            "analytics_visitor_id": NEIGHBOUR_VISITOR,
            "attributes": [{"name": "color", "value": "neighbour-value"}],
        }
    )
    for visitor, whose in ((VISITOR, "marker"), (NEIGHBOUR_VISITOR, "neighbour")):
        await _submit_form(app, visitor, f"{whose}-form")
        await _add_fact(app, visitor, f"{whose}-city")
    await decide(office, CONSENT_VISITOR, VISITOR, 1)
    await decide(office, CONSENT_VISITOR, VISITOR, 0)
    await decide(office, NEIGHBOUR_CONSENT_VISITOR, NEIGHBOUR_VISITOR, 1)


async def verified_request(
    office: Office, event: str, *, deliver: bool = True, **members: Any
) -> str:
    """A verified request of Jane's; the browser claims the neighbour's analytics ID.

    deliver: also send the mails that wait.
    """
    text = {"userRequestedInfo": "marker-wish"}
    status, body = await office.submit("jane@shop.example", event, **{**text, **members})
    assert status == 204, body
    request_id = await office.rows.fetchval(
        "SELECT max(request_id::text) FROM data_subject_requests WHERE app_id = $1", office.app_id
    )
    assert (await office.act(request_id, "verify", reason="passport seen"))[0] == 200
    if deliver:
        await office.deliver()
    return str(request_id)
