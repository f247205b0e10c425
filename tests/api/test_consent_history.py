"""Reading decisions: a visitor's history and state, receipts, exports, verification, erasure."""

import asyncio
import csv
import io
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import jwt
import pytest

from audience.apps.deletion import erase_deleted_app
from audience.server.database import Database, raw
from consent.decisions.history import storage
from consent.decisions.history.operations import verify_chain
from tests.api.test_consent_forms import change_settings, publish
from tests.conftest import App, Authorized, MakeApp, MakeClient
from tests.consents import Visitor, history, new_visitor

API = "/api/consents/v1"


async def _get(
    authorized: Authorized, visitor: Visitor, what: str, expected: int = 200, **query: Any
) -> Any:
    status, body = await authorized.get(
        f"{API}/visitors/{visitor.visitor_id}/{what}/",
        params={"website_id": visitor.app.app_id, **query},
    )
    assert status == expected, body
    return body["data"] if status == 200 else body["errors"]


async def test_history_of_one_visitor_newest_first(authorized: Authorized, app: App) -> None:
    visitor, other = new_visitor(app), new_visitor(app)
    await visitor.decide(analytics=1, remarketing=0, method="save", source=1, language="de")
    await other.decide(analytics=1)
    await visitor.decide(analytics=0, remarketing=0)
    newest, oldest = await _get(authorized, visitor, "history")
    row = (await history(app))[0]
    assert oldest == {
        "type": "ConsentDecision",
        "id": str(row["decision_id"]),
        "attributes": {
            "sequence": 1,
            "decided_at": row["decided_at"].isoformat().replace("+00:00", "Z"),
            "received_at": row["received_at"].isoformat().replace("+00:00", "Z"),
            "consents": {"analytics": {"status": 1}, "remarketing": {"status": 0}},
            "hostname": "shop.example",
            "consent_scope": [2, "Any consent"],
            "consent_action": [1, "First consent"],
            "consent_source": [1, "Popup or bottom bar"],
            "method": "save",
            "language": "de",
            "is_late": False,
            "visitor_hash": row["visitor_hash"].hex(),
            "row_hash": row["row_hash"].hex(),
        },
    }
    assert newest["attributes"]["consent_action"] == [2, "Changed consent"]
    assert newest["attributes"]["consent_scope"] == [3, "No consent"]
    assert newest["attributes"]["consent_source"] is None
    page = await _get(authorized, visitor, "history", limit=1, offset=1)
    assert [one["id"] for one in page] == [oldest["id"]]
    assert await _get(authorized, new_visitor(app), "history") == []


async def test_state_counts_expired_decisions_as_none(authorized: Authorized, app: App) -> None:
    visitor = new_visitor(app, "0123456789abcdef")
    two_days_ago = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    await visitor.decide(analytics=1, decidedAt=two_days_ago)
    await visitor.decide(remarketing=0)
    found = (await _get(authorized, visitor, "state"))["attributes"]
    assert {name: one["status"] for name, one in found["consents"].items()} == {
        "analytics": 1,
        "remarketing": 0,
    }
    assert (found["expired"], found["analytics_visitor_id"]) == ([], "0123456789abcdef")
    await change_settings(authorized, app, decision_period_seconds=86400)
    found = (await _get(authorized, visitor, "state"))["attributes"]
    assert found["consents"].keys() == {"remarketing"}
    assert found["expired"] == ["analytics"]
    await _get(authorized, new_visitor(app), "state", expected=404)


UNKNOWN_ID = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"


async def _decide_with_texts(authorized: Authorized, app: App) -> tuple[Visitor, Any]:
    """A visitor who agreed to a published text and rejected an unknown one; the published text."""
    await change_settings(
        authorized,
        app,
        consent_types=["analytics"],
        privacy_policy_url="https://shop.example/privacy",
        controller={"name": "Shop Ltd", "email": "privacy@shop.example"},
    )
    _, body = await publish(
        authorized, app, language="en", text_key="analytics", content={"label": "Counting"}
    )
    visitor = new_visitor(app)
    consents = {
        "analytics": {"status": 1, "historyId": body["data"]["id"]},
        "remarketing": {"status": 0, "historyId": UNKNOWN_ID},
    }
    await visitor.send({"consents": consents, "method": "save", "language": "en"})
    return visitor, body["data"]


