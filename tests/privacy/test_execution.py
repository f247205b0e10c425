"""Executing requests over HTTP: preview, access export, rectification, erasure, receipt."""

import io
import itertools
import json
import re
import zipfile
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from audience.server import clock
from consent.data_subject_requests.execution.jobs import execute_some, forget_expired_exports
from consent.data_subject_requests.execution.rectifying import hash_value
from consent.data_subject_requests.texts import LANGUAGES, text
from tests.conftest import App, MakeClient
from tests.data_subjects import REQUESTS, Office
from tests.database_dump import found_in_dump
from tests.mailbox import body_of
from tests.privacy.executing import run
from tests.privacy.people import (
    JANE,
    MARKERS,
    NEIGHBOUR_VISITOR,
    make_people,
    verified_request,
)


async def _execute(office: Office, request_id: str, **instructions: Any) -> dict[str, Any]:
    """Execute whole; the execution as the team sees it."""
    status, body = await office.act(request_id, "execute", **instructions)
    assert status == 202, body
    assert (await office.get(request_id))["status"] == "in_progress"
    assert await run(office) > 1
    status, body = await office.team.get(f"{REQUESTS}/{request_id}/execution")
    assert status == 200
    assert "completed_at" in body["data"]["attributes"]
    found: dict[str, Any] = body["data"]["attributes"]
    return found


async def _download(office: Office, link: str) -> tuple[int, dict[str, Any], str]:
    answer = await office.service.get(f"/privacy/exports/{link}")
    content = await answer.read()
    if answer.status != 200:
        return answer.status, {}, content.decode()
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Cache-Control"] == "no-store"
    return 200, json.loads(archive.read("data.json")), archive.read("index.html").decode()


def _link_in(mail: Any) -> str:
    found = re.search(r"https://consent\.example/privacy/exports/(\S+)", body_of(mail))
    assert found is not None, body_of(mail)
    return found[1]


async def test_an_access_export_holds_everything_of_the_person_and_nothing_of_a_neighbour(
    app: App, office: Office
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "view_data")
    done = await _execute(office, request_id)
    assert (await office.get(request_id))["status"] == "resolved"
    (mail,) = await office.deliver()
    assert mail["To"] == "jane@shop.example"
    status, data, page = await _download(office, _link_in(mail))
    assert status == 200
    (profile,) = data["profiles"]
    assert {row["value"] for row in profile["identifiers"]} == {
        *JANE.values(),
        "marker-jane-device",
    }
    colors = {row["name"]: row["value"] for row in profile["attributes"]}
    assert colors == {"color": "marker-value", "age": 47}
    known = profile["profile"]
    assert known["forms"]["marker-form"]["url"] == "https://shop.example/marker-form"
    assert known["analytics"] == {"city": "marker-city"}
    assert known["goals"]["2"]["conversion_count"] == 1
    assert known["ecommerce"]["total_revenue"] == 6.32
    assert [one["name"] for one in profile["audiences"]] == ["Colorful"]
    assert [one["consents"]["analytics"]["status"] for one in data["decisions"]] == [1, 0]
    assert data["consents"][0]["consents"]["analytics"]["status"] == 0
    assert [one["request_id"] for one in data["requests"]] == [request_id]
    for whole in (json.dumps(data), page):
        assert "neighbour" not in whole
        assert NEIGHBOUR_VISITOR not in whole
        for marker in ("marker-value", "marker-wish", "marker-form", "marker-city", "Colorful"):
            assert marker in whole
    assert done["counts"] == {
        "profiles": 1,
        "consent_visitors": 1,
        "consent_decisions": 2,
        "data_subject_requests": 1,
    }


async def test_texts_seen_and_merges_are_in_the_export(app: App, office: Office) -> None:
    await app.write({"device_id": "d", "attributes": [{"name": "before", "value": "merge"}]})
    await app.write({"email": "jane@shop.example"})
    await app.write({"email": "jane@shop.example", "device_id": "d"})
    request_id = await verified_request(office, "view_data")
    await _execute(office, request_id)
    (mail,) = await office.deliver()
    _, data, page = await _download(office, _link_in(mail))
    (merge,) = data["merges"]
    assert len(merge["documents"]) == 2
    assert "before" in page


