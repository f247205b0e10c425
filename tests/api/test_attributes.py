"""POST tracker/attributes/: what SDKs send byte for byte, every action, refusals, limits."""

import gzip
import io
import json
from typing import Any
from uuid import uuid4

import pytest

from audience.profile_changes import decide
from audience.profiles.profile import microseconds
from audience.server import clock
from tests.conftest import App, MakeApp, load_cases

VISITOR = "0123456789abcdef"
ANDROID = (
    '[{"device_id":"38400000-8cf0-11bd-b23e-10b96e40000d","user_id":"jbond","attributes":['
    '{"name":"color","value":"green"},{"name":"food","value":"pizza"}],'
    '"website_id":"01234567-89ab-cdef-0123-456789abcdef","email":"john@doe.com",'
    '"analytics_visitor_id":"0123456789abcdef"}]'
)
ANDROID_ANONYMOUS = (
    '[{"attributes":[{"name":"color","value":"green"},{"name":"food","value":"pizza"}],'
    '"website_id":"01234567-89ab-cdef-0123-456789abcdef","analytics_visitor_id":"0123456789abcdef"}]'
)
IOS = (
    '[{"attributes":[{"name":"food","value":"chips"}],"analytics_visitor_id":"0123456789abcdef",'
    '"website_id":"01234567-89ab-cdef-0123-456789abcdef","device_id":"7D3C\\/1","email":"a@b.co",'
    '"user_id":"m"}]'
)
ANDROID_HEADERS = {
    "Content-Type": "application/json",
    "charset": "utf-8",
    "User-Agent": "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A.230805.001)",
    "Accept-Encoding": "gzip",
}
IOS_HEADERS = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "App/1 CFNetwork/1"}


async def _post(app: App, body: bytes, **headers: str) -> tuple[int, str]:
    answer = await app.service.post(
        "/data/tracker/attributes/", data=io.BytesIO(body), headers=headers
    )
    return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("body", "size", "headers"),
    [
        pytest.param(ANDROID, 269, ANDROID_HEADERS, id="Android"),
        pytest.param(ANDROID_ANONYMOUS, 177, ANDROID_HEADERS, id="Android anonymous"),
        pytest.param(IOS, None, IOS_HEADERS, id="iOS"),
    ],
)
async def test_sdk_request_byte_for_byte(
    app: App, body: str, size: int | None, headers: dict[str, str]
) -> None:
    assert size is None or len(body) == size
    sent = body.replace("01234567-89ab-cdef-0123-456789abcdef", app.app_id).encode()
    assert await _post(app, sent, **headers) == (204, "")
    document = await app.profile("analytics_visitor_id", VISITOR)
    item = json.loads(sent)[0]
    assert document["attributes"] == {entry["name"]: entry["value"] for entry in item["attributes"]}
    for name in ("user_id", "email"):
        assert document.get(name) == item.get(name)
    assert document.get("device_ids", []) == ([item["device_id"]] if "device_id" in item else [])


async def _store(app: App, stored: Any) -> None:
    entry = {"name": "x", "value": stored}
    if stored is not None:
        assert await app.write({"user_id": "m", "attributes": [entry]}) == (204, "")


@pytest.mark.parametrize(("given", "expected"), load_cases("actions"))
async def test_action(app: App, given: dict[str, Any], expected: dict[str, Any]) -> None:
    await _store(app, given.get("stored"))
    entry = {"name": "x", **given["entry"]}
    status, text = await app.write({"user_id": "m", "attributes": [entry]})
    found = await app.profiles("user_id", "m")
    attributes = found[0]["attributes"] if found else {}
    unchanged = {} if given.get("stored") is None else {"x": given["stored"]}
    if expected.get("malformed"):
        assert (status, attributes) == (400, unchanged)
        assert text.startswith("Bad Request: items[0].attributes[0].")
    elif "skipped" in expected:
        skip = {"item": 0, "entry": 0, "name": "x", "reason": expected["skipped"]}
        assert (status, json.loads(text), attributes) == (200, {"skipped": [skip]}, unchanged)
    else:
        assert (status, text) == (204, "")
        if "value" in expected:
            assert attributes == {"x": expected["value"]}
        else:
            assert attributes == ({} if expected.get("removed") else unchanged)


