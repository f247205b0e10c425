"""POST /consent/collect: what is stored, what is refused, and what never leaves a trace."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.conftest import App, MakeApp
from tests.consents import ALL_TYPES, Visitor, history, new_visitor

ANALYTICS_ID = "0123456789abcdef"


async def test_a_decision_becomes_history_and_state(app: App) -> None:
    visitor = new_visitor(app)
    await visitor.decide(
        analytics=1, remarketing=0, method="save", source=1, language="de", expected=204
    )
    (row,) = await history(app)
    assert row["sequence"] == 1
    assert json.loads(row["consents"]) == {
        "analytics": {"status": 1},
        "remarketing": {"status": 0},
    }
    kept = ("hostname", "consent_scope", "consent_action", "method", "consent_source", "language")
    assert [row[name] for name in kept] == ["shop.example", 2, 1, "save", 1, "de"]
    assert row["decided_at"] == row["received_at"]
    assert await visitor.state() == {"analytics": 1, "remarketing": 0}


async def test_history_has_no_visitor_id_but_a_hash_with_the_visitors_own_key(app: App) -> None:
    one, other = new_visitor(app), new_visitor(app)
    for visitor in (one, other, one):
        await visitor.decide(analytics=1, decisionId=str(uuid4()))
    rows = await history(app)
    hashes = [row["visitor_hash"] for row in rows]
    assert hashes[0] == hashes[2] != hashes[1]
    assert one.visitor_id.replace("-", "") not in str([dict(row) for row in rows]).replace("-", "")
    await app.rows.execute(
        "DELETE FROM consent_visitor_keys WHERE app_id = $1 AND visitor_id = $2",
        app.app_id,
        one.visitor_id,
    )
    assert [dict(row) for row in await history(app)] == [dict(row) for row in rows]
    await one.decide(analytics=0)
    assert (await history(app))[3]["visitor_hash"] not in hashes


@pytest.mark.parametrize("statement", ["UPDATE {} SET hostname = 'x'", "DELETE FROM {}"])
async def test_the_services_role_can_only_add_to_history(app: App, statement: str) -> None:
    await new_visitor(app).decide(analytics=1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.rows.execute(statement.format("consent_decisions"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.rows.execute("TRUNCATE consent_decisions")
    assert len(await history(app)) == 1


async def test_a_decision_id_makes_a_retry_idempotent(app: App) -> None:
    visitor = new_visitor(app)
    decision_id = str(uuid4())
    for _ in range(3):
        await visitor.decide(analytics=1, decisionId=decision_id)
    await asyncio.gather(*(visitor.decide(analytics=1, decisionId=decision_id) for _ in range(10)))
    assert [str(row["decision_id"]) for row in await history(app)] == [decision_id]
    await visitor.decide(analytics=1, decisionId=str(uuid4()))
    assert len(await history(app)) == 2


async def test_the_same_state_within_five_seconds_is_one_decision(app: App) -> None:
    visitor = new_visitor(app)
    for status in (1, 1, 0, 0, 1):
        await visitor.decide(analytics=status)
    assert [json.loads(row["consents"])["analytics"]["status"] for row in await history(app)] == [
        1,
        0,
        1,
    ]
    await app.rows.execute(
        "UPDATE consent_visitors SET last_received_at = last_received_at - interval '6 seconds'"
    )
    await visitor.decide(analytics=1)
    rows = await history(app)
    assert [row["consent_action"] for row in rows] == [1, 2, 2, 2]


async def test_fifty_concurrent_alternating_decisions_are_fifty_rows(app: App) -> None:
    visitor = new_visitor(app)
    await asyncio.gather(
        *(visitor.decide(analytics=n % 2, decisionId=str(uuid4())) for n in range(50))
    )
    rows = await history(app)
    assert [row["sequence"] for row in rows] == list(range(1, 51))
    last = json.loads(rows[-1]["consents"])["analytics"]["status"]
    assert await visitor.state() == {"analytics": last}
    assert sum(json.loads(row["consents"])["analytics"]["status"] for row in rows) == 25


async def test_a_late_decision_is_history_and_changes_no_state(app: App) -> None:
    visitor = new_visitor(app)
    await visitor.decide(analytics=0)
    earlier = (datetime.now(UTC) - timedelta(days=2)).isoformat().replace("+00:00", "Z")
    await visitor.decide(analytics=1, decidedAt=earlier, decisionId=str(uuid4()))
    rows = await history(app)
    assert [row["is_late"] for row in rows] == [False, True]
    assert rows[1]["received_at"] - rows[1]["decided_at"] > timedelta(days=1)
    assert await visitor.state() == {"analytics": 0}


async def test_a_decision_from_the_future_counts_as_made_now(app: App) -> None:
    await new_visitor(app).decide(analytics=1, decidedAt="2199-01-01T00:00:00Z")
    (row,) = await history(app)
    assert row["decided_at"] == row["received_at"]


async def test_all_undecided_is_no_decision_but_taking_back_is_recorded(app: App) -> None:
    visitor = new_visitor(app)
    await visitor.decide(analytics=-1, remarketing=-1)
    assert await history(app) == []
    assert await visitor.state() == {"analytics": -1, "remarketing": -1}
    await visitor.decide(analytics=1, remarketing=-1)
    await visitor.decide(analytics=-1, remarketing=-1)
    rows = await history(app)
    assert [row["consent_scope"] for row in rows] == [2, None]
    assert await visitor.state() == {"analytics": -1, "remarketing": -1}


async def test_types_that_are_not_mentioned_stay(app: App) -> None:
    visitor = new_visitor(app)
    await visitor.decide(analytics=1)
    await visitor.decide(remarketing=0)
    assert await visitor.state() == {"analytics": 1, "remarketing": 0}


async def test_shown_texts_are_kept_as_sent_and_unknown_ones_are_flagged(app: App) -> None:
    history_id = str(uuid4())
    consents = {
        "analytics": {"status": 1, "historyId": history_id},
        "remarketing": {"status": 0, "historyId": None},
        "user_feedback": {"status": 0, "historyId": "no uuid"},
        "intro": {"historyId": history_id},
    }
    status, text = await new_visitor(app).send({"consents": consents})
    assert status == 204, text
    (row,) = await history(app)
    assert json.loads(row["consents"]) == {
        "analytics": {"status": 1, "historyId": history_id, "isUnknown": True},
        "remarketing": {"status": 0},
        "user_feedback": {"status": 0, "historyId": "no uuid", "isUnknown": True},
        "intro": {"historyId": history_id, "isUnknown": True},
    }


@pytest.mark.parametrize(
    ("consents", "stored"),
    [
        ({"analytics": {"status": "1"}}, {"analytics": 1}),
        ({"analytics": {"status": "0"}}, {"analytics": 0}),
        ({"analytics": {"status": True}}, {"analytics": 1}),
        ({"analytics": {"status": False}}, {"analytics": 0}),
        (
            {"analytics": {"status": -1}, "remarketing": {"status": 1}},
            {"analytics": -1, "remarketing": 1},
        ),
        ({"analytics": {"status": 1}, "personalization": {"status": 2}}, {"analytics": 1}),
        ({"analytics": {"status": 1, "updatedAt": "x"}, "intro": None}, {"analytics": 1}),
    ],
)
async def test_what_pages_send_besides_numbers(
    app: App, consents: dict[str, Any], stored: dict[str, int]
) -> None:
    visitor = new_visitor(app)
    status, text = await visitor.send({"consents": consents})
    assert status == 204, text
    assert await visitor.state() == stored


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"visitorId": ...}, "visitorId is required"),
        ({"visitorId": "0123456789abcdef"}, "visitorId must be a UUID"),
        ({"websiteId": None}, "websiteId is required"),
        ({"websiteId": 7}, "websiteId must be a UUID"),
        ({"event": ...}, "event is required"),
        ({"event": "consents"}, "event must be one of consent_change"),
        ({"event": ["consent_change"]}, "event must be one of"),
        ({"consents": ...}, "consents is required"),
        ({"consents": None}, "consents is required"),
        ({"consents": []}, "consents must be an object"),
        ({"consents": {}}, "consents must have at least one of analytics"),
        ({"consents": {"personalization": {"status": 1}}}, "consents must have at least one"),
        ({"consents": {"intro": {"historyId": "x"}}}, "consents must have at least one"),
        ({"consents": {"analytics": 1}}, "consents.analytics must be an object"),
        ({"consents": {"analytics": {}}}, "consents.analytics.status is required"),
        ({"consents": {"analytics": {"status": None}}}, "consents.analytics.status is required"),
        (
            {"consents": {"analytics": {"status": 2}}},
            "consents.analytics.status must be -1, 0 or 1",
        ),
        ({"consents": {"analytics": {"status": 1.0}}}, "consents.analytics.status must be"),
        ({"consents": {"analytics": {"status": "yes"}}}, "consents.analytics.status must be"),
        ({"consents": {"analytics": {"status": [1]}}}, "consents.analytics.status must be"),
        ({"consents": {"analytics": {"status": {}}}}, "consents.analytics.status must be"),
        (
            {"consents": {"remarketing": {"status": 1}, "analytics": {"status": 3}}},
            "consents.analytics.status must be",
        ),
        ({"consents": {str(n): 1 for n in range(101)}}, "consents may have at most 100"),
        (
            {"consents": {"analytics": {"status": 1, "historyId": 5}}},
            "consents.analytics.historyId must be a string",
        ),
        (
            {"consents": {"analytics": {"status": 1}, "intro": 5}},
            "consents.intro must be an object",
        ),
        ({"hostname": 5}, "hostname must be a string"),
        ({"hostname": "x" * 254}, "hostname must be a string of at most 253"),
        ({"cookies": {}}, "cookies must be a string"),
        ({"decisionId": "x"}, "decisionId must be a UUID"),
        ({"decidedAt": "yesterday"}, "decidedAt must be a moment"),
        ({"decidedAt": "2026-01-01T00:00:00"}, "decidedAt must be a moment"),
        ({"decidedAt": 5}, "decidedAt must be a moment"),
        ({"decidedAt": "9999-12-31T23:59:59-14:00"}, "decidedAt must be a moment"),
        ({"method": "magic"}, "method must be one of agree_all"),
        ({"source": 4}, "source must be one of 1, 2, 3"),
        ({"source": True}, "source must be one of 1, 2, 3"),
        ({"language": "x"}, "language must be a language"),
    ],
)
async def test_malformed_body_names_the_field_and_stores_nothing(
    app: App, change: dict[str, Any], problem: str
) -> None:
    visitor = new_visitor(app)
    status, text = await visitor.send({"consents": {"analytics": {"status": 1}}, **change})
    assert status == 400
    assert text.startswith(f"Bad Request: {problem}")
    assert await _stored(app) == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"1", 400),
        (b'"text"', 400),
        (b"true", 400),
        (b'{"event": "consent_change", "consents": {"analytics": ' + b"[" * 100_000, 400),
        (b'{"a": "' + b"x" * 1024 * 1024 + b'"}', 413),
    ],
)
async def test_bodies_that_are_no_request(app: App, body: bytes, status: int) -> None:
    answer = await app.service.post("/consent/collect", data=BytesIO(body))
    assert (answer.status, answer.content_type) == (status, "text/plain")
    assert len(await answer.text()) > 10
    assert await _stored(app) == 0


async def test_any_content_type_any_slash_and_a_foreign_origin_will_do(app: App) -> None:
    body = {
        "websiteId": app.app_id.upper(),
        "event": "consent_change",
        "consents": {"analytics": {"status": 1}},
    }
    for number, (path, headers) in enumerate(
        (
            ("/consent/collect", {"Content-Type": "text/plain", "Origin": "https://a.example"}),
            ("/consent/collect/", {"Content-Type": "application/json"}),
            ("//consent//collect", {"Origin": "null"}),
        )
    ):
        sent = json.dumps({**body, "visitorId": str(uuid4())})
        answer = await app.service.post(path, data=sent, headers=headers, allow_redirects=False)
        assert answer.status == 204, await answer.text()
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Set-Cookie" not in answer.headers
        assert len(await history(app)) == number + 1


async def test_unknown_app_is_forbidden(app: App) -> None:
    status, text = await new_visitor(app).send(
        {"websiteId": str(uuid4()), "consents": {"analytics": {"status": 1}}}
    )
    assert (status, text) == (403, "Forbidden: websiteId names no app of this service\n")


async def test_apps_have_chains_of_their_own(make_app: MakeApp) -> None:
    one, other = await make_app(), await make_app()
    visitor = new_visitor(one)
    same_id = Visitor(other, visitor.visitor_id)
    await asyncio.gather(
        *(
            who.decide(analytics=1, decisionId=str(uuid4()))
            for _ in range(5)
            for who in (visitor, same_id)
        )
    )
    for app in (one, other):
        assert [row["sequence"] for row in await history(app)] == [1, 2, 3, 4, 5]
    hashes = {row["visitor_hash"] for app in (one, other) for row in await history(app)}
    assert len(hashes) == 2


@pytest.mark.usefixtures("within_an_hour")
async def test_form_events_are_counted_and_leave_no_visitor(app: App) -> None:
    visitor = new_visitor(app)
    events: list[dict[str, Any]] = [
        {"event": "form_view", "source": 1},
        {"event": "form_view", "source": 1, "visitorId": ...},
        {"event": "form_click", "button": 4},
    ]
    for event in events:
        assert await visitor.send(event) == (204, "")
    rows = await app.rows.fetch(
        "SELECT event_type, consent_source, consent_form_button, event_count FROM consent_counters"
        " ORDER BY event_type"
    )
    assert [tuple(row) for row in rows] == [(12, 1, 0, 2), (13, 0, 4, 1)]
    for table in ("consent_visitors", "consent_visitor_keys", "consent_decisions"):
        assert await app.count(table) == 0
    for wrong in ({"event": "form_view"}, {"event": "form_click", "button": 5}):
        assert (await visitor.send(wrong))[0] == 400


@pytest.mark.usefixtures("within_an_hour")
async def test_made_up_host_names_fill_no_table(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    from consent.decisions import app_batch, known  # noqa: PLC0415

    monkeypatch.setattr(app_batch, "MAX_HOSTNAMES", 3)
    monkeypatch.setattr(known, "MAX_HOSTNAMES", 3)
    for number in range(6):
        event = {"event": "form_view", "source": 1, "hostname": f"{number}.example"}
        assert (await new_visitor(app).send(event))[0] == 204
    rows = await app.rows.fetch("SELECT hostname, event_count FROM consent_counters ORDER BY 1")
    expected = [("", 3), ("0.example", 1), ("1.example", 1), ("2.example", 1)]
    assert [tuple(row) for row in rows] == expected


async def _stored(app: App) -> int:
    tables = ("consent_decisions", "consent_visitors", "consent_visitor_keys", "consent_counters")
    return sum([await app.rows.fetchval(f"SELECT count(*) FROM {table}") for table in tables])


async def test_of_cookies_only_the_analytics_id_is_kept(app: App) -> None:
    visitor = new_visitor(app, ANALYTICS_ID)
    await visitor.decide(analytics=1)
    found = await app.rows.fetchval("SELECT analytics_visitor_id FROM consent_visitors")
    assert found == ANALYTICS_ID
    tables = [
        row[0]
        for row in await app.rows.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'consent%'"
        )
    ]
    for table in tables:
        text = str(await app.rows.fetch(f"SELECT x::text FROM {table} x"))
        assert not re.search(r"secret", text), table


def test_all_types_are_the_services() -> None:
    from consent.forms.consent_types import CONSENT_TYPES  # noqa: PLC0415

    assert ALL_TYPES == CONSENT_TYPES
