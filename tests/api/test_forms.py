"""POST tracker/forms/: what a form tracker sends."""

import json
from typing import Any

import pytest

from audience.profile_changes import decide
from tests.conftest import UNUSED_AUDIENCE, App

VISITOR = "0123456789abcdef"
CHECKOUT = {"form_id": "checkout", "url": "https://shop.example/checkout", "user_id": "m"}


async def _submit(app: App, *items: dict[str, Any], prefix: str = "/audiences") -> tuple[int, Any]:
    body: Any = [{"website_id": app.app_id, "attributes": [], **item} for item in items]
    answer = await app.service.post(
        f"{prefix}/tracker/forms/", json=body[0] if len(body) == 1 else body
    )
    is_json = answer.content_type == "application/json"
    return answer.status, await (answer.json() if is_json else answer.text())


@pytest.mark.parametrize("prefix", ["/audiences", "/data", "//data"])
async def test_submission_is_noted_and_its_attributes_are_applied(app: App, prefix: str) -> None:
    entries = [{"name": "first_name", "value": "James"}, {"name": "tags", "value": ["a", "b"]}]
    item = {**CHECKOUT, "analytics_visitor_id": VISITOR, "attributes": entries}
    assert await _submit(app, item, prefix=prefix) == (204, "")
    document = await app.profile("analytics_visitor_id", VISITOR)
    assert document["attributes"] == {"first_name": "James", "tags": ["a", "b"]}
    assert document["forms"].keys() == {"checkout"}
    assert document["forms"]["checkout"]["url"] == CHECKOUT["url"]
    assert document["forms"]["checkout"]["timestamp"] == document["updated_at"]


async def test_newest_submission_of_each_form_is_kept(app: App) -> None:
    for url in ("https://shop.example/one", "https://shop.example/two"):
        await _submit(app, {**CHECKOUT, "url": url})
    await _submit(app, {**CHECKOUT, "form_id": "newsletter"})
    forms = (await app.profile("user_id", "m"))["forms"]
    assert {form_id: forms[form_id]["url"] for form_id in forms} == {
        "checkout": "https://shop.example/two",
        "newsletter": CHECKOUT["url"],
    }


async def test_forms_of_merged_profiles_are_united(app: App) -> None:
    await _submit(app, CHECKOUT)
    await _submit(app, {**CHECKOUT, "form_id": "search", "user_id": None, "device_id": "d"})
    await app.write({"user_id": "m", "device_id": "d"})
    assert (await app.profile("user_id", "m"))["forms"].keys() == {"checkout", "search"}


async def test_several_submissions_are_one_request(app: App) -> None:
    assert await _submit(app, CHECKOUT, {**CHECKOUT, "user_id": "n"}) == (204, "")
    assert await app.count("profiles") == 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"form_id": None}, "items[0].form_id is required"),
        ({"form_id": ""}, "items[0].form_id must be a string of 1 to 255"),
        ({"form_id": 5}, "items[0].form_id must be a string"),
        ({"url": None}, "items[0].url is required"),
        ({"url": "x" * 2049}, "items[0].url must be a string of 1 to 2048"),
        ({"user_id": None}, "items[0] needs at least one of"),
        ({"attributes": [{"name": ""}]}, "items[0].attributes[0].name must be"),
    ],
)
async def test_malformed_submission_names_the_field_and_changes_nothing(
    app: App, change: dict[str, Any], problem: str
) -> None:
    item = {name: value for name, value in {**CHECKOUT, **change}.items() if value is not None}
    status, text = await _submit(app, item)
    assert status == 400
    assert text.startswith(f"Bad Request: {problem}")
    assert await app.count("profiles") == 0


async def test_skipped_entries_are_told(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await app.write({"user_id": "m", "attributes": [{"name": "age", "value": 5}]})
    entries = [{"name": "age", "value": "old"}]
    status, body = await _submit(app, {**CHECKOUT, "attributes": entries})
    skip = {"item": 0, "entry": 0, "name": "age", "reason": "type_mismatch"}
    assert (status, body) == (200, {"skipped": [skip]})
    monkeypatch.setattr(decide, "MAX_FORMS_PER_PROFILE", 1)
    status, body = await _submit(app, {**CHECKOUT, "form_id": "one more"})
    assert body == {"skipped": [{"item": 0, "name": "form_id", "reason": "limit"}]}


async def test_limits_and_errors_are_those_of_attributes(app: App) -> None:
    item = {"website_id": app.app_id, "attributes": [], **CHECKOUT}
    unknown = {**item, "website_id": UNUSED_AUDIENCE}
    entries = [{"name": f"n{number}", "value": "v"} for number in range(6000)]
    for body, status, text in (
        ({**item, "attributes": None}, 400, "items[0].attributes is required"),
        ([item, {**item, "website_id": "x"}], 400, "items[1].website_id"),
        ([item, 5], 400, "items[1] must be a JSON object"),
        ([], 204, ""),
        (unknown, 403, ""),
        ([item] * 1001, 413, "1001 items"),
        ([{**item, "attributes": entries}] * 2, 413, "10000 attribute entries"),
    ):
        answer = await app.service.post("/data/tracker/forms/", data=json.dumps(body))
        assert (answer.status, text in await answer.text()) == (status, True), text
    assert await app.count("profiles") == 0


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "", "application/json"])
async def test_body_is_json_whatever_its_type(app: App, content_type: str) -> None:
    item = {"website_id": app.app_id, "attributes": [], **CHECKOUT}
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await app.service.post(
        "/audiences/tracker/forms/",
        data=json.dumps(item).encode(),
        headers=headers,
        skip_auto_headers=() if content_type else ("Content-Type",),
    )
    assert answer.status == 204
    assert await app.count("profiles") == 1


async def test_strict_submission_is_all_or_nothing(app: App) -> None:
    await app.write({"user_id": "m", "attributes": [{"name": "age", "value": 5}]})
    entries = [{"name": "age", "value": "old"}, {"name": "city", "value": "Rome"}]
    item = {"website_id": app.app_id, **CHECKOUT, "attributes": entries}
    answer = await app.service.post(
        "/data/tracker/forms/", json=item, headers={"Prefer": "handling=strict"}
    )
    assert answer.status == 400
    document = await app.profile("user_id", "m")
    assert document["attributes"] == {"age": 5}
    assert document["forms"] == {}


async def test_email_of_a_form_identifies_and_one_that_is_none_is_told(app: App) -> None:
    item = {**CHECKOUT, "user_id": None, "email": " M@Example.com "}
    assert await _submit(app, item) == (204, "")
    assert (await app.profile("email", "m@example.com"))["forms"].keys() == {"checkout"}
    status, body = await _submit(app, {**CHECKOUT, "email": "m@localhost"})
    assert (status, body["skipped"][0]["reason"]) == (200, "invalid")