async def test_a_receipt_is_signed_and_says_what_was_agreed_to(
    authorized: Authorized, app: App
) -> None:
    visitor, text = await _decide_with_texts(authorized, app)
    found = (await _get(authorized, visitor, "receipt"))["attributes"]
    keys = await (await app.service.get("/auth/jwks.json")).json()
    header = jwt.get_unverified_header(found["jws"])
    key = next(jwt.PyJWK(one) for one in keys["keys"] if one["kid"] == header["kid"])
    claims = jwt.decode(found["jws"], key, algorithms=["RS256"])
    assert claims == found["receipt"]
    assert header["typ"] == "consent-receipt+jwt"
    (row,) = await history(app)
    assert claims["schema_version"] == "ISO/IEC TS 27560:2023"
    assert claims["record_id"] == str(row["decision_id"])
    assert claims["pii_principal_id"] == visitor.visitor_id
    assert claims["party_identification"][0]["party_name"] == "Shop Ltd"
    assert claims["pii_processing"]["privacy_notice"] == "https://shop.example/privacy"
    analytics, remarketing = claims["pii_processing"]["purposes"]
    assert (analytics["purpose"], analytics["state"]) == ("analytics", "consent given")
    assert analytics["notice"]["content"]["label"] == "Counting"
    assert analytics["notice"]["sha256"] == text["attributes"]["sha256"]
    assert remarketing["state"] == "consent refused"
    assert remarketing["notice"] == {"version": UNKNOWN_ID, "is_known": False}
    assert claims["withdrawal_method"]["url"] == "https://shop.example/"
    assert claims["consent_events"][0]["validity_duration"] == "PT31536000S"
    assert claims["evidence"]["row_hash"] == row["row_hash"].hex()


async def test_a_receipt_of_a_named_decision(authorized: Authorized, app: App) -> None:
    visitor, other = new_visitor(app), new_visitor(app)
    first, second = str(uuid4()), str(uuid4())
    await visitor.decide(analytics=1, decisionId=first)
    await visitor.decide(analytics=0, decisionId=second)
    await other.decide(analytics=1)
    found = await _get(authorized, visitor, "receipt", decision_id=first)
    assert found["attributes"]["receipt"]["record_id"] == first
    await _get(authorized, other, "receipt", expected=404, decision_id=first)
    await _get(authorized, new_visitor(app), "receipt", expected=404)


async def test_reads_are_audited_without_the_visitor(authorized: Authorized, app: App) -> None:
    visitor = new_visitor(app)
    await visitor.decide(analytics=1)
    for what in ("history", "state", "receipt"):
        await _get(authorized, visitor, what)
    _, body = await authorized.get("/api/audit/v1/entries", params={"limit": "100"})
    operations = {one["attributes"]["operation"] for one in body["data"]}
    assert {"list_consent_history", "get_consent_state", "get_consent_receipt"} <= operations
    assert visitor.visitor_id not in json.dumps(body)


async def test_another_organization_reads_nothing(make_client: MakeClient, app: App) -> None:
    foreign = await make_client("admin", organization="other")
    visitor = new_visitor(app)
    await visitor.decide(analytics=1)
    for what in ("history", "state", "receipt"):
        await _get(foreign, visitor, what, expected=404)
    for path in ("history/export", "statistics"):
        query = {"website_id": app.app_id, "date_from": "2026-01-01", "date_to": "2026-01-02"}
        assert (await foreign.get(f"{API}/{path}/", params=query))[0] == 404


@pytest.mark.parametrize("start", list("=+-@\t\n\uff1d\uff0b\uff0d\uff20"))
async def test_host_name_is_no_formula_for_a_spreadsheet(
    authorized: Authorized, app: App, start: str
) -> None:
    await new_visitor(app).decide(analytics=1, hostname=f"{start}cmd()")
    path, query = f"{API}/history/export/", {"website_id": app.app_id}
    _, text = await authorized.get(path, params=query)
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["hostname"] == f"'{start}cmd()"


