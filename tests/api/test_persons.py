"""What an access export takes from a person's profiles, and correcting them."""

from typing import Any

import pytest

from audience import public
from audience.errors import Conflict, DomainError, Invalid
from audience.profile_changes.curation.undo import undo_merge_by_id
from audience.public import AttributeChange, Identifier, IdentifierChange
from audience.server import clock
from audience.server.database import raw
from tests.api.audience_api import Audiences, leaf
from tests.conftest import App, Authorized

VISITOR = "fedcba98deadbeef"
PERSON = {"user_id": "anna", "email": "Anna@Example.com", "analytics_visitor_id": VISITOR}
BY_EMAIL = Identifier("email", "anna@example.com")


async def _profile_id(app: App) -> str:
    return str((await app.profile("user_id", "anna"))["id"])


async def _export(app: App) -> dict[str, Any]:
    async with app.database.transaction() as conn:
        (found,) = await public.find_person_profiles(conn, app.app_id, [BY_EMAIL])
        exported = await public.export_profile(conn, app.app_id, found.profile_id)
    assert exported is not None
    return exported


async def _merges(app: App, profile_id: str) -> list[dict[str, Any]]:
    async with app.database.transaction() as conn:
        return await public.export_merges(conn, app.app_id, profile_id)


async def _rectify(
    app: App,
    attributes: tuple[AttributeChange, ...] = (),
    identifiers: tuple[IdentifierChange, ...] = (),
) -> list[tuple[str, str | None, str | None]]:
    profile_id = await _profile_id(app)
    async with app.database.transaction() as conn:
        done = await public.rectify_profile(
            conn, app.app_id, profile_id, attributes, identifiers, clock.now()
        )
    return [tuple(one) for one in done]


async def test_an_export_has_everything_of_the_profile(app: App, authorized: Authorized) -> None:
    await app.write({**PERSON, "attributes": [{"name": "color", "value": "red"}]})
    audiences = Audiences(app, authorized)
    await audiences.create(leaf("eq", "red", name="color"), name="Reds")
    await audiences.create(leaf("eq", "blue", name="color"), name="Blues")
    exported = await _export(app)
    assert exported["profile"]["email"] == "Anna@Example.com"
    assert [row["name"] for row in exported["audiences"]] == ["Reds"]
    (color,) = exported["attributes"]
    assert (color["name"], color["value"]) == ("color", "red")
    assert color["written_at"].endswith("Z")
    assert {row["value"] for row in exported["identifiers"]} == {
        "anna",
        "anna@example.com",
        VISITOR,
    }


async def test_merges_of_the_person_are_exported_and_nothing_of_a_neighbour(app: App) -> None:
    await app.write({"device_id": "d1", "attributes": [{"name": "a", "value": "own"}]})
    await app.write({**PERSON})
    await app.write({"user_id": "anna", "device_id": "d1"})
    # A merge with somebody else that was a mistake and was taken back.
    await app.write(
        {"device_id": "neighbour-device", "attributes": [{"name": "a", "value": "neighbour"}]}
    )
    await app.write({"user_id": "anna", "device_id": "neighbour-device"})
    profile_id = await _profile_id(app)
    merge_id = await app.rows.fetchval(
        "SELECT max(merge_id::text) FROM profile_merges WHERE app_id = $1",
        app.app_id,
    )
    await _undo(app, merge_id)
    merges = await _merges(app, profile_id)
    assert [len(merge["documents"]) for merge in merges] == [2, 1]
    assert "neighbour" not in str(merges)
    assert "own" in str(merges)


async def _undo(app: App, merge_id: str) -> None:
    async with app.database.transaction() as conn:
        await undo_merge_by_id(await raw(conn), app.app_id, merge_id, clock.now())


async def test_attributes_and_identifiers_are_corrected(app: App) -> None:
    await app.write({**PERSON, "attributes": [{"name": "name", "value": "Ana"}]})
    await app.write({"user_id": "anna", "attributes": [{"name": "wrong", "value": "x"}]})
    done = await _rectify(
        app,
        (AttributeChange("name", "Anna"), AttributeChange("wrong", None), AttributeChange("n", 5)),
        (IdentifierChange("email", None, "anna.new@example.com"),),
    )
    assert done == [
        ("attributes.name", "Ana", "Anna"),
        ("attributes.wrong", "x", None),
        ("attributes.n", None, "5"),
        ("email", "anna@example.com", "anna.new@example.com"),
    ]
    profile = await app.profile("email", "anna.new@example.com")
    assert profile["attributes"] == {"name": "Anna", "n": 5}
    assert await app.profiles("email", "anna@example.com") == []


async def test_correcting_twice_changes_nothing_more(app: App) -> None:
    await app.write({**PERSON})
    changes = (
        (AttributeChange("name", "Anna"),),
        (
            IdentifierChange("email", "anna@example.com", "new@example.com"),
            IdentifierChange("analytics_visitor_id", VISITOR, None),
        ),
    )
    assert len(await _rectify(app, *changes)) == 3
    assert await _rectify(app, *changes) == []


@pytest.mark.parametrize(
    ("attributes", "identifiers", "error", "code"),
    [
        ((AttributeChange("age", "old"),), (), Invalid, "type_mismatch"),
        ((), (IdentifierChange("email", None, "other@example.com"),), Conflict, "identifier_taken"),
        ((), (IdentifierChange("device_id", "no", "d2"),), Conflict, "identifier_unknown"),
        ((), (IdentifierChange("user_id", None, "null"),), Invalid, "invalid"),
        (
            (),
            tuple(
                IdentifierChange(name, value, None)
                for name, value in (
                    ("user_id", "anna"),
                    ("email", "anna@example.com"),
                    ("analytics_visitor_id", VISITOR),
                )
            ),
            Conflict,
            "no_identifier_left",
        ),
    ],
)
async def test_impossible_corrections_change_nothing(
    app: App,
    attributes: tuple[AttributeChange, ...],
    identifiers: tuple[IdentifierChange, ...],
    error: type[DomainError],
    code: str,
) -> None:
    await app.write({**PERSON, "attributes": [{"name": "age", "value": 47}]})
    await app.write({"email": "other@example.com"})
    before = await app.profile("user_id", "anna")
    with pytest.raises(error) as refusal:
        await _rectify(app, attributes, identifiers)
    assert refusal.value.code == code
    assert await app.profile("user_id", "anna") == before
