"""Two changes of settings at once: each names another one, and both must last.

A lock that the test holds stops both requests where they store; then it lets them go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import pytest

from tests.conftest import App, Authorized

Change = Callable[[], Awaitable[tuple[int, Any]]]

LOCK_APP = "SELECT FROM apps WHERE app_id = $1 FOR NO KEY UPDATE"
GET_GATE = "SELECT attribute_consent_type, attribute_consent_seconds FROM apps WHERE app_id = $1"


async def _at_once(database_url: str, app: App, changes: Sequence[Change]) -> None:
    """Send the changes while the app's row is locked; let go when all of them wait for it."""
    blocker = await asyncpg.connect(database_url)
    try:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute(LOCK_APP, app.app_id)
        sent = [asyncio.ensure_future(change()) for change in changes]
        waiting = 0
        while waiting < len(changes):
            assert not any(one.done() for one in sent)
            waiting = await blocker.fetchval(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            await blocker.execute("SELECT pg_stat_clear_snapshot()")
        await transaction.commit()
        assert [status for status, _ in await asyncio.gather(*sent)] == [204] * len(changes)
    finally:
        await blocker.close()


def _patch(authorized: Authorized, app: App, path: str, kind: str, **attributes: Any) -> Change:
    document = {"data": {"type": kind, "id": app.app_id, "attributes": attributes}}
    params = {"website_id": app.app_id}
    return lambda: authorized.patch(path, params=params, json=document)


SETTINGS = [
    (
        "/api/apps/v2/{app_id}",
        "ppms/app",
        [{"gdpr": False}, {"privacyCookieDomains": ["shop.example"]}, {"currency": "EUR"}],
    ),
    (
        "/api/consents/v1/settings/",
        "ConsentSettings",
        [{"gate_consent_type": "analytics"}, {"decision_period_seconds": 86_400}],
    ),
    (
        "/api/privacy/v1/settings",
        "privacy/settings",
        [{"retention_days": 30}, {"team_language": "de"}],
    ),
]


@pytest.mark.parametrize(("path", "kind", "changes"), SETTINGS)
async def test_settings_that_are_changed_at_once_all_last(
    authorized: Authorized,
    app: App,
    database_url: str,
    path: str,
    kind: str,
    changes: list[dict[str, Any]],
) -> None:
    path = path.format(app_id=app.app_id)
    sent = [_patch(authorized, app, path, kind, **change) for change in changes]
    await _at_once(database_url, app, sent)
    status, body = await authorized.get(path, params={"website_id": app.app_id})
    assert status == 200
    expected = {name: value for change in changes for name, value in change.items()}
    found = body["data"]["attributes"]
    assert {name: found[name] for name in expected} == expected
    if kind == "ConsentSettings":
        # What the write path reads.
        gate = await app.rows.fetchrow(GET_GATE, app.app_id)
        assert tuple(gate) == ("analytics", 86_400)


async def test_slots_of_a_text_that_are_published_at_once_all_last(
    authorized: Authorized, app: App, database_url: str
) -> None:
    def publish(**content: str) -> Change:
        attributes = {"language": "en", "text_key": "intro", "content": content}
        document = {"data": {"type": "ConsentText", "attributes": attributes}}

        async def send() -> tuple[int, Any]:
            params = {"website_id": app.app_id}
            status, body = await authorized.post(
                "/api/consents/v1/forms/publish/", params=params, json=document
            )
            return (204, body) if status == 201 else (status, body)

        return send

    await _at_once(database_url, app, [publish(title="One"), publish(intro="Two")])
    _, body = await authorized.get(
        "/api/consents/v1/forms/", params={"website_id": app.app_id, "language": "en"}
    )
    (intro,) = [
        one["attributes"]["content"]
        for one in body["data"]
        if one["attributes"]["text_key"] == "intro"
    ]
    assert (intro["title"], intro["intro"]) == ("One", "Two")
