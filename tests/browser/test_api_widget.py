"""`ppms.am.api` on a page of another origin, in Chromium: every command and every error code."""

from typing import Any

import pytest
from playwright.async_api import Page

from tests.api.audience_api import Audiences, leaf
from tests.browser.conftest import Site, Watched
from tests.browser.faulty_instance import FaultyInstance
from tests.browser.snippets import create, html, snippet, visitor_cookie
from tests.browser.waiting import until
from tests.conftest import UNUSED_AUDIENCE, App, Authorized
from tests.service_process import ServiceProcess, free_port

VISITOR = "0123456789abcdef"

#: Runs one command; resolves to ["fulfilled", arguments] or ["rejected", arguments].
_RUN = """args => new Promise(done => {
    const tell = how => function () { done([how, [...arguments]]) };
    const call = args.slice();
    if (call[0] === "updateAttributes") {
        const callbacks = {onFulfilled: tell("fulfilled"), onRejected: tell("rejected")};
        call[2] = Object.assign({}, call[2], callbacks);
    } else {
        call.push(tell("fulfilled"), tell("rejected"));
    }
    const returned = ppms.am.api.apply(null, call);
    if (returned !== undefined) done(["returned", returned]);
})"""


async def run(page: Page, *args: Any) -> Any:
    """What a command calls back."""
    return await page.evaluate(_RUN, list(args))


async def open_page(
    page: Page,
    site: Site,
    instance: ServiceProcess,
    app_id: str,
    domain: str = "",
    visitor: str = VISITOR,
) -> None:
    """A page that has created the API for an app at the instance, or at another domain."""
    domain = domain or f"127.0.0.1:{instance.port}"
    command = f'ppms.am.api("create", "{app_id}", "{domain}");'
    cookie = visitor_cookie(app_id, visitor) if visitor else ""
    await page.goto(site.put(html(cookie, snippet(instance, "api", command))))


async def test_published_snippet_works(
    app: App, instance: ServiceProcess, site: Site, watched: Watched
) -> None:
    await app.allow("color")
    commands = (
        create(instance, "api", app.app_id)
        + 'ppms.am.api("updateAttributes", {color: "black", age: 7});'
        + 'ppms.am.api("getAttributes", function (all) { window.result = all; });'
    )
    cookie = visitor_cookie(app.app_id, VISITOR)
    await watched.page.goto(site.put(html(cookie, snippet(instance, "api", commands))))
    await until(watched.page, "window.result")
    result: Any = await watched.page.evaluate("result")
    assert result == {"analytics": {}, "attributes": {"color": "black"}}
    document = await app.profile("analytics_visitor_id", VISITOR)
    assert document["attributes"] == {"color": "black", "age": 7}
    assert (watched.errors, watched.console) == ([], [])