async def test_an_export_shows_markup_as_text(app: App, office: Office) -> None:
    value = "<script>alert('x')</script>"
    entries = [{"name": "<b>", "value": value}]
    await app.write({"email": "jane@shop.example", "attributes": entries})
    await _execute(office, await verified_request(office, "view_data"))
    (mail,) = await office.deliver()
    _, data, page = await _download(office, _link_in(mail))
    assert data["profiles"][0]["attributes"][0]["value"] == value
    assert "<script" not in page
    assert "&lt;script&gt;alert" in page


async def test_a_download_link_works_for_seven_days_and_is_counted(
    app: App, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "view_data")
    await _execute(office, request_id)
    (mail,) = await office.deliver()
    link = _link_in(mail)
    for _ in range(2):
        assert (await _download(office, link))[0] == 200
    assert (await office.service.head(f"/privacy/exports/{link}")).status == 200
    row = await app.rows.fetchrow("SELECT * FROM data_subject_exports")
    assert row["download_count"] == 2
    events = [entry["event"] for entry in (await office.get(request_id))["history"]]
    assert events.count("downloaded") == 2
    assert (await _download(office, link + "x"))[0] == 404
    assert link not in str(dict(row))
    later = clock.now() + timedelta(days=6, hours=23)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert (await _download(office, link))[0] == 200
    expired = later + timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda: expired)
    for language in LANGUAGES:
        answer = await office.service.get(
            f"/privacy/exports/{link}", headers={"Accept-Language": language}
        )
        assert answer.status == 404
        assert text(language, "page_gone_text") in unescape(await answer.text())
    while await forget_expired_exports(office.service.app):  # type: ignore[arg-type]
        pass
    assert await app.count("data_subject_export_parts") == 0
    assert await app.count("data_subject_exports") == 0


async def test_the_team_downloads_an_export_for_an_answer_by_letter(
    app: App, office: Office, make_client: MakeClient
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "view_data")
    path = f"{REQUESTS}/{request_id}/export"
    assert (await office.team.get(path))[0] == 404
    await _execute(office, request_id)
    headers = {"Authorization": f"Bearer {office.team.token}"}
    answer = await office.service.get(path, headers=headers)
    assert answer.status == 200
    assert zipfile.ZipFile(io.BytesIO(await answer.read())).namelist() == [
        "data.json",
        "index.html",
    ]
    stranger = await make_client("privacy", organization="other")
    answer = await office.service.get(path, headers={"Authorization": f"Bearer {stranger.token}"})
    assert answer.status == 404
    reader = await make_client("read")
    answer = await office.service.get(path, headers={"Authorization": f"Bearer {reader.token}"})
    assert answer.status == 403
    refused = "SELECT count(*) FROM audit_entries WHERE outcome = 'refused' AND operation = $1"
    assert await app.rows.fetchval(refused, "download_export") == 1


async def test_a_rectification_leaves_only_hashes_in_the_audit_log(
    app: App, office: Office
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "change_data")
    await _execute(
        office,
        request_id,
        attributes=[{"name": "color", "value": "new-marker"}, {"name": "age", "value": None}],
        identifiers=[{"identifier_name": "email", "new_value": "Jane.New@shop.example"}],
    )
    profile = await app.profile("email", "jane.new@shop.example")
    assert profile["attributes"] == {"color": "new-marker"}
    (mail,) = await office.deliver()
    assert "corrected" in str(mail["Subject"])
    row = await app.rows.fetchrow(
        "SELECT details::text AS details FROM audit_entries WHERE operation = 'rectify_profile'"
    )
    changes = {one["field"]: one for one in json.loads(row["details"])["changes"]}
    assert changes.keys() == {"attributes.color", "attributes.age", "email"}
    assert not [text for text in (*MARKERS, "new-marker", "jane.new") if text in row["details"]]
    key = await app.rows.fetchval("SELECT hash_key FROM data_subject_executions")
    assert changes["attributes.color"]["old"] == hash_value(key, "marker-value")
    assert changes["attributes.color"]["new"] == hash_value(key, "new-marker")
    assert changes["attributes.age"]["new"] is None
    dump_free = "SELECT instructions::text || cursor::text FROM data_subject_executions"
    assert await app.rows.fetchval(dump_free) == "{}{}"


