"""Profiles in the authorized API: finding, reading, merges, merging, splitting, deleting."""

import asyncio
from typing import Any

import pytest

from tests.conftest import App, Authorized, MakeApp, MakeClient

API = "/api/audiences/v1"
UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"
VISITOR, OTHER = "00000000000000a1", "00000000000000a2"


async def _find(app: App, client: Authorized, identifier: str, value: str) -> Any:
    query = {"website_id": app.app_id, "identifier": identifier, "value": value}
    return await client.get(f"{API}/profiles/get", params=query)


def _at(app: App, path: str) -> str:
    return f"{API}/{path}?website_id={app.app_id}"


async def _id_of(app: App, identifier: str, value: str) -> str:
    found: str = (await app.profile(identifier, value))["id"]
    return found


async def _two(app: App, **second: str) -> tuple[str, str]:
    """The ids of two profiles: user u with VISITOR, and OTHER with what is given."""
    await app.write(
        {"user_id": "u", "analytics_visitor_id": VISITOR, "attributes": [_entry("plan", "gold")]},
        {"analytics_visitor_id": OTHER, "attributes": [_entry("color", "green")], **second},
    )
    return (
        await _id_of(app, "analytics_visitor_id", VISITOR),
        await _id_of(app, "analytics_visitor_id", OTHER),
    )


def _entry(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "value": value}


# --- finding and reading


async def test_profile_is_found_by_each_identifier_as_a_plain_array(
    app: App, noise: App, authorized: Authorized
) -> None:
    given = {
        "user_id": "jbond",
        "email": "James@Example.org",
        "device_id": "d-1",
        "analytics_visitor_id": VISITOR,
    }
    await app.write({**given, "attributes": [_entry("age", 40), _entry("likes", ["a", "b"])]})
    wanted = {**given, "email": " james@EXAMPLE.org", "analytics_visitor_id": VISITOR.upper()}
    for identifier, value in wanted.items():
        status, found = await _find(app, authorized, identifier, value)
        assert status == 200
        (profile,) = found
        assert profile["website_id"] == app.app_id
        assert profile["user_id"] == "jbond"
        assert profile["email"] == "James@Example.org"
        assert profile["device_ids"] == ["d-1"]
        assert profile["analytics_visitor_ids"] == [VISITOR]
        assert profile["attributes"] == {"age": 40, "likes": ["a", "b"]}
        assert profile["attributes_count"] == 2
        assert None not in profile.values()
    assert (await _find(noise, authorized, "user_id", "jbond"))[1][0]["id"] != profile["id"]
    assert await _find(app, authorized, "user_id", "nobody") == (200, [])


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"website_id": None}, "website_id"),
        ({"website_id": "x"}, "website_id"),
        ({"identifier": None}, "identifier"),
        ({"identifier": "cookie"}, "identifier"),
        ({"value": None}, "value"),
        ({"value": ""}, "value"),
        ({"value": "a\x00"}, "value"),
        ({"identifier": "analytics_visitor_id"}, "value"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "ten"}, "limit"),
    ],
)
async def test_find_names_the_wrong_parameter(
    app: App, authorized: Authorized, change: dict[str, Any], parameter: str
) -> None:
    query = {"website_id": app.app_id, "identifier": "user_id", "value": "x", **change}
    query = {name: value for name, value in query.items() if value is not None}
    status, body = await authorized.get(f"{API}/profiles/get", params=query)
    assert (status, body["errors"][0]["source"]) == (400, {"parameter": parameter})


async def test_profile_is_read_by_its_id_and_by_an_absorbed_one(
    app: App, authorized: Authorized
) -> None:
    survivor, absorbed = await _two(app)
    status, body = await authorized.get(_at(app, f"profiles/{survivor}/"))
    assert status == 200
    assert (body["data"]["type"], body["data"]["id"]) == ("Profile", survivor)
    assert body["data"]["attributes"]["attributes"] == {"plan": "gold"}
    assert "id" not in body["data"]["attributes"]
    await app.write({"user_id": "u", "analytics_visitor_id": OTHER})
    _, through_absorbed = await authorized.get(_at(app, f"profiles/{absorbed}"))
    assert through_absorbed["data"]["id"] == survivor
    assert through_absorbed["data"]["attributes"]["attributes"] == {
        "plan": "gold",
        "color": "green",
    }