async def test_entries_and_items_are_applied_in_order(app: App) -> None:
    add = {"name": "n", "action": "add", "value": 2}
    items = [
        {"user_id": "m", "attributes": [{"name": "n", "value": 1}, add, add]},
        {"user_id": "m", "attributes": [add, {"name": "l", "value": "a", "action": "list-add"}]},
        {"user_id": "m", "attributes": [{"name": "l", "value": "b", "action": "list-add"}]},
    ]
    assert await app.write(*items) == (204, "")
    assert (await app.profile("user_id", "m"))["attributes"] == {"n": 7, "l": ["a", "b"]}


async def test_type_is_the_same_for_every_profile_of_the_app(app: App) -> None:
    await app.write({"user_id": "one", "attributes": [{"name": "age", "value": 5}]})
    status, text = await app.write(
        {"user_id": "two", "attributes": [{"name": "age", "value": "old"}]}
    )
    assert status == 200
    assert json.loads(text)["skipped"][0]["reason"] == "type_mismatch"
    await app.write({"user_id": "two", "attributes": [{"name": "age", "value": "6"}]})
    assert (await app.profile("user_id", "two"))["attributes"] == {"age": 6}


async def test_removed_attribute_keeps_its_type(app: App) -> None:
    await app.write({"user_id": "m", "attributes": [{"name": "x", "value": 5}]})
    await app.write({"user_id": "m", "attributes": [{"name": "x", "value": []}]})
    status, _ = await app.write({"user_id": "m", "attributes": [{"name": "x", "value": ["a"]}]})
    assert status == 200
    assert (await app.profile("user_id", "m"))["attributes"] == {}


async def test_skipped_entry_leaves_the_rest_applied(app: App) -> None:
    await _store(app, 5)
    bad, good = {"name": "x", "value": "five"}, {"name": "color", "value": "green"}
    status, text = await app.write(
        {"user_id": "other", "attributes": [good]}, {"user_id": "m", "attributes": [bad, good]}
    )
    assert status == 200
    assert json.loads(text) == {
        "skipped": [{"item": 1, "entry": 0, "name": "x", "reason": "type_mismatch"}]
    }
    assert (await app.profile("user_id", "m"))["attributes"] == {"x": 5, "color": "green"}
    assert (await app.profile("user_id", "other"))["attributes"] == {"color": "green"}


@pytest.mark.parametrize("prefer", ["handling=strict", "wait=5, Handling = strict;x=1"])
async def test_strict_request_applies_nothing_when_an_entry_is_skipped(
    app: App, prefer: str
) -> None:
    await _store(app, 5)
    bad, good = {"name": "x", "value": "five"}, {"name": "color", "value": "green"}
    items = [
        {"user_id": "new", "attributes": [good]},
        {"user_id": "m", "analytics_visitor_id": VISITOR, "attributes": [bad, good]},
    ]
    status, text = await app.write(*items, Prefer=prefer)
    assert status == 400
    assert json.loads(text) == {
        "skipped": [{"item": 1, "entry": 0, "name": "x", "reason": "type_mismatch"}]
    }
    assert (await app.profile("user_id", "m"))["attributes"] == {"x": 5}
    assert await app.profiles("user_id", "new") == []
    assert await app.profiles("analytics_visitor_id", VISITOR) == []
    assert await app.count("attribute_definitions") == 1


async def test_strict_request_is_refused_for_an_email_that_is_none(app: App) -> None:
    item = {"user_id": "m", "email": "nobody", "attributes": [{"name": "color", "value": "red"}]}
    status, text = await app.write(item, Prefer="handling=strict")
    assert status == 400
    assert json.loads(text) == {"skipped": [{"item": 0, "name": "email", "reason": "invalid"}]}
    assert await app.profiles("user_id", "m") == []


async def test_strict_request_without_skips_is_applied(app: App) -> None:
    item = {"user_id": "m", "attributes": [{"name": "color", "value": "green"}]}
    assert await app.write(item, Prefer="handling=strict") == (204, "")


async def test_item_without_attributes_attaches_its_identifiers(app: App) -> None:
    assert await app.write({"user_id": "m", "analytics_visitor_id": VISITOR}) == (204, "")
    document = await app.profile("analytics_visitor_id", VISITOR)
    assert (document["user_id"], document["attributes"]) == ("m", {})