async def test_a_preview_of_a_correction_counts_what_it_would_change(
    app: App, office: Office
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "change_data")
    before = await app.profile("email", "jane@shop.example")
    nothing = {"profiles": 0, "attributes": 0, "profile_identifiers": 0}
    _, body = await office.team.get(f"{REQUESTS}/{request_id}/preview")
    assert body["data"]["attributes"]["counts"] == nothing
    wanted: dict[str, Any] = {
        "attributes": [
            {"name": "color", "value": "marker-value"},
            {"name": "age", "value": 48},
            {"name": "new", "value": "x"},
        ],
        "identifiers": [{"identifier_name": "email", "new_value": "jane.new@shop.example"}],
    }
    status, body = await office.act(request_id, "preview", **wanted)
    assert status == 200, body
    counts = body["data"]["attributes"]["counts"]
    assert counts == {"profiles": 1, "attributes": 2, "profile_identifiers": 1}
    assert await app.profile("email", "jane@shop.example") == before
    taken = [{"identifier_name": "email", "new_value": "neighbour@shop.example"}]
    status, body = await office.act(request_id, "preview", identifiers=taken)
    assert (status, body["errors"][0]["code"]) == (409, "identifier_taken")
    assert (await _execute(office, request_id, **wanted))["counts"] == counts


async def test_a_correction_that_is_not_possible_gives_the_request_back(
    app: App, office: Office
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "change_data")
    taken = [{"identifier_name": "email", "new_value": "neighbour@shop.example"}]
    assert (await office.act(request_id, "execute", identifiers=taken))[0] == 202
    await run(office)
    found = await office.get(request_id)
    assert found["status"] == "to_do"
    assert "execution_refused_identifier_taken" in [one["event"] for one in found["history"]]
    again = [{"identifier_name": "user_id", "new_value": "jane-2"}]
    await _execute(office, request_id, identifiers=again)
    assert (await app.profile("email", "jane@shop.example"))["user_id"] == "jane-2"


async def test_an_erasure_leaves_no_marker_in_the_database(
    app: App, office: Office, database_url: str
) -> None:
    await make_people(app, office)
    view = await verified_request(office, "view_data")
    await _execute(office, view)
    await office.deliver()
    waiting = await office.ask("jane@shop.example", "view_data")
    request_id = await verified_request(office, "delete_data")
    assert set(found_in_dump(database_url, MARKERS)) == set(MARKERS)
    assert await app.count("audience_members") == 2
    history = await app.rows.fetch("SELECT * FROM consent_decisions ORDER BY sequence")
    status, preview = await office.team.get(f"{REQUESTS}/{request_id}/preview")
    assert status == 200
    done = await _execute(office, request_id)
    assert [mail["To"] for mail in await office.deliver()] == ["jane@shop.example"]
    assert found_in_dump(database_url, MARKERS) == []
    assert await app.count("audience_members") == 1
    # The proof is untouched, and nobody's.
    assert await app.rows.fetch("SELECT * FROM consent_decisions ORDER BY sequence") == history
    assert await app.rows.fetchval("SELECT count(*) FROM consent_visitor_keys") == 1
    counts = preview["data"]["attributes"]["counts"]
    for table in ("profiles", "profile_identifiers", "profile_merges", "consent_visitors"):
        assert done["counts"].get(table, 0) == counts[table], table
    assert done["counts"]["data_subject_requests"] == counts["data_subject_requests"] == 3
    assert (await office.get(waiting))["status"] == "cancelled"
    assert (await office.get(request_id))["status"] == "resolved"
    assert (await app.profile("email", "neighbour@shop.example"))["attributes"]


async def test_an_erasure_ends_an_export_that_is_being_made(
    app: App, office: Office, database_url: str
) -> None:
    await make_people(app, office)
    view = await verified_request(office, "view_data")
    assert (await office.act(view, "execute"))[0] == 202
    for _ in range(3):
        assert await execute_some(office.service.app)  # type: ignore[arg-type]
    assert await app.count("data_subject_export_parts") > 0
    erasure = await verified_request(office, "delete_data")
    assert (await office.act(erasure, "execute"))[0] == 202
    later = "UPDATE data_subject_executions SET next_step_at = now() WHERE request_id = $1::uuid"
    put_off = "next_step_at = now() + interval '1 hour', try_count = 1"
    await app.rows.execute(later.replace("next_step_at = now()", put_off), view)
    assert await run(office) > 1
    await app.rows.execute(later, view)
    assert await run(office) == 0
    await office.deliver()
    assert found_in_dump(database_url, MARKERS) == []
    assert (await office.get(view))["status"] == "cancelled"


