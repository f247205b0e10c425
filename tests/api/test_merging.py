"""Merging over HTTP: what is stored, the ledger, undoing, and apps that never mix."""

import json
from typing import Any
from uuid import UUID

import pytest

from audience.errors import Conflict, NotFound
from audience.profile_changes.curation.undo import undo_merge_by_id
from audience.profiles.ledger import storage as ledger
from audience.server import clock
from audience.server.database import raw
from tests.conftest import App, MakeApp, load_cases
from tests.unit.profile_sets import groups, identifier, value_of

_NAMES = {"u": "user_id", "e": "email", "d": "device_id", "v": "analytics_visitor_id"}


def _item(identifiers: str, **attributes: Any) -> dict[str, Any]:
    named = {_NAMES[short[0]]: value_of(short) for short in identifiers.split()}
    entries = [{"name": name, "value": value} for name, value in attributes.items()]
    return {**named, "attributes": entries}


async def _undo(app: App, merge_id: str) -> None:
    async with app.database.transaction() as conn:
        await undo_merge_by_id(await raw(conn), app.app_id, merge_id, clock.now())


async def _merge_ids(app: App) -> list[str]:
    rows = await app.rows.fetch("SELECT merge_id FROM profile_merges ORDER BY merged_at, merge_id")
    return [str(row[0]) for row in rows]


@pytest.mark.parametrize(("given", "expected"), load_cases("merging"))
async def test_merging(
    app: App, noise: App, given: list[list[str]], expected: dict[str, Any]
) -> None:
    noise_before = await noise.identifier_graph()
    for request in given:
        assert (await app.write(*(_item(identifiers) for identifiers in request)))[0] == 204
    stored = await app.identifier_graph()
    assert stored == {
        frozenset(identifier(short) for short in group) for group in groups(expected["graph"])
    }
    assert await app.count("profile_merges") == expected.get("merges", 0)
    refused = await app.rows.fetchval(
        "SELECT coalesce(sum(refused_count), 0) FROM merge_refusals WHERE app_id = $1", app.app_id
    )
    assert refused == len(expected.get("refusals", []))
    assert await noise.identifier_graph() == noise_before
    assert await noise.count("profile_merges") == 0


async def test_documents_and_identifier_rows_say_the_same(app: App) -> None:
    await app.write(_item("u1 e1 d1 v1"), _item("u1 v2"), _item("u2 d1"))
    for row in await app.rows.fetch("SELECT * FROM profiles WHERE app_id = $1", app.app_id):
        held = [("user_id", row["user_id"]), ("email", row["email"])]
        held += [("device_id", value) for value in row["device_ids"]]
        held += [("analytics_visitor_id", value) for value in row["analytics_visitor_ids"]]
        stored = await app.rows.fetch(
            "SELECT identifier_name, identifier_value FROM profile_identifiers "
            "WHERE profile_id = $1",
            row["profile_id"],
        )
        assert {tuple(pair) for pair in stored} == {pair for pair in held if pair[1] is not None}


async def test_ledger_explains_a_merge(app: App) -> None:
    await app.write(_item("v1", color="green"))
    await app.write(_item("u1", food="pizza"))
    absorbed = (await app.profile("analytics_visitor_id", value_of("v1")))["id"]
    survivor = (await app.profile("user_id", "u1"))["id"]
    await app.write(_item("u1 v1"))
    row = await app.rows.fetchrow("SELECT * FROM profile_merges")
    assert (str(row["survivor_profile_id"]), str(row["absorbed_profile_id"])) == (
        survivor,
        absorbed,
    )
    assert json.loads(row["identifiers"]) == [
        ["user_id", "u1"],
        ["analytics_visitor_id", value_of("v1")],
    ]
    assert json.loads(row["survivor_before"])["attributes"] == {"food": "pizza"}
    assert json.loads(row["absorbed_before"])["attributes"] == {"color": "green"}
    assert row["undone_at"] is None


async def test_absorbed_profile_id_resolves_to_its_survivor(app: App) -> None:
    ids = []
    for short in ("v1", "d1", "u1"):
        await app.write(_item(short))
        ids.append((await app.profile(_NAMES[short[0]], value_of(short)))["id"])
    await app.write(_item("d1 v1"))
    await app.write(_item("u1 d1"))
    async with app.database.transaction() as conn:
        connection = await raw(conn)
        assert await ledger.resolve_profile_id(connection, app.app_id, ids[0]) == ids[2]
        assert await ledger.resolve_profile_id(connection, app.app_id, ids[2]) == ids[2]
        unknown = str(UUID(int=5))
        assert await ledger.resolve_profile_id(connection, app.app_id, unknown) is None


async def test_undone_merge_gives_both_profiles_back(app: App, noise: App) -> None:
    await app.write(_item("v1 d1", color="green"))
    await app.write(_item("u1", color="red"))
    absorbed = (await app.profile("device_id", "d1"))["id"]
    await app.write(_item("u1 v1", food="pizza"))
    noise_before = await noise.identifier_graph()
    (merge_id,) = await _merge_ids(app)
    await _undo(app, merge_id)
    assert await app.identifier_graph() == {
        frozenset({identifier("u1")}),
        frozenset({identifier("v1"), identifier("d1")}),
    }
    restored = await app.profile("device_id", "d1")
    assert restored["id"] == absorbed
    assert restored["attributes"] == {"color": "green"}
    assert (await app.profile("user_id", "u1"))["attributes"] == {"color": "red", "food": "pizza"}
    with pytest.raises(Conflict, match="undone already"):
        await _undo(app, merge_id)
    assert await noise.identifier_graph() == noise_before


async def test_merges_are_undone_in_any_order(app: App) -> None:
    for short, name in (("v1", "a"), ("d1", "b"), ("u1", "c")):
        await app.write(_item(short, **{name: short}))
    before = await app.identifier_graph()
    await app.write(_item("d1 v1"))
    await app.write(_item("u1 d1"))
    for merge_id in await _merge_ids(app):
        await _undo(app, merge_id)
    assert await app.identifier_graph() == before
    for short, name in (("v1", "a"), ("d1", "b"), ("u1", "c")):
        document = await app.profile(_NAMES[short[0]], value_of(short))
        assert document["attributes"] == {name: short}


async def test_unknown_merge_is_not_found(app: App, noise: App) -> None:
    await noise.write(_item("u1 v1"))
    for merge_id in (str(UUID(int=5)), *await _merge_ids(noise)):
        with pytest.raises(NotFound):
            await _undo(app, merge_id)


async def test_any_order_of_a_batch_ends_in_the_same_graph(make_app: MakeApp) -> None:
    items = [_item(text) for text in ("u1 d1", "u2 d1 v1", "v1 d2", "e1 d2", "u1 e1", "u3 v3 d3")]
    graphs = []
    for shift in range(len(items)):
        app = await make_app()
        order = items[shift:] + items[:shift]
        await app.write(*order)
        graphs.append(await app.identifier_graph())
        await app.write(*reversed(order))
        graphs.append(await app.identifier_graph())
    assert all(graph == graphs[0] for graph in graphs)