async def test_unknown_ids_are_not_found(app: App, noise: App, authorized: Authorized) -> None:
    foreign = await _id_of(noise, "user_id", "jbond")
    for profile_id in (UNKNOWN, foreign):
        for method, path, body in (
            ("GET", "", None),
            ("DELETE", "", None),
            ("GET", "/merges", None),
            ("POST", "/merge", {"profile_id": UNKNOWN}),
            ("POST", "/split", {"identifiers": [{"identifier": "user_id", "value": "x"}]}),
        ):
            url = _at(app, f"profiles/{profile_id}{path}")
            status, answer = await authorized.request(method, url, json=body)
            assert (status, answer["errors"][0]["code"]) == (404, "not_found")
    assert (await authorized.post(_at(app, f"merges/{UNKNOWN}/undo")))[0] == 404
    assert (await authorized.get(_at(app, "profiles/nonsense")))[0] == 400
    assert (await authorized.get(f"{API}/profiles/{UNKNOWN}"))[0] == 400
    assert await noise.count("profiles") > 0


# --- merging, its history, undoing


async def test_merge_by_hand_is_explained_and_undone(app: App, authorized: Authorized) -> None:
    survivor, absorbed = await _two(app)
    before = [await app.profile("analytics_visitor_id", visitor) for visitor in (VISITOR, OTHER)]
    url = _at(app, f"profiles/{survivor}/merge/")
    status, body = await authorized.post(url, json={"profile_id": absorbed})
    assert (status, body["data"]["id"]) == (200, survivor)
    assert body["data"]["attributes"]["attributes"] == {"plan": "gold", "color": "green"}
    _, listed = await authorized.get(_at(app, f"profiles/{absorbed}/merges/"))
    (merge,) = listed["data"]
    attributes = merge["attributes"]
    assert listed["meta"] == {"total": 1, "refusals": []}
    assert attributes["identifiers"] == []
    assert attributes["survivor_profile_id"] == survivor
    assert [attributes["survivor_before"], attributes["absorbed_before"]] == before
    await app.write({"user_id": "u", "attributes": [_entry("late", 1)]})
    status, undone = await authorized.post(_at(app, f"merges/{merge['id']}/undo/"))
    assert (status, undone["data"]["id"]) == (200, absorbed)
    assert undone["data"]["attributes"]["attributes"] == {"color": "green"}
    assert (await app.profile("user_id", "u"))["attributes"] == {"plan": "gold", "late": 1}
    status, again = await authorized.post(_at(app, f"merges/{merge['id']}/undo/"))
    assert (status, again["errors"][0]["code"]) == (409, "merge_undone")
    _, listed = await authorized.get(_at(app, f"profiles/{absorbed}/merges/"))
    assert listed["data"][0]["attributes"]["undone_at"] >= merge["attributes"]["merged_at"]


async def test_merges_of_absorbed_profiles_are_part_of_the_history(
    app: App, authorized: Authorized
) -> None:
    await app.write({"device_id": "d1"}, {"device_id": "d2"}, {"user_id": "u"})
    await app.write({"email": "a@example.org", "device_id": "d1"})
    await app.write({"email": "a@example.org", "device_id": "d2"})
    await app.write({"user_id": "u", "email": "a@example.org"})
    profile_id = await _id_of(app, "user_id", "u")
    url = _at(app, f"profiles/{profile_id}/merges")
    _, everything = await authorized.get(url)
    assert everything["meta"]["total"] == len(everything["data"]) == 2
    times = [merge["attributes"]["merged_at"] for merge in everything["data"]]
    assert times == sorted(times)
    _, second = await authorized.get(f"{url}&limit=1&offset=1")
    assert [merge["id"] for merge in second["data"]] == [everything["data"][1]["id"]]
    assert second["meta"]["total"] == 2