async def test_an_execution_goes_on_when_the_clock_is_set_back(
    app: App, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "view_data")
    assert (await office.act(request_id, "execute"))[0] == 202
    started = clock.now()
    moments = (started - timedelta(hours=hours) for hours in itertools.count())
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: next(moments))
        await run(office)
    assert (await office.get(request_id))["status"] == "resolved"


async def test_nothing_is_executed_before_verification(app: App, office: Office) -> None:
    await make_people(app, office)
    request_id = await office.ask("jane@shop.example", "delete_data")
    status, body = await office.act(request_id, "execute")
    assert (status, body["errors"][0]["code"]) == (409, "not_verified")
    status, body = await office.team.get(f"{REQUESTS}/{request_id}/preview")
    assert body["data"]["attributes"]["counts"]["profiles"] == 0
    assert await run(office) == 0
    assert await app.count("profiles") == 2


async def test_a_request_is_executed_once(office: Office) -> None:
    request_id = await verified_request(office, "delete_data")
    assert (await office.act(request_id, "execute"))[0] == 202
    status, body = await office.act(request_id, "execute")
    assert (status, body["errors"][0]["code"]) == (409, "already_executed")
    await run(office)
    assert (await office.act(request_id, "execute"))[0] == 409


async def test_a_claimed_visitor_id_counts_only_when_the_team_confirms_it(
    app: App, office: Office
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "view_data")
    path = f"{REQUESTS}/{request_id}/preview"
    _, body = await office.team.get(path)
    assert body["data"]["attributes"]["counts"]["profiles"] == 1
    confirmed = [{"identifier_name": "analytics_visitor_id", "identifier_value": NEIGHBOUR_VISITOR}]
    _, body = await office.act(request_id, "preview", confirmed_identifiers=confirmed)
    assert body["data"]["attributes"]["counts"]["profiles"] == 2


@pytest.mark.parametrize(
    ("event", "instructions", "pointer"),
    [
        ("change_data", {}, "/data/attributes/attributes"),
        ("view_data", {"attributes": [{"name": "a", "value": 1}]}, "/data/attributes/attributes"),
        ("change_data", {"attributes": [{"name": "a", "value": True}]}, "attributes/0/value"),
        ("change_data", {"identifiers": [{"identifier_name": "email"}]}, "identifiers/0/new_value"),
        ("delete_data", {"confirmed_identifiers": [{"identifier_name": "x"}]}, "identifier_name"),
    ],
)
async def test_wrong_instructions_are_named(
    office: Office, event: str, instructions: dict[str, Any], pointer: str
) -> None:
    request_id = await verified_request(office, event)
    status, body = await office.act(request_id, "execute", **instructions)
    assert status == 400
    assert pointer in str([error["source"]["pointer"] for error in body["errors"]])


@pytest.mark.parametrize(
    ("method", "action", "operation"),
    [
        ("GET", "preview", "preview_request"),
        ("POST", "preview", "preview_execution"),
        ("POST", "execute", "execute_request"),
        ("GET", "execution", "get_execution"),
        ("GET", "receipt", "get_receipt"),
        ("GET", "export", "download_export"),
    ],
)
async def test_a_wrong_role_is_refused_and_leaves_an_audit_row(
    app: App,
    office: Office,
    make_client: MakeClient,
    method: str,
    action: str,
    operation: str,
) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "delete_data")
    marketing = await make_client("write")
    document = {"data": {"type": "privacy/request", "id": request_id, "attributes": {}}}
    options = {"json": document} if method == "POST" else {}
    status, body = await marketing.request(method, f"{REQUESTS}/{request_id}/{action}", **options)
    assert (status, body["errors"][0]["code"]) == (403, "missing_scope")
    rows = await app.rows.fetch("SELECT operation FROM audit_entries WHERE outcome = 'refused'")
    assert [row["operation"] for row in rows] == [operation]
    assert await run(office) == 0
    assert await app.count("profiles") == 2