async def test_lone_object_is_one_item_and_an_empty_array_none(app: App) -> None:
    body = json.dumps({"website_id": app.app_id, "user_id": "m", "attributes": []}).encode()
    assert await _post(app, body) == (204, "")
    assert await _post(app, b"[]") == (204, "")
    assert await app.count("profiles") == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"website_id": None}, "items[0].website_id is required"),
        ({"website_id": "x"}, "items[0].website_id must be a UUID"),
        ({"website_id": 5}, "items[0].website_id must be a UUID"),
        ({"user_id": None}, "items[0] needs at least one of user_id, email, device_id"),
        ({"user_id": ""}, "items[0] needs at least one of"),
        ({"user_id": "  "}, "items[0] needs at least one of"),
        ({"user_id": 7}, "items[0].user_id must be a string"),
        ({"user_id": "x" * 513}, "items[0].user_id must have at most 512 characters"),
        ({"user_id": "a\x00b"}, "items[0].user_id must have at most 512 characters and no NUL"),
        ({"user_id": None, "analytics_visitor_id": "xyz"}, "items[0].analytics_visitor_id must be"),
        ({"user_id": None, "email": "nobody"}, "items[0].email must be a valid e-mail"),
        ({"attributes": None}, "items[0].attributes is required"),
        ({"attributes": {}}, "items[0].attributes must be an array"),
        ({"attributes": ["x"]}, "items[0].attributes[0] must be an object"),
        ({"attributes": [{"value": 1}]}, "items[0].attributes[0].name is required"),
        ({"attributes": [{"name": "", "value": 1}]}, "items[0].attributes[0].name must be"),
        ({"attributes": [{"name": 5, "value": 1}]}, "items[0].attributes[0].name must be"),
        ({"attributes": [{"name": "x" * 256, "value": 1}]}, "items[0].attributes[0].name must be"),
        ({"attributes": [{"name": "x"}]}, "items[0].attributes[0].value is required"),
    ],
)
async def test_malformed_item_names_the_field_and_changes_nothing(
    app: App, change: dict[str, Any], problem: str
) -> None:
    good = {"user_id": "good", "attributes": [{"name": "color", "value": "green"}]}
    bad = {"website_id": app.app_id, "user_id": "m", "attributes": [], **change}
    bad = {name: value for name, value in bad.items() if value is not None}
    body = [bad, {"website_id": app.app_id, **good}]
    answer = await app.service.post("/audiences/tracker/attributes/", json=body)
    assert answer.status == 400
    assert answer.content_type == "text/plain"
    assert (await answer.text()).startswith(f"Bad Request: {problem}")
    assert await app.count("profiles") == 0


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the body is empty"),
        (b"not json", "the body is not valid JSON (line 1, column 1)"),
        (b'"text"', "the body must be a JSON array of items"),
        (b"[1]", "items[0] must be a JSON object"),
        (b'[{"a": "\\ud800"}]', "the body is not valid JSON"),
        (b'[{"a": NaN}]', "the body is not valid JSON"),
        (b'[{"a": 1e999}]', "the body is not valid JSON"),
        (b"\xff\xfe[]", "the body is not valid JSON"),
        (b"[" * 100_000, "the body is not valid JSON"),
    ],
)
async def test_malformed_body_is_refused(app: App, body: bytes, problem: str) -> None:
    status, text = await _post(app, body)
    assert status == 400
    assert text.startswith(f"Bad Request: {problem}")


async def test_unusable_identifier_beside_another_is_ignored(app: App) -> None:
    assert await app.write({"user_id": "m", "analytics_visitor_id": "not hex"}) == (204, "")
    status, text = await app.write({"user_id": "m", "email": "nobody"})
    assert status == 200
    assert json.loads(text) == {"skipped": [{"item": 0, "name": "email", "reason": "invalid"}]}
    document = await app.profile("user_id", "m")
    assert not {"email", "analytics_visitor_id"} & document.keys()