async def test_all_forms_of_an_update_are_stored(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    await open_page(page, site, instance, app.app_id)
    before = {"brands": ["Alfa Romeo"], "missions": ["Casino Royale", "Skyfall"], "kills": 4}
    assert await run(page, "updateAttributes", before) == ["fulfilled", []]
    update = {
        "favourite_color": "black",
        "code_number": 7,
        "aliases": ["Peter", "Conrad"],
        "kills": {"action": "add", "value": 3},
        "visits": {"action": "add"},
        "brands": {"action": "list-add", "value": "Land Rover"},
        "missions": {"action": "list-remove", "value": "Casino Royale"},
        "drink": {"action": "set", "value": "Martini"},
        "ceiling": {"value": -1.5},
    }
    options = {"user_id": "jbond", "device_id": "1234567890ABCDEF", "email": "j.bond@mi6.gov.uk"}
    assert await run(page, "updateAttributes", update, options) == ["fulfilled", []]
    document = await app.profile("user_id", "jbond")
    assert document["attributes"] == {
        "favourite_color": "black",
        "code_number": 7,
        "aliases": ["Peter", "Conrad"],
        "kills": 7,
        "visits": 1,
        "brands": ["Alfa Romeo", "Land Rover"],
        "missions": ["Skyfall"],
        "drink": "Martini",
        "ceiling": -1.5,
    }
    assert document["email"] == "j.bond@mi6.gov.uk"
    assert document["device_ids"] == ["1234567890ABCDEF"]
    assert document["analytics_visitor_id"] == VISITOR


async def test_audiences_are_read(
    app: App, authorized: Authorized, instance: ServiceProcess, site: Site, page: Page
) -> None:
    audience_id = await Audiences(app, authorized).create(leaf("eq", "yes", name="member"))
    await open_page(page, site, instance, app.app_id)
    assert await run(page, "getAudiences") == ["fulfilled", [[]]]
    assert await run(page, "updateAttributes", {"member": "yes"}) == ["fulfilled", []]
    assert await run(page, "getAudiences") == ["fulfilled", [[audience_id]]]
    assert await run(page, "checkAudience", audience_id) == ["fulfilled", [True]]
    assert await run(page, "checkAudience", UNUSED_AUDIENCE) == ["fulfilled", [False]]


async def test_reads_see_the_writes_before_them(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    await app.allow("n")
    await open_page(page, site, instance, app.app_id)
    seen = await page.evaluate(
        """() => new Promise(done => {
            const seen = [];
            for (let i = 0; i < 20; i++) {
                ppms.am.api("updateAttributes", {n: {action: "add"}});
                const see = all => seen.push(all.attributes.n) === 20 && done(seen);
                ppms.am.api("getAttributes", see);
            }
        })"""
    )
    assert seen == list(range(1, 21))


async def test_whitelisted_attributes_of_both_sources_are_grouped(
    instance: ServiceProcess, site: Site, page: Page, faulty: FaultyInstance
) -> None:
    faulty.text = (
        '[{"name":"country","value":"us","field_type":"analytics"},'
        '{"name":"age","value":32,"field_type":"attributes"},'
        '{"name":"brands","value":["a"],"field_type":"attributes"}]'
    )
    await open_page(page, site, instance, "app 1", faulty.domain)
    expected = {"analytics": {"country": "us"}, "attributes": {"age": 32, "brands": ["a"]}}
    assert await run(page, "getAttributes") == ["fulfilled", [expected]]
    path = f"/audiences/public/api/profiles/{VISITOR}/attributes/?website_id=app%201"
    assert [request[:2] for request in faulty.requests] == [("GET", path)]


async def test_requests_need_no_preflight_and_carry_no_credentials(
    instance: ServiceProcess, site: Site, page: Page, faulty: FaultyInstance
) -> None:
    await page.context.add_cookies(
        [{"name": "session", "value": "x", "url": f"http://{faulty.domain}"}]
    )
    await open_page(page, site, instance, UNUSED_AUDIENCE, faulty.domain)
    await run(page, "updateAttributes", {"a": "b"})
    await run(page, "getAudiences")
    assert [method for method, *_ in faulty.requests] == ["POST", "GET"]
    for *_, headers in faulty.requests:
        assert "Cookie" not in headers
    assert faulty.requests[0][3]["Content-Type"].startswith("text/plain")


READS: tuple[tuple[Any, ...], ...] = (
    ("getAudiences",),
    ("checkAudience", UNUSED_AUDIENCE),
    ("getAttributes",),
)
ALL = (*READS, ("updateAttributes", {"a": "b"}))


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (400, "Bad Request", "bad_request"),
        (413, "Payload Too Large", "bad_request"),
        (403, "Forbidden", "forbidden"),
        (404, "Profile not found", "not_found"),
        (401, "no", "server_error"),
        (429, "slower", "server_error"),
        (500, "broken", "server_error"),
        (503, "overload", "server_error"),
    ],
)
async def test_refusals_have_their_codes(
    instance: ServiceProcess,
    site: Site,
    page: Page,
    faulty: FaultyInstance,
    status: int,
    text: str,
    code: str,
) -> None:
    faulty.status, faulty.text = status, text
    await open_page(page, site, instance, UNUSED_AUDIENCE, faulty.domain)
    for command in ALL:
        assert await run(page, *command) == ["rejected", [code]], command


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "null",
        "5",
        '{"result": "true"}',
        '{"result": null}',
        '[{"name": "a", "value": 1}]',
    ],
)
async def test_answers_that_make_no_sense_are_server_errors(
    instance: ServiceProcess, site: Site, page: Page, faulty: FaultyInstance, text: str
) -> None:
    faulty.text = text
    await open_page(page, site, instance, UNUSED_AUDIENCE, faulty.domain)
    commands = READS[1:] if text.startswith("[") else READS
    for command in commands:
        assert await run(page, *command) == ["rejected", ["server_error"]], command


