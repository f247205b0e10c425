"""What a profile knows of its visitor's consents, and how it stays with the visitor."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from audience import public
from audience.profile_changes.curation.undo import undo_merge_by_id
from consent.decisions.operations import find_visitor_consents
from tests.conftest import App

VISITOR, OTHER = "0123456789abcdef", "fedcba9876543210"
DECIDED = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def _decide(app: App, consents: dict[str, int], *, minutes: int = 0) -> bool:
    moment = DECIDED + timedelta(minutes=minutes)
    async with app.rows.transaction():
        state = public.VisitorConsents(consents, moment)
        return await public.set_profile_consents(app.rows, app.app_id, VISITOR, state, moment)


async def _consents(app: App, visitor_id: str = VISITOR) -> str:
    found: str = await app.rows.fetchval(
        "SELECT consents::text FROM profiles p JOIN profile_identifiers i USING "
        "(app_id, profile_id) WHERE i.app_id = $1 AND i.identifier_value = $2",
        app.app_id,
        visitor_id,
    )
    return found


async def test_a_decision_replaces_the_state_and_an_older_one_never_does(app: App) -> None:
    await app.write({"analytics_visitor_id": VISITOR})
    assert await _decide(app, {"analytics": 1, "remarketing": 0})
    assert await _consents(app) == '{"analytics": 1, "remarketing": 0}'
    assert await _decide(app, {"analytics": 0}, minutes=1)
    assert not await _decide(app, {"analytics": 1})
    assert await _consents(app) == '{"analytics": 0}'


async def test_a_decision_makes_no_profile(app: App) -> None:
    assert not await _decide(app, {"analytics": 0})
    assert await app.count("profiles") == 0


async def test_writing_attributes_keeps_consents(app: App) -> None:
    await app.write({"analytics_visitor_id": VISITOR})
    await _decide(app, {"analytics": 1})
    await app.write(
        {"analytics_visitor_id": VISITOR, "attributes": [{"name": "a", "value": 1}]},
        {"analytics_visitor_id": VISITOR, "device_id": "d"},
    )
    assert await _consents(app) == '{"analytics": 1}'


async def test_a_merge_keeps_the_newest_state_and_undoing_gives_the_old_one_back(app: App) -> None:
    await app.write({"user_id": "m"})
    await app.write({"analytics_visitor_id": VISITOR})
    await _decide(app, {"analytics": 1})
    await app.write({"user_id": "m", "analytics_visitor_id": VISITOR})
    assert await _consents(app, "m") == '{"analytics": 1}'
    merge_id = await app.rows.fetchval("SELECT merge_id FROM profile_merges")
    async with app.rows.transaction():
        await undo_merge_by_id(app.rows, app.app_id, str(merge_id), DECIDED)
    assert await _consents(app, "m") == "{}"
    assert await _consents(app) == '{"analytics": 1}'


@pytest.fixture
async def decided_before() -> AsyncIterator[None]:
    """The visitor has decided before anything else is known of it."""

    async def find(
        _conn: asyncpg.Connection, _app_id: str, visitor_ids: Collection[str]
    ) -> Mapping[str, public.VisitorConsents]:
        state = public.VisitorConsents({"analytics": 1}, DECIDED)
        return dict.fromkeys({VISITOR} & set(visitor_ids), state)

    public.use_visitor_consents(find)
    yield
    public.use_visitor_consents(find_visitor_consents)


@pytest.mark.usefixtures("decided_before")
async def test_a_new_profile_knows_what_its_visitor_decided_before(app: App) -> None:
    await app.write({"analytics_visitor_id": VISITOR}, {"analytics_visitor_id": OTHER})
    assert await _consents(app) == '{"analytics": 1}'
    assert await _consents(app, OTHER) == "{}"
    await app.write({"user_id": "m", "analytics_visitor_id": OTHER})
    await app.write({"user_id": "m", "analytics_visitor_id": VISITOR})
    assert await _consents(app, "m") == '{"analytics": 1}'