@pytest.mark.parametrize(
    "value",
    [
        "null",
        " Undefined ",
        '"guest"',
        "0",
        "-1",
        "[object Object]",
        "00000000-0000-0000-0000-000000000000",
    ],
)
async def test_placeholder_never_joins_or_creates(app: App, value: str) -> None:
    status, text = await app.write({"device_id": value})
    assert status == 400
    assert text.startswith("Bad Request: items[0] has no usable identifier")
    await app.write({"user_id": "one", "device_id": value})
    await app.write({"user_id": "two", "device_id": value})
    assert await app.count("profiles") == 2
    assert await app.profiles("device_id", value) == []


async def test_app_may_block_more_values(app: App) -> None:
    await app.rows.execute(
        "UPDATE apps SET blocked_identifier_values = '{Kiosk}' WHERE app_id = $1", app.app_id
    )
    status, _ = await app.write({"user_id": "kiosk"})
    assert status == 400
    assert await app.count("profiles") == 0


async def test_email_matches_in_any_case_and_is_shown_as_given(app: App) -> None:
    await app.write({"email": " James.Bond@MI6.gov.uk ", "attributes": []})
    await app.write({"email": "james.bond@mi6.gov.uk", "user_id": "jbond", "attributes": []})
    document = await app.profile("email", "JAMES.BOND@mi6.GOV.uk")
    assert document["user_id"] == "jbond"
    await app.write({"email": "James.Bond@mi6.gov.uk", "attributes": []})
    assert (await app.profile("user_id", "jbond"))["email"] == "James.Bond@mi6.gov.uk"


async def test_user_id_is_compared_byte_for_byte(app: App) -> None:
    await app.write({"user_id": "Bond"}, {"user_id": "bond"}, {"user_id": "bond "})
    assert await app.count("profiles") == 3


async def test_unknown_or_switched_off_app_is_403(app: App) -> None:
    body = [{"website_id": str(uuid4()), "user_id": "m", "attributes": []}]
    answer = await app.service.post("/audiences/tracker/attributes/", json=body)
    assert (answer.status, answer.content_type) == (403, "text/plain")
    assert (await answer.text()).startswith("Forbidden")
    await app.rows.execute(
        "UPDATE apps SET is_audience_manager_enabled = false WHERE app_id = $1", app.app_id
    )
    assert (await app.write({"user_id": "m"}))[0] == 403


async def test_items_of_an_unknown_app_refuse_the_whole_request(app: App) -> None:
    status, _ = await app.write({"user_id": "m"}, {"user_id": "x", "website_id": str(uuid4())})
    assert status == 403
    assert await app.count("profiles") == 0


async def test_items_of_two_apps_of_one_organization_are_one_request(make_app: MakeApp) -> None:
    one, other = await make_app(), await make_app()
    status, _ = await one.write({"user_id": "m"}, {"user_id": "m", "website_id": other.app_id})
    assert status == 204
    assert (await one.count("profiles"), await other.count("profiles")) == (1, 1)


async def test_items_of_two_organizations_are_refused(make_app: MakeApp) -> None:
    one, other = await make_app(), await make_app("other")
    status, text = await one.write({"user_id": "m"}, {"user_id": "m", "website_id": other.app_id})
    assert status == 400
    assert "one organization" in text
    assert (await one.count("profiles"), await other.count("profiles")) == (0, 0)


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/json; charset=utf-8", "image/png"]
)
async def test_body_is_json_whatever_the_content_type(app: App, content_type: str | None) -> None:
    body = json.dumps([{"website_id": app.app_id, "user_id": "m", "attributes": []}]).encode()
    answer = await app.service.post(
        "/audiences/tracker/attributes/",
        data=body,
        headers={"Content-Type": content_type} if content_type else {},
        skip_auto_headers=() if content_type else ("Content-Type",),
    )
    assert answer.status == 204


async def test_gzip_body_is_inflated(app: App) -> None:
    body = json.dumps([{"website_id": app.app_id, "user_id": "m", "attributes": []}]).encode()
    assert await _post(app, gzip.compress(body), **{"Content-Encoding": "gzip"}) == (204, "")
    assert await app.count("profiles") == 1


async def test_broken_gzip_body_is_refused(app: App) -> None:
    status, text = await _post(app, b"no gzip at all", **{"Content-Encoding": "gzip"})
    assert (status, text.startswith("Bad Request")) == (400, True)


