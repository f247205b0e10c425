"""Jane and her neighbour, known to an app in every way, for tests of executions."""

from typing import Any

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


async def make_people(app: App, office: Office) -> None:
    """Jane with everything there is, and a neighbour who has the same."""
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
    await decide(office, CONSENT_VISITOR, VISITOR, 1)
    await decide(office, CONSENT_VISITOR, VISITOR, 0)
    await decide(office, NEIGHBOUR_CONSENT_VISITOR, NEIGHBOUR_VISITOR, 1)


async def verified_request(office: Office, event: str, **members: Any) -> str:
    """A verified request of Jane's; the browser claims the neighbour's analytics ID."""
    text = {"userRequestedInfo": "marker-wish"}
    status, body = await office.submit("jane@shop.example", event, **{**text, **members})
    assert status == 204, body
    request_id = await office.rows.fetchval(
        "SELECT max(request_id::text) FROM data_subject_requests WHERE app_id = $1", office.app_id
    )
    assert (await office.act(request_id, "verify", reason="passport seen"))[0] == 200
    await office.deliver()
    return str(request_id)
