"""A process remembers the apps it writes to; what changes about them counts at once."""

import json
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from audience import public
from audience.attributes.storage import save_attribute_types
from audience.profile_changes import known_apps
from audience.profile_changes.storage import LOAD_APPS, load_apps, loading_statement
from audience.profiles.identifiers import Identifier
from audience.server import clock
from tests.api.audience_api import Audiences, leaf
from tests.conftest import App, Authorized
from tests.consents import new_visitor

VISITOR = "0123456789abcdef"
PLAN = {"name": "plan", "value": "gold"}
ITEM = {"user_id": "jbond", "analytics_visitor_id": VISITOR, "attributes": [PLAN]}


class _AnyVersion(str):
    """Says of every version that it is this one: the guard is off."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, _other: object) -> bool:
        return True

    def __ne__(self, _other: object) -> bool:
        return False


def _writer(app: App) -> object:
    """The connection whose owner knows the app and its attribute."""
    known = [*known_apps._known]  # noqa: SLF001 - nobody else tells
    (found,) = [one for one in known if known_apps.recall(one, app.app_id, {"plan"})]
    return found


def _unguard(app: App) -> None:
    writer = _writer(app)
    known = known_apps.recall(writer, app.app_id, {"plan"})
    assert known is not None
    known_apps.remember(writer, app.app_id, replace(known, version=_AnyVersion(known.version)))


async def _know(app: App) -> None:
    """Write until the process knows the app and the attribute."""
    for _ in range(2):
        assert await app.write(ITEM) == (204, "")
    assert _writer(app)


async def _block(app: App) -> None:
    await app.rows.execute(
        "UPDATE apps SET blocked_identifier_values = '{jbond}' WHERE app_id = $1", app.app_id
    )


async def _switch_off(app: App) -> None:
    await app.rows.execute(
        "UPDATE apps SET is_audience_manager_enabled = false WHERE app_id = $1", app.app_id
    )


async def _ask_for_consent(app: App) -> None:
    await new_visitor(app, VISITOR).decide(analytics=0)
    await app.rows.execute(
        "UPDATE apps SET attribute_consent_type = 'analytics' WHERE app_id = $1", app.app_id
    )


@pytest.mark.parametrize(
    ("change", "item", "status"),
    [
        pytest.param(_block, {"user_id": "JBond"}, 400, id="a blocked value"),
        pytest.param(_switch_off, ITEM, 403, id="switched off"),
        pytest.param(_ask_for_consent, ITEM, 200, id="a consent gate"),
    ],
)
async def test_what_another_process_changes_counts_for_the_next_write(
    app: App, change: Any, item: dict[str, Any], status: int
) -> None:
    await _know(app)
    await change(app)
    assert (await app.write(item))[0] == status
    assert (await app.write(item))[0] == status


@pytest.mark.parametrize(
    ("change", "item"),
    [
        pytest.param(_block, {"user_id": "JBond"}, id="a blocked value"),
        pytest.param(_ask_for_consent, ITEM, id="a consent gate"),
    ],
)
async def test_without_looking_at_the_version_the_old_settings_stay(
    app: App, change: Any, item: dict[str, Any]
) -> None:
    await _know(app)
    _unguard(app)
    await change(app)
    assert (await app.write(item))[0] == 204


async def test_an_app_made_again_under_its_id_is_another_one(app: App) -> None:
    await _know(app)
    row = await app.rows.fetchrow("SELECT * FROM apps WHERE app_id = $1", app.app_id)
    await app.rows.execute("DELETE FROM apps WHERE app_id = $1", app.app_id)
    assert (await app.write(ITEM))[0] == 403
    await app.rows.execute(
        "INSERT INTO apps (app_id, organization_id, name, created_at, updated_at) "
        "VALUES ($1, $2, 'again', now(), now())",
        row["app_id"],
        row["organization_id"],
    )
    # The attribute has no type yet: a number gives it one.
    assert await app.write({**ITEM, "attributes": [{"name": "plan", "value": 7}]}) == (204, "")
    assert (await app.profile("user_id", "jbond"))["attributes"] == {"plan": 7}


async def test_an_audience_of_another_process_is_known_to_the_next_write(
    app: App, authorized: Authorized
) -> None:
    audiences = Audiences(app, authorized)
    await _know(app)
    audience_id = await audiences.create(leaf("eq", "silver"))
    await app.write({**ITEM, "attributes": [{"name": "plan", "value": "silver"}]})
    assert await audiences.members(audience_id) == 1
    # The app's only one, so that it is an app without audiences again.
    await audiences.delete(audience_id)
    assert await app.write(ITEM) == (204, "")


async def test_types_of_a_transaction_that_is_rolled_back_are_not_remembered(app: App) -> None:
    conn = await app.database.connect()
    wanted = {app.app_id: [Identifier("user_id", "jbond")]}
    try:
        transaction = conn.transaction()
        await transaction.start()
        await save_attribute_types(conn, app.app_id, {"plan": "numeric"}, clock.now())
        loaded = await load_apps(conn, wanted, {app.app_id: {"plan"}})
        assert loaded[app.app_id].known.types == {"plan": "numeric"}
        await transaction.rollback()
        loaded = await load_apps(conn, wanted, {app.app_id: {"plan"}})
        assert loaded[app.app_id].known.types == {}
    finally:
        await conn.close()
    assert await app.write(ITEM) == (204, "")
    assert (await app.profile("user_id", "jbond"))["attributes"] == {"plan": "gold"}
    assert await app.rows.fetchval("SELECT value_type FROM attribute_definitions") == "text"


async def test_apps_of_a_batch_that_changed_meanwhile_are_read_again_the_others_are_not(
    app: App, noise: App
) -> None:
    for one in (app, noise):
        await one.write(ITEM)
    conn = await app.database.connect()
    sent: list[asyncpg.connection.LoggedQuery] = []
    identifiers = {one.app_id: [Identifier("user_id", "jbond")] for one in (app, noise)}
    names = {one.app_id: {"plan"} for one in (app, noise)}
    try:
        await load_apps(conn, identifiers, names)
        await app.rows.execute(
            "UPDATE apps SET timezone = 'Asia/Tokyo' WHERE app_id = $1", app.app_id
        )
        conn.add_query_logger(sent.append)
        loaded = await load_apps(conn, identifiers, names)
    finally:
        await conn.close()
    assert [record.query for record in sent] == [
        loading_statement(),
        LOAD_APPS,
        loading_statement(),
    ]
    assert sent[1].args[0] == [app.app_id]
    assert loaded[app.app_id].known.timezone == "Asia/Tokyo"
    assert [len(one.profiles) for one in loaded.values()] == [1, 1]


async def test_of_a_person_erased_before_a_batch_hears_once(app: App) -> None:
    names = [f"u{number}" for number in range(5)]
    await app.write(*({"user_id": name} for name in [*names, "jbond"]))
    async with app.database.transaction() as transaction:
        gone = [Identifier("user_id", "jbond")]
        await public.erase_person(transaction, app.app_id, gone, clock.now())
    conn = await app.database.connect()
    statement = loading_statement(has_erased=True)
    try:
        for wanted, count in (([*names, "jbond"], 5), (["jbond"], 1)):
            values = f"{{{','.join(wanted)}}}"
            columns = [f"{{{','.join(['user_id'] * len(wanted))}}}"], [values]
            document = await conn.fetchval(statement, [app.app_id], *columns)
            rows = [erased for *_, erased, _, _, _ in json.loads(document)]
            assert len(rows) == count
            assert len([erased for erased in rows if erased is not None]) == 1
    finally:
        await conn.close()


async def test_a_later_erasure_leaves_the_apps_row_as_it_is(app: App) -> None:
    version = "SELECT xmin::text FROM apps WHERE app_id = $1"
    seen = [await app.rows.fetchval(version, app.app_id)]
    for name in ("one", "two"):
        await app.write({"user_id": name})
        async with app.database.transaction() as conn:
            gone = [Identifier("user_id", name)]
            await public.erase_person(conn, app.app_id, gone, clock.now())
        seen.append(await app.rows.fetchval(version, app.app_id))
    assert seen[0] != seen[1] == seen[2]