async def test_inflated_size_is_bounded(app: App) -> None:
    bomb = gzip.compress(b" " * (300 * 1024 * 1024))
    status, text = await _post(app, bomb, **{"Content-Encoding": "gzip"})
    assert status == 413
    assert text.startswith("Payload Too Large: the body may have at most 1 MiB")


async def test_body_of_more_than_a_mebibyte_is_413(app: App) -> None:
    padding = " " * (1024 * 1024)
    status, text = await _post(app, f"[{padding}]".encode())
    assert status == 413
    assert text.startswith("Payload Too Large")
    body = json.dumps([{"website_id": app.app_id, "user_id": "m", "attributes": []}])
    fitting = body + " " * (1024 * 1024 - len(body))
    assert await _post(app, fitting.encode()) == (204, "")


async def test_a_thousand_items_are_accepted_and_one_more_is_413(app: App) -> None:
    items = [{"user_id": f"u{number}"} for number in range(1000)]
    assert await app.write(*items) == (204, "")
    assert await app.count("profiles") == 1000
    status, text = await app.write(*items, {"user_id": "one more"})
    assert status == 413
    assert "1001 items" in text


async def test_profile_and_app_have_bounded_numbers_of_attributes(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "MAX_ATTRIBUTES_PER_PROFILE", 2)
    names = [{"name": name, "value": 1} for name in "abc"]
    status, text = await app.write({"user_id": "m", "attributes": names})
    assert status == 200
    assert json.loads(text)["skipped"] == [{"item": 0, "entry": 2, "name": "c", "reason": "limit"}]
    monkeypatch.setattr(decide, "MAX_ATTRIBUTE_DEFINITIONS_PER_APP", 2)
    status, text = await app.write({"user_id": "n", "attributes": names[2:]})
    assert (status, json.loads(text)["skipped"][0]["reason"]) == (200, "limit")
    assert await app.write({"user_id": "n", "attributes": names[:2]}) == (204, "")


@pytest.mark.parametrize("letter", ["n", "\u0436"])
@pytest.mark.parametrize("parts", [2, 3])
async def test_a_profile_past_a_mebibyte_of_attributes_grows_no_further(
    app: App, letter: str, parts: int
) -> None:
    # Characters are counted, however many bytes they take: 0.7 and 1.06 million.
    for part in range(parts):
        names = [f"{number:03}{'_' * 60}" for number in range(part * 330, part * 330 + 330)]
        attributes = [{"name": name, "value": letter * 1000} for name in names]
        item = {"website_id": app.app_id, "user_id": "m", "attributes": attributes}
        # With escapes it would be too long for a body.
        body = json.dumps(item, ensure_ascii=False).encode()
        answer = await app.service.post("/audiences/tracker/attributes/", data=body)
        assert answer.status == 204
    change = {"attributes": [{"name": names[0], "value": "new"}]}
    status, text = await app.write({"user_id": "m", **change}, {"user_id": "n", **change})
    is_full = parts == 3
    skipped = [{"item": 0, "entry": 0, "name": names[0], "reason": "limit"}]
    assert (status, json.loads(text or "{}")) == (
        (200, {"skipped": skipped}) if is_full else (204, {})
    )
    stored = (await app.profile("user_id", "m"))["attributes"][names[0]]
    assert stored == (letter * 1000 if is_full else "new")
    assert (await app.profile("user_id", "n"))["attributes"] == {names[0]: "new"}


async def test_write_times_are_stored_for_every_attribute(app: App) -> None:
    before = microseconds(clock.now())
    await app.write({"user_id": "m", "attributes": [{"name": "color", "value": "green"}]})
    stored = await app.rows.fetchval("SELECT attribute_written_at::text FROM profiles")
    written = json.loads(stored)
    assert written.keys() == {"color"}
    assert before <= written["color"] <= microseconds(clock.now())


async def test_document_has_the_documented_members(app: App) -> None:
    await app.write({"user_id": "m", "attributes": [{"name": "color", "value": "green"}]})
    document = await app.profile("user_id", "m")
    assert document.keys() == {
        "id",
        "website_id",
        "user_id",
        "attributes",
        "forms",
        "analytics",
        "visits",
        "goals",
        "ecommerce",
        "generic",
        "updated_at",
        "attributes_count",
    }
    assert document["website_id"] == app.app_id
    assert document["attributes_count"] == 1
    assert document["updated_at"].endswith("Z")
