"""What executions leave behind: the wording in exports, nothing personal in logs, retries."""

import io
import logging
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
import structlog

from audience import public
from audience.server import clock
from audience.server.log import Sink, configure_logging
from consent.data_subject_requests.execution import erasing
from consent.data_subject_requests.execution.step import Progress, Work
from consent.decisions.counting import visitor_digest
from consent.decisions.persons import operations as persons
from tests.conftest import App, Authorized
from tests.consents import Visitor, new_visitor
from tests.data_subjects import REQUESTS, Office
from tests.database_dump import found_in_dump
from tests.mailbox import body_of
from tests.privacy.executing import export_of, run
from tests.privacy.people import (
    CONSENT_VISITOR,
    MARKERS,
    VISITOR,
    decide,
    make_people,
    verified_request,
)


@pytest.fixture
def logged() -> Iterator[tuple[io.StringIO, Sink]]:
    """The log, at its most talkative, in memory."""
    before = logging.root.handlers[:]
    # The mail server of the tests runs in this process too, and logs what it gets.
    logging.getLogger("mail.log").propagate = False
    stream = io.StringIO()
    yield stream, configure_logging("debug", "json", stream)
    structlog.reset_defaults()
    logging.getLogger("mail.log").propagate = True
    logging.root.handlers[:] = before


async def test_the_wording_that_the_person_saw_is_in_the_export(
    app: App, office: Office, authorized: Authorized
) -> None:
    content = {"label": "Counting", "description": "We count what you look at."}
    status, body = await authorized.post(
        "/api/consents/v1/forms/publish/",
        params={"website_id": app.app_id},
        json={
            "data": {
                "type": "ConsentText",
                "attributes": {"language": "en", "text_key": "analytics", "content": content},
            }
        },
    )
    assert status == 201, body
    seen = body["data"]["id"]
    visitor = Visitor(app, CONSENT_VISITOR, f"_pk_id.{app.app_id}.1fff={VISITOR}.1.2.3")
    sent = await visitor.send({"consents": {"analytics": {"status": 1, "historyId": seen}}})
    assert sent[0] == 204
    await app.write({"email": "jane@shop.example", "analytics_visitor_id": VISITOR})
    request_id = await verified_request(office, "view_data")
    assert (await office.act(request_id, "execute"))[0] == 202
    await run(office)
    data, page = await export_of(office, request_id)
    assert data["decisions"][0]["consents"]["analytics"]["historyId"] == seen
    (text,) = data["texts"]
    assert (text["history_id"], text["content"]) == (seen, content)
    assert "We count what you look at." in page