async def test_unreachable_instance_is_a_server_error(
    instance: ServiceProcess, site: Site, page: Page
) -> None:
    await open_page(page, site, instance, UNUSED_AUDIENCE, f"127.0.0.1:{free_port()}")
    for command in ALL:
        assert await run(page, *command) == ["rejected", ["server_error"]], command


async def test_silent_instance_is_a_server_error_and_the_queue_goes_on(
    instance: ServiceProcess, site: Site, page: Page, faulty: FaultyInstance
) -> None:
    await open_page(page, site, instance, UNUSED_AUDIENCE, faulty.domain)
    faulty.status = None
    assert await run(page, "getAudiences") == ["rejected", ["server_error"]]
    faulty.status, faulty.text = 200, "[]"
    assert await run(page, "getAudiences") == ["fulfilled", [[]]]


async def test_stopped_page_does_not_stop_the_queue(
    instance: ServiceProcess, site: Site, page: Page, faulty: FaultyInstance
) -> None:
    await open_page(page, site, instance, UNUSED_AUDIENCE, faulty.domain)
    await until(page, "ppms.am.api.q && !ppms.am.api.q.length && ppms.am.api.isLoaded")
    faulty.status = None
    await page.evaluate('ppms.am.api("getAudiences", null, code => { window.code = code })')
    await page.evaluate("window.stop()")
    await until(page, "window.code === 'server_error'")
    faulty.status, faulty.text = 200, "[]"
    assert await run(page, "getAudiences") == ["fulfilled", [[]]]


async def test_service_refuses_with_the_same_codes(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    await open_page(page, site, instance, app.app_id)
    assert await run(page, "getAttributes") == ["rejected", ["not_found"]]
    assert await run(page, "checkAudience", "no uuid") == ["rejected", ["bad_request"]]
    assert await run(page, "updateAttributes", {"": "nameless"}) == ["rejected", ["bad_request"]]
    await open_page(page, site, instance, UNUSED_AUDIENCE)
    for command in READS:
        assert await run(page, *command) == ["rejected", ["forbidden"]], command
    assert await run(page, "updateAttributes", {"a": "b"}) == ["rejected", ["forbidden"]]


async def test_entry_skipped_by_the_service_is_a_bad_request(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    await open_page(page, site, instance, app.app_id)
    assert await run(page, "updateAttributes", {"age": 5}) == ["fulfilled", []]
    update = {"age": "old", "color": "black"}
    assert await run(page, "updateAttributes", update) == ["rejected", ["bad_request"]]
    document = await app.profile("analytics_visitor_id", VISITOR)
    assert document["attributes"] == {"age": 5, "color": "black"}


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("", ["fulfilled", []]),
        ('{"skipped": [{"item": 0, "entry": 0}]}', ["rejected", ["bad_request"]]),
        ("<!DOCTYPE html><title>Sign in</title>", ["rejected", ["server_error"]]),
        ("OK", ["rejected", ["server_error"]]),
        ('{"skipped": [{"item": 0,', ["rejected", ["server_error"]]),
        ("null", ["rejected", ["server_error"]]),
        ('{"status": "fine"}', ["rejected", ["server_error"]]),
    ],
)
async def test_update_answered_by_somebody_else_is_a_server_error(
    instance: ServiceProcess,
    site: Site,
    page: Page,
    faulty: FaultyInstance,
    text: str,
    outcome: list[Any],
) -> None:
    faulty.text = text
    await open_page(page, site, instance, UNUSED_AUDIENCE, faulty.domain)
    assert await run(page, "updateAttributes", {"a": "b"}) == outcome