async def test_refused_merges_are_explained(app: App, authorized: Authorized) -> None:
    await app.write({"user_id": "a", "device_id": "shared"}, {"user_id": "b"})
    await app.write({"user_id": "b", "device_id": "shared"})
    profile_id, other = await _id_of(app, "user_id", "b"), await _id_of(app, "user_id", "a")
    _, listed = await authorized.get(_at(app, f"profiles/{profile_id}/merges"))
    (refusal,) = listed["meta"]["refusals"]
    assert (refusal["profile_id"], refusal["reason"]) == (other, "different_user_ids")
    assert refusal["refused_count"] == 1


async def test_different_emails_are_merged_only_by_force(app: App, authorized: Authorized) -> None:
    await app.write({"user_id": "u", "email": "A@example.org", "analytics_visitor_id": VISITOR})
    survivor, absorbed = await _two(app, email="B@example.org")
    url = _at(app, f"profiles/{survivor}/merge")
    status, body = await authorized.post(url, json={"profile_id": absorbed})
    assert (status, body["errors"][0]["code"]) == (409, "different_emails")
    assert await app.count("profiles") == 2
    status, body = await authorized.post(url, json={"profile_id": absorbed, "force": True})
    assert (status, body["data"]["attributes"]["email"]) == (200, "A@example.org")
    assert await app.profiles("email", "b@example.org") == []
    merge_id = await app.rows.fetchval("SELECT merge_id FROM profile_merges")
    await authorized.post(_at(app, f"merges/{merge_id}/undo"))
    assert await _id_of(app, "email", "b@example.org") == absorbed
    assert await _id_of(app, "email", "a@example.org") == survivor
    assert await _id_of(app, "analytics_visitor_id", OTHER) == absorbed


async def test_different_user_ids_are_never_merged(app: App, authorized: Authorized) -> None:
    survivor, absorbed = await _two(app, user_id="v")
    body = {"profile_id": absorbed, "force": True}
    status, answer = await authorized.post(_at(app, f"profiles/{survivor}/merge"), json=body)
    assert (status, answer["errors"][0]["code"]) == (409, "different_user_ids")
    assert await app.count("profiles") == 2


async def test_profile_is_not_merged_with_itself(app: App, authorized: Authorized) -> None:
    survivor, absorbed = await _two(app)
    url = _at(app, f"profiles/{survivor}/merge")
    await authorized.post(url, json={"profile_id": absorbed})
    for same in (survivor, absorbed):
        status, answer = await authorized.post(url, json={"profile_id": same})
        assert (status, answer["errors"][0]["code"]) == (409, "same_profile")


async def test_caps_hold_for_merges_by_hand(app: App, authorized: Authorized) -> None:
    await app.write(*({"user_id": "u", "device_id": f"d{n}"} for n in range(30)))
    await app.write(*({"email": "a@example.org", "device_id": f"e{n}"} for n in range(30)))
    ids = [await _id_of(app, "user_id", "u"), await _id_of(app, "email", "a@example.org")]
    body = {"profile_id": ids[1], "force": True}
    status, answer = await authorized.post(_at(app, f"profiles/{ids[0]}/merge"), json=body)
    assert (status, answer["errors"][0]["code"]) == (409, "too_many_identifiers")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/profile_id"),
        ({"profile_id": "x"}, "/profile_id"),
        ({"profile_id": UNKNOWN, "force": "yes"}, "/force"),
        ({"profile_id": UNKNOWN, "more": 1}, "/more"),
    ],
)
async def test_malformed_merge_is_refused(
    app: App, authorized: Authorized, body: dict[str, Any], pointer: str
) -> None:
    status, answer = await authorized.post(_at(app, f"profiles/{UNKNOWN}/merge"), json=body)
    assert (status, answer["errors"][0]["source"]) == (400, {"pointer": pointer})


async def test_two_opposite_merges_at_once_leave_one_profile(
    app: App, authorized: Authorized
) -> None:
    one, other = await _two(app)
    answers = await asyncio.gather(
        authorized.post(_at(app, f"profiles/{one}/merge"), json={"profile_id": other}),
        authorized.post(_at(app, f"profiles/{other}/merge"), json={"profile_id": one}),
    )
    assert sorted(status for status, _ in answers) == [200, 409]
    assert await app.count("profiles") == 1