async def test_history_is_exported_as_csv_and_json(
    authorized: Authorized, app: App, make_app: MakeApp
) -> None:
    noise = new_visitor(await make_app())
    await noise.decide(analytics=1, hostname="noise.example")
    for number in range(5):
        hostname = "=cmd()" if number == 2 else f"{number}.example"
        await new_visitor(app).decide(analytics=number % 2, hostname=hostname)
    path, query = f"{API}/history/export/", {"website_id": app.app_id}
    status, text = await authorized.get(path, params=query)
    assert status == 200
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["sequence"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["analytics"] for row in rows] == ["0", "1", "0", "1", "0"]
    assert rows[2]["hostname"] == "'=cmd()"
    assert rows[0]["remarketing"] == ""
    _, documents = await authorized.get(path, params={**query, "format": "json"})
    assert [one["sequence"] for one in documents] == [1, 2, 3, 4, 5]
    assert documents[2]["hostname"] == "=cmd()"
    assert documents[1]["consents"] == {"analytics": {"status": 1}}
    end = {"received_before": "2026-01-01T00:00:00Z", "format": "json"}
    assert await authorized.get(path, params={**query, **end}) == (200, [])
    assert (await authorized.get(path, params={**query, "format": "xml"}))[0] == 400


async def test_an_export_that_fails_is_cut_off(
    authorized: Authorized, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await new_visitor(app).decide(analytics=1)
    read = storage.list_decisions

    async def read_once(conn: Any, app_id: str, after: int, _limit: int) -> Any:
        if after:
            message = "the disk is full"
            raise OSError(message)
        return await read(conn, app_id, after, 2)

    monkeypatch.setattr(storage, "list_decisions", read_once)
    with pytest.raises(aiohttp.ClientError):
        await authorized.get(f"{API}/history/export/", params={"website_id": app.app_id})
    monkeypatch.undo()
    status, _ = await authorized.get(f"{API}/history/export/", params={"website_id": app.app_id})
    assert status == 200


async def _tamper(app: App, statement: str) -> None:
    """What only somebody with the rights of the database's owner can do."""
    async with app.rows.transaction():
        await app.rows.execute("GRANT UPDATE, DELETE ON consent_decisions TO CURRENT_USER")
        await app.rows.execute(statement)
        await app.rows.execute("REVOKE UPDATE, DELETE ON consent_decisions FROM CURRENT_USER")


async def _fault(database: Database, app: App) -> tuple[int, str] | None:
    async with database.transaction() as conn:
        found = await verify_chain(await raw(conn), app.app_id)
    return None if found.fault is None else (found.fault.sequence, found.fault.kind)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE consent_decisions SET hostname = 'x' WHERE sequence = 3", (3, "altered")),
        (
            (
                "UPDATE consent_decisions SET consents = "
                "jsonb_set(consents, '{analytics,status}', '1') WHERE sequence = 5"
            ),
            (5, "altered"),
        ),
        (
            (
                "UPDATE consent_decisions SET decided_at = decided_at - interval '1 microsecond' "
                "WHERE sequence = 1"
            ),
            (1, "altered"),
        ),
        ("DELETE FROM consent_decisions WHERE sequence = 3", (3, "missing")),
        ("DELETE FROM consent_decisions WHERE sequence > 4", (5, "missing")),
        ("DELETE FROM consent_decisions", (1, "missing")),
        (
            (
                "UPDATE consent_decisions SET sequence = -sequence WHERE sequence IN (2, 4);"
                "UPDATE consent_decisions SET sequence = 6 + sequence WHERE sequence < 0"
            ),
            (2, "reordered"),
        ),
        (
            (
                "DELETE FROM consent_decisions WHERE sequence = 3;"
                "UPDATE consent_decisions SET sequence = -sequence + 1 WHERE sequence > 3;"
                "UPDATE consent_decisions SET sequence = -sequence WHERE sequence < 0"
            ),
            (3, "reordered"),
        ),
        ("UPDATE consent_chains SET last_hash = 'x'", (5, "altered")),
    ],
)
async def test_verification_names_the_first_tampered_row(
    app: App, database: Database, statement: str, fault: tuple[int, str]
) -> None:
    for number in range(5):
        await new_visitor(app).decide(analytics=0 if number == 4 else number % 2)
    assert await _fault(database, app) is None
    await _tamper(app, statement)
    assert await _fault(database, app) == fault