async def test_nobody_is_identified_without_cookie_and_identifiers(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    await open_page(page, site, instance, app.app_id, visitor="")
    for command in ALL:
        assert await run(page, *command) == ["rejected", ["not_identified"]], command
    blank = {"user_id": "", "email": None, "device_id": False}
    assert await run(page, "updateAttributes", {"a": "b"}, blank) == [
        "rejected",
        ["not_identified"],
    ]
    assert await run(page, "updateAttributes", {"a": "b"}, {"user_id": 7}) == ["fulfilled", []]
    assert (await app.profile("user_id", "7"))["attributes"] == {"a": "b"}


@pytest.mark.parametrize(
    "command",
    [
        '"checkAudience", undefined, N, R',
        '"checkAudience", 5, N, R',
        '"updateAttributes", undefined, {onRejected: R}',
        '"updateAttributes", null, {onRejected: R}',
        '"updateAttributes", "a", {onRejected: R}',
        '"updateAttributes", ["a"], {onRejected: R}',
        '"updateAttributes", {a: null}, {onRejected: R}',
        '"updateAttributes", {a: undefined}, {onRejected: R}',
        '"updateAttributes", {a: true}, {onRejected: R}',
        '"updateAttributes", {a: N}, {onRejected: R}',
        '"updateAttributes", {a: {action: "set"}}, {onRejected: R}',
        '"updateAttributes", {a: {action: "add", value: null}}, {onRejected: R}',
        '"updateAttributes", {a: "b", c: {}}, {onRejected: R}',
    ],
)
async def test_wrong_arguments_send_nothing(
    instance: ServiceProcess, site: Site, page: Page, faulty: FaultyInstance, command: str
) -> None:
    await open_page(page, site, instance, UNUSED_AUDIENCE, faulty.domain)
    code = await page.evaluate(
        f"() => new Promise(R => {{ const N = () => 0; ppms.am.api({command}) }})"
    )
    assert code == "invalid_arguments"
    assert faulty.requests == []


async def test_callbacks_may_be_missing_and_errors_are_on_the_console(
    instance: ServiceProcess, site: Site, watched: Watched, faulty: FaultyInstance
) -> None:
    faulty.status = 403
    await open_page(watched.page, site, instance, UNUSED_AUDIENCE, faulty.domain)
    await watched.page.evaluate(
        """() => {
            ppms.am.api("getAudiences");
            ppms.am.api("checkAudience", "x", "no function", {});
            ppms.am.api("getAttributes", null, null);
            ppms.am.api("updateAttributes", {a: "b"});
            ppms.am.api("updateAttributes", {a: "b"}, null);
            ppms.am.api("updateAttributes", {a: "b"}, {onFulfilled: 1, onRejected: "x"});
            ppms.am.api("nonsense"); ppms.am.api("toString"); ppms.am.api();
            ppms.am.api("create"); ppms.am.api("create", "app");
        }"""
    )
    assert await run(watched.page, "getAudiences") == ["rejected", ["forbidden"]]
    ours = sorted(line for line in watched.console if line.startswith("ppms.am.api"))
    assert ours == sorted(
        [
            "ppms.am.api getAudiences: forbidden",
            "ppms.am.api checkAudience: forbidden",
            "ppms.am.api getAttributes: forbidden",
            *["ppms.am.api updateAttributes: forbidden"] * 3,
            "ppms.am.api nonsense: invalid_arguments",
            "ppms.am.api toString: invalid_arguments",
            "ppms.am.api undefined: invalid_arguments",
            *["ppms.am.api create: invalid_arguments"] * 2,
        ]
    )
    assert watched.errors == []