# --- splitting


async def test_split_moves_identifiers_and_nothing_else(
    app: App, noise: App, authorized: Authorized
) -> None:
    await app.write(
        {"user_id": "u", "email": "Kim@example.org", "analytics_visitor_id": VISITOR},
        {"user_id": "u", "analytics_visitor_id": OTHER, "attributes": [_entry("plan", "gold")]},
    )
    profile_id = await _id_of(app, "user_id", "u")
    noise_before = await noise.identifier_graph()
    identifiers = [
        {"identifier": "email", "value": "kim@example.org"},
        {"identifier": "analytics_visitor_id", "value": OTHER},
    ]
    url = _at(app, f"profiles/{profile_id}/split/")
    status, body = await authorized.post(url, json={"identifiers": identifiers})
    assert status == 201
    new = body["data"]["attributes"]
    assert new["email"] == "Kim@example.org"
    assert (new["analytics_visitor_id"], new["analytics_visitor_ids"]) == (OTHER, [OTHER])
    assert new["attributes"] == {}
    old = await app.profile("user_id", "u")
    assert old["id"] == profile_id != body["data"]["id"]
    assert old["analytics_visitor_id"] == VISITOR
    assert "email" not in old
    assert old["attributes"] == {"plan": "gold"}
    assert await _id_of(app, "analytics_visitor_id", OTHER) == body["data"]["id"]
    assert await noise.identifier_graph() == noise_before


@pytest.mark.parametrize(
    ("identifiers", "status", "where"),
    [
        ([], 400, "/identifiers"),
        ("x", 400, "/identifiers"),
        ([{"identifier": "email"}], 400, "/identifiers/0/value"),
        ([{"identifier": "cookie", "value": "x"}], 400, "/identifiers/0/identifier"),
        ([{"identifier": "analytics_visitor_id", "value": "x"}], 400, "/identifiers/0/value"),
        ([{"identifier": "user_id", "value": "somebody else"}], 400, "/identifiers/0"),
        (2 * [{"identifier": "user_id", "value": "u"}], 400, "/identifiers/1"),
        (
            [
                {"identifier": "user_id", "value": "u"},
                {"identifier": "analytics_visitor_id", "value": VISITOR},
            ],
            409,
            None,
        ),
    ],
)
async def test_impossible_split_is_refused(
    app: App, authorized: Authorized, identifiers: Any, status: int, where: str | None
) -> None:
    await app.write({"user_id": "u", "analytics_visitor_id": VISITOR})
    before = await app.identifier_graph()
    url = _at(app, f"profiles/{await _id_of(app, 'user_id', 'u')}/split")
    found, body = await authorized.post(url, json={"identifiers": identifiers})
    assert found == status
    assert body["errors"][0].get("source") == (where and {"pointer": where})
    assert await app.identifier_graph() == before


# --- deleting


async def test_deleted_profile_leaves_nothing_behind(
    app: App, noise: App, authorized: Authorized
) -> None:
    survivor, absorbed = await _two(app, email="a@example.org")
    await app.write({"user_id": "jbond", "device_id": "shared"})
    await app.write({"user_id": "u", "device_id": "shared"})
    body = {"profile_id": absorbed}
    await authorized.post(_at(app, f"profiles/{survivor}/merge"), json=body)
    await app.rows.execute(
        "INSERT INTO audience_members (app_id, audience_id, profile_id, member_since)"
        " VALUES ($1, $2, $3, now())",
        *(app.app_id, UNKNOWN, survivor),
    )
    noise_before = await noise.count("profiles")
    assert await authorized.delete(_at(app, f"profiles/{absorbed}/")) == (204, "")
    assert await app.count("profiles") == 1
    assert {next(iter(group)).identifier_value for group in await app.identifier_graph()} == {
        "jbond"
    }
    for table in ("profile_merges", "merge_refusals", "audience_members"):
        assert await app.count(table) == 0
    assert await noise.count("profiles") == noise_before
    assert (await authorized.delete(_at(app, f"profiles/{survivor}/")))[0] == 404