async def test_the_command_verifies_and_exits_1_naming_the_row(app: App, database_url: str) -> None:
    async def run() -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "consent.cli", "consents", "verify", "--app", app.app_id),
            env={**os.environ, "DATABASE_URL": database_url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode(), errors.decode()

    for number in range(3):
        await new_visitor(app).decide(analytics=number % 2)
    status, output, _ = await run()
    last_hash = (await history(app))[2]["row_hash"].hex()
    assert (status, json.loads(output)) == (
        0,
        {"app": app.app_id, "decisions": 3, "last_hash": last_hash},
    )
    await _tamper(app, "UPDATE consent_decisions SET method = 'save' WHERE sequence = 2")
    status, output, errors = await run()
    assert (status, output) == (1, "")
    assert errors == "Error: row 2 is altered: its content does not match its hash\n"


async def test_verification_holds_while_decisions_are_written(app: App, database: Database) -> None:
    visitors = [new_visitor(app) for _ in range(100)]
    writing = asyncio.gather(*(one.decide(analytics=1) for one in visitors))
    while not writing.done():
        assert await _fault(database, app) is None
        await asyncio.sleep(0)
    await writing
    assert await _fault(database, app) is None
    assert len(await history(app)) == 100


async def test_an_export_whose_app_is_deleted_meanwhile_is_cut_off(
    authorized: Authorized, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await new_visitor(app).decide(analytics=1)
    list_decisions = storage.list_decisions

    async def list_and_delete(*arguments: Any) -> Any:
        """One at a time; the app is deleted before the second."""
        if arguments[2] > 0:
            path = f"/api/apps/v2/{app.app_id}"
            await authorized.delete(path, params={"confirm": "test"})
            while await erase_deleted_app(app.service.app):  # type: ignore[arg-type]
                pass
        return await list_decisions(*arguments[:3], 1)

    monkeypatch.setattr(storage, "list_decisions", list_and_delete)
    with pytest.raises(aiohttp.ClientError):
        await authorized.get(f"{API}/history/export/", params={"website_id": app.app_id})


async def test_a_deleted_app_takes_its_history_along_and_nobody_elses(
    authorized: Authorized, make_app: MakeApp
) -> None:
    app, other = await make_app(), await make_app()
    for one in (app, other):
        await new_visitor(one, "0123456789abcdef").decide(analytics=1, remarketing=0)
        await new_visitor(one).send({"event": "form_view", "source": 1})
        await publish(authorized, one, language="en", text_key="analytics", content={"label": "x"})
        await change_settings(authorized, one, position="bar")
    path = f"/api/apps/v2/{app.app_id}"
    assert (await authorized.delete(path, params={"confirm": "test"}))[0] == 204
    assert await new_visitor(app).decide(analytics=1, expected=403)
    while await erase_deleted_app(app.service.app):  # type: ignore[arg-type]
        pass
    tables = [
        row[0]
        for row in await app.rows.fetch(
            "SELECT table_name FROM information_schema.columns "
            "WHERE table_name LIKE 'consent%' AND column_name = 'app_id'"
        )
    ]
    assert len(tables) == 11
    for table in tables:
        assert await app.count(table) == 0, table
        assert await other.count(table) > 0, table
    granted = await app.rows.fetchval(
        "SELECT has_table_privilege('consent_decisions', 'DELETE')"
        " OR has_table_privilege('consent_texts', 'DELETE')"
    )
    assert granted is False


MAKE_ANEW = """
INSERT INTO apps SELECT (jsonb_populate_record(NULL::apps, $1::text::jsonb
    || jsonb_build_object('created_at', now(), 'deleted_at', NULL))).*
"""


async def test_an_app_made_anew_under_its_id_knows_nothing_of_the_old_one(
    authorized: Authorized, app: App
) -> None:
    await publish(authorized, app, language="en", text_key="analytics", content={"label": "x"})
    history_id = str(await app.rows.fetchval("SELECT history_id FROM consent_texts"))
    shown = {"analytics": {"status": 1, "historyId": history_id}}
    assert (await new_visitor(app).send({"consents": shown}))[0] == 204
    assert (await new_visitor(app).send({"event": "form_view", "source": 1}))[0] == 204
    row = await app.rows.fetchval(
        "SELECT to_jsonb(a)::text FROM apps a WHERE app_id = $1", app.app_id
    )
    await authorized.delete(f"/api/apps/v2/{app.app_id}", params={"confirm": "test"})
    while await erase_deleted_app(app.service.app):  # type: ignore[arg-type]
        pass
    await app.rows.execute(MAKE_ANEW, row)
    assert (await new_visitor(app).send({"consents": shown}))[0] == 204
    assert (await new_visitor(app).send({"event": "form_view", "source": 1}))[0] == 204
    (decision,) = await history(app)
    assert decision["sequence"] == 1
    assert json.loads(decision["consents"])["analytics"]["isUnknown"] is True
    for table in ("consent_day_keys", "consent_hostnames", "consent_day_visitors"):
        assert await app.count(table) == 1, table