async def test_executions_and_downloads_leave_nothing_personal_in_the_log(
    logged: tuple[io.StringIO, Sink],
    app: App,
    office: Office,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, sink = logged
    await make_people(app, office)
    view = await verified_request(office, "view_data")
    assert (await office.act(view, "execute"))[0] == 202
    await run(office)
    (mail,) = await office.deliver()
    link = body_of(mail).partition("/privacy/exports/")[2].split()[0]
    assert (await office.service.get(f"/privacy/exports/{link}")).status == 200
    change = await verified_request(office, "change_data")
    right = [{"name": "color", "value": "marker-new"}]
    assert (await office.act(change, "execute", attributes=right))[0] == 202
    await run(office)
    erasure = await verified_request(office, "delete_data")
    assert (await office.act(erasure, "execute"))[0] == 202

    async def fail(_work: Work) -> Progress:
        raise RuntimeError(" ".join(MARKERS))

    monkeypatch.setitem(erasing.PHASES, "person", fail)
    await run(office)
    monkeypatch.undo()
    await app.rows.execute("UPDATE data_subject_executions SET next_step_at = now()")
    await run(office)
    await office.deliver()
    sink.flush()
    text = stream.getvalue()
    assert "RuntimeError" in text
    assert "download_by_link" in text
    assert not [one for one in (*MARKERS, "marker-new", link) if one in text]


async def test_a_step_that_fails_is_tried_again_while_others_go_on(
    app: App, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_people(app, office)
    erasure = await verified_request(office, "delete_data")
    assert (await office.act(erasure, "execute"))[0] == 202
    whole = erasing.PHASES["person"]

    async def erase_and_fail(work: Work) -> Progress:
        await whole(work)
        raise RuntimeError("after everything was done")

    monkeypatch.setitem(erasing.PHASES, "person", erase_and_fail)
    view = await verified_request(office, "view_data")
    assert (await office.act(view, "execute"))[0] == 202
    await run(office)
    # The step that failed left nothing half done, and kept nobody waiting.
    assert await app.count("profiles") == 2
    assert (await office.get(view))["status"] == "resolved"
    _, body = await office.team.get(f"{REQUESTS}/{erasure}/execution")
    assert body["data"]["attributes"]["try_count"] == 1
    monkeypatch.undo()
    await run(office)
    assert await app.count("profiles") == 2
    later = clock.now() + timedelta(seconds=30)
    monkeypatch.setattr(clock, "now", lambda: later)
    await run(office)
    assert await app.count("profiles") == 1
    assert (await office.get(erasure))["status"] == "resolved"


async def test_the_memory_of_an_erasure_goes_too(
    app: App, office: Office, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_people(app, office)
    erasure = await verified_request(office, "delete_data")
    assert (await office.act(erasure, "execute"))[0] == 202
    await run(office)
    await office.deliver()
    later = clock.now() + timedelta(days=8)
    monkeypatch.setattr(clock, "now", lambda: later)
    while await public.finish_erasures(office.service.app):  # type: ignore[arg-type]
        pass
    assert await app.count("erased_identifiers") == 0
    assert found_in_dump(database_url, (*MARKERS, UUID(CONSENT_VISITOR).hex)) == []


async def test_a_late_decision_is_not_tied_to_the_erased_analytics_id(
    app: App, office: Office, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_people(app, office)
    erasure = await verified_request(office, "delete_data")
    assert (await office.act(erasure, "execute"))[0] == 202
    await run(office)
    await office.deliver()
    # The page sends again what it could not send before.
    await decide(office, CONSENT_VISITOR, VISITOR, 1)
    tied = "SELECT analytics_visitor_id FROM consent_visitors WHERE visitor_id = $1::uuid"
    assert await app.rows.fetchval(tied, CONSENT_VISITOR) is None
    assert found_in_dump(database_url, (VISITOR,)) == []
    later = clock.now() + timedelta(hours=25)
    monkeypatch.setattr(clock, "now", lambda: later)
    await decide(office, CONSENT_VISITOR, VISITOR, 0)
    assert await app.rows.fetchval(tied, CONSENT_VISITOR) == VISITOR


async def test_an_erased_visitor_of_the_day_is_counted_as_nobody(app: App, office: Office) -> None:
    await app.write({"email": "jane@shop.example"})
    # Jane's browser has shown the form, and she has decided nothing.
    shown = {"event": "form_view", "source": 1}
    assert (await Visitor(app, CONSENT_VISITOR).send(shown))[0] == 204
    erasure = await verified_request(office, "delete_data")
    key = await app.rows.fetchval("SELECT hash_key FROM consent_day_keys")
    digests = "SELECT visitor_digest FROM consent_day_visitors"
    assert await app.rows.fetchval(digests) == visitor_digest(key, CONSENT_VISITOR)
    assert (await office.act(erasure, "execute"))[0] == 202
    await run(office)
    assert await app.count("consent_day_visitors") == 1
    assert await app.rows.fetchval(digests) != visitor_digest(key, CONSENT_VISITOR)


async def test_an_erasure_reaches_every_consent_visitor_of_a_browser(
    app: App, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persons, "MAX_VISITORS", 2)
    await app.write({"email": "jane@shop.example", "analytics_visitor_id": VISITOR})
    for _ in range(5):
        await new_visitor(app, VISITOR).decide(analytics=1)
    request_id = await verified_request(office, "delete_data")
    assert (await office.act(request_id, "execute"))[0] == 202
    await run(office)
    for table in ("consent_visitors", "consent_visitor_keys"):
        assert await app.count(table) == 0, table
    assert await app.count("consent_decisions") == 5