# --- who may


async def test_each_operation_needs_its_scope(app: App, make_client: MakeClient) -> None:
    survivor, absorbed = await _two(app)
    read, write, privacy = [await make_client(scope) for scope in ("read", "write", "privacy")]
    reads = [
        f"{API}/profiles/get?website_id={app.app_id}&identifier=user_id&value=u",
        _at(app, f"profiles/{survivor}"),
        _at(app, f"profiles/{survivor}/merges"),
    ]
    for url in reads:
        assert [(await client.get(url))[0] for client in (read, write, privacy)] == [200, 200, 403]
    for path, body in (
        (f"profiles/{survivor}/merge", {"profile_id": absorbed}),
        (f"profiles/{survivor}/split", {"identifiers": []}),
        (f"merges/{UNKNOWN}/undo", {}),
    ):
        for client in (read, privacy):
            status, answer = await client.post(_at(app, path), json=body)
            assert (status, answer["errors"][0]["code"]) == (403, "missing_scope")
    for client in (read, write):
        assert (await client.delete(_at(app, f"profiles/{survivor}")))[0] == 403
    assert (await privacy.delete(_at(app, f"profiles/{survivor}")))[0] == 204


async def test_another_organization_sees_no_profile(app: App, make_client: MakeClient) -> None:
    survivor, absorbed = await _two(app)
    stranger = await make_client("admin", organization="strangers")
    assert (await _find(app, stranger, "user_id", "u"))[0] == 404
    identifiers = [{"identifier": "user_id", "value": "u"}]
    for method, path, body in (
        ("GET", f"profiles/{survivor}", None),
        ("DELETE", f"profiles/{survivor}", None),
        ("GET", f"profiles/{survivor}/merges", None),
        ("POST", f"profiles/{survivor}/merge", {"profile_id": absorbed}),
        ("POST", f"profiles/{survivor}/split", {"identifiers": identifiers}),
        ("POST", f"merges/{UNKNOWN}/undo", None),
    ):
        status, answer = await stranger.request(method, _at(app, path), json=body)
        assert status == 404
        assert app.app_id in answer["errors"][0]["detail"]
    assert await app.count("profiles") == 2


async def test_every_operation_is_audited_without_values(
    app: App, make_app: MakeApp, authorized: Authorized
) -> None:
    await make_app()
    survivor, absorbed = await _two(app, email="kim@example.org")
    await _find(app, authorized, "email", "kim@example.org")
    await authorized.get(_at(app, f"profiles/{survivor}"))
    merge = _at(app, f"profiles/{survivor}/merge")
    await authorized.post(merge, json={"profile_id": absorbed})
    await authorized.get(_at(app, f"profiles/{survivor}/merges"))
    merge_id = str(await app.rows.fetchval("SELECT merge_id FROM profile_merges"))
    await authorized.post(_at(app, f"merges/{merge_id}/undo"))
    split = {"identifiers": [{"identifier": "email", "value": "kim@example.org"}]}
    await authorized.post(_at(app, f"profiles/{absorbed}/split"), json=split)
    await authorized.delete(_at(app, f"profiles/{survivor}"))
    rows = await app.rows.fetch(
        "SELECT operation, target_type, target_id FROM audit_entries WHERE app_id = $1"
        " ORDER BY entry_id",
        app.app_id,
    )
    assert [tuple(row) for row in rows] == [
        ("find_profiles", "profile", absorbed),
        ("get_profile", "profile", survivor),
        ("merge_profiles", "profile", survivor),
        ("list_merges", "profile", survivor),
        ("undo_merge", "merge", merge_id),
        ("split_profile", "profile", absorbed),
        ("delete_profile", "profile", survivor),
    ]


async def test_injected_sql_finds_nobody(app: App, authorized: Authorized) -> None:
    await _two(app)
    for text in ("' OR 1=1 --", "u'; DELETE FROM profiles; --", "%", "_"):
        for identifier in ("user_id", "email", "device_id"):
            assert await _find(app, authorized, identifier, text) == (200, [])
    assert await app.count("profiles") == 2
