"""Previews and explanations of audiences over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.audience_api import PATH, Audiences, group, leaf, stop_clock
from tests.api.test_population_sql import store
from tests.conftest import App, Authorized, MakeClient
from tests.unit.rule_cases import profile_of

VISITOR = "0123456789abcdef"
GOLD = leaf("eq", "gold")


@pytest.fixture
def audiences(app: App, authorized: Authorized) -> Audiences:
    return Audiences(app, authorized)


async def _write(app: App, user_id: str, **attributes: Any) -> None:
    entries = [{"name": name, "value": value} for name, value in attributes.items()]
    assert await app.write({"user_id": user_id, "attributes": entries}) == (204, "")


@pytest.fixture
async def crowd(app: App, noise: App) -> list[str]:
    """450 profiles, more than are evaluated at a stretch; every third is gold. Their ids."""
    assert noise.app_id != app.app_id
    ids = [f"01990000-0000-7000-8000-{number:012x}" for number in range(450)]
    await store(
        app,
        (
            profile_of(
                profile_id,
                {
                    "user_id": f"u{number}",
                    "attributes": {"plan": "gold" if number % 3 == 0 else "x"},
                },
            )
            for number, profile_id in enumerate(ids)
        ),
    )
    return ids


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param(GOLD, id="counted by SQL"),
        pytest.param(leaf("matches", "^g.ld$"), id="evaluated"),
        pytest.param(group("not", leaf("not_matches", "old")), id="evaluated under a not"),
    ],
)
async def test_a_preview_is_exact(audiences: Audiences, crowd: list[str], definition: Any) -> None:
    found = await audiences.preview(definition)
    sample = found.pop("sample_profile_ids")
    assert found == {"count": 150, "total": 450, "share": 150 / 450}
    assert len(sample) == len(set(sample)) == 10
    assert set(sample) <= set(crowd[::3])
    assert await audiences.app.count("audience_members") == 0
    assert await audiences.app.count("audiences") == 0


async def test_a_preview_of_an_empty_app_and_of_nobody(audiences: Audiences) -> None:
    nothing = {"count": 0, "total": 0, "share": 0, "sample_profile_ids": []}
    assert await audiences.preview(GOLD) == nothing
    await _write(audiences.app, "a", plan="x")
    assert await audiences.preview(GOLD) == nothing | {"total": 1}


async def test_a_preview_may_ask_about_audiences(audiences: Audiences, crowd: list[str]) -> None:
    gold = await audiences.create(GOLD)
    asks = leaf("eq", value=True, field_type="audiences", name=gold)
    assert (await audiences.preview(group("not", asks)))["count"] == len(crowd) - 150
    assert (await audiences.preview(group("and", asks, leaf("matches", "g"))))["count"] == 150


async def test_a_preview_warns_and_refuses_as_saving_does(audiences: Audiences) -> None:
    status, found = await audiences.client.post(
        f"{PATH}/preview/", params=audiences.query, json={"definition": GOLD}
    )
    assert (status, found["data"]["type"]) == (200, "AudiencePreview")
    assert [warning["path"] for warning in found["meta"]["warnings"]] == ["definition.name"]
    for body, pointer in (
        ({}, "/definition"),
        ({"definition": leaf("near", 1)}, "/definition/condition/operator"),
        ({"definition": group("or", GOLD, group("not"))}, "/definition/conditions/1/conditions"),
    ):
        status, found = await audiences.client.post(
            f"{PATH}/preview/", params=audiences.query, json=body
        )
        assert (status, found["errors"][0]["source"]) == (400, {"pointer": pointer})


async def test_an_explanation_shows_each_answer_and_what_was_seen(
    app: App, audiences: Audiences, noise: App
) -> None:
    await noise.write({"user_id": "a", "attributes": [{"name": "plan", "value": "noise"}]})
    await _write(app, "a", plan="gold", orders=1)
    inner = await audiences.create(GOLD)
    in_inner = leaf("eq", value=True, field_type="audiences", name=inner)
    many, has_city = leaf("gt", 2, name="orders"), leaf("exists", name="city")
    audience_id = await audiences.create(group("and", in_inner, group("or", many, has_city)))
    status, found = await audiences.explain(audience_id, "user_id", "a")
    assert (status, found["data"]["type"]) == (200, "AudienceExplanation")
    assert found["data"]["id"] == audience_id
    assert found["data"]["attributes"] == {
        "profile_id": (await app.profile("user_id", "a"))["id"],
        "is_member": False,
        "member_since": None,
        "member_until": None,
        "is_filling": False,
        "tree": {
            "operator": "and",
            "is_met": False,
            "conditions": [
                in_inner | {"is_met": True, "seen": True},
                {
                    "operator": "or",
                    "is_met": False,
                    "conditions": [
                        many | {"is_met": False, "seen": 1},
                        has_city | {"is_met": False, "seen": None},
                    ],
                },
            ],
        },
    }


async def test_an_explanation_finds_people_by_each_identifier(
    app: App, audiences: Audiences
) -> None:
    device = {"device_id": "D 1", "email": "Ann@Example.com", "analytics_visitor_id": VISITOR}
    await app.write({"user_id": "a", **device})
    audience_id = await audiences.create(GOLD)
    answers = [
        await audiences.explain(audience_id, *identifier)
        for identifier in (
            ("user_id", "a"),
            ("email", " ann@EXAMPLE.com"),
            ("analytics_visitor_id", VISITOR.upper()),
            ("device_id", "D 1"),
        )
    ]
    assert answers[0][0] == 200
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(
    ("definition", "days", "until"),
    [
        (GOLD, None, None),
        (GOLD, 7, timedelta(days=7)),
        (
            group("and", GOLD, leaf("within_last", {"amount": 2, "unit": "days"}, name="seen")),
            None,
            timedelta(days=2, microseconds=1),
        ),
        (
            group("or", GOLD, leaf("within_last", {"amount": 2, "unit": "days"}, name="seen")),
            None,
            None,
        ),
        (
            leaf("within_last", {"amount": 2, "unit": "months"}, name="seen"),
            None,
            datetime(2026, 5, 10, 12, tzinfo=UTC)
            - datetime(2026, 3, 10, 12, tzinfo=UTC)
            + timedelta(microseconds=1),
        ),
    ],
)
async def test_an_explanation_says_since_when_and_until_when(
    app: App,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    definition: Any,
    days: int | None,
    until: timedelta | None,
) -> None:
    start = datetime(2026, 3, 10, 12, tzinfo=UTC)
    clock = stop_clock(monkeypatch, start)
    audiences = Audiences(app, await make_client("admin"))
    audience_id = await audiences.create(definition, membership_duration_days=days)
    await _write(app, "a", plan="gold", seen=start.isoformat())
    clock.moment += timedelta(minutes=1)
    _, found = await audiences.explain(audience_id, "user_id", "a")
    attributes = found["data"]["attributes"]
    assert attributes["is_member"]
    assert datetime.fromisoformat(attributes["member_since"]) == start
    stored = attributes["member_until"]
    assert (stored and datetime.fromisoformat(stored) - start) == until
    if days is not None:
        await _write(app, "a", plan="x")
        _, found = await audiences.explain(audience_id, "user_id", "a")
        attributes = found["data"]["attributes"]
        assert (attributes["is_member"], attributes["tree"]["is_met"]) == (True, False)
        assert attributes["member_until"] == stored


@pytest.mark.parametrize(
    ("identifier", "value", "status", "code"),
    [
        ("user_id", "nobody", 404, "not_found"),
        ("analytics_visitor_id", "xyz", 400, "invalid"),
        ("email", "  ", 400, "invalid"),
        ("cookie", "x", 400, "invalid"),
        ("user_id", "", 400, "invalid"),
        ("user_id", "a\x00", 400, "invalid"),
    ],
)
async def test_an_explanation_of_nobody_is_refused(
    audiences: Audiences, identifier: str, value: str, status: int, code: str
) -> None:
    audience_id = await audiences.create(GOLD)
    found_status, found = await audiences.explain(audience_id, identifier, value)
    assert (found_status, found["errors"][0]["code"]) == (status, code)
    if value.strip():
        assert value not in found["errors"][0]["detail"]
