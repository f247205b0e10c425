"""The command queue of `ppms.am.api`, as the snippets and the pages around them use it."""

from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Site, Watched
from tests.browser.faulty_instance import FaultyInstance
from tests.browser.snippets import create, html, snippet, visitor_cookie
from tests.browser.test_api_widget import VISITOR, open_page, run
from tests.browser.waiting import until
from tests.conftest import UNUSED_AUDIENCE, App, MakeApp
from tests.service_process import ServiceProcess

_LOADED = "window.ppms && ppms.am && ppms.am.api && ppms.am.api.isLoaded"


async def _count(app: App, visitor: str = VISITOR) -> Any:
    return (await app.profile("analytics_visitor_id", visitor))["attributes"]["n"]


async def test_calls_before_the_load_run_in_order(
    instance: ServiceProcess, site: Site, page: Page, faulty: FaultyInstance
) -> None:
    faulty.text = "[]"
    calls = """
        window.types = []; window.order = [];
        for (var i = 0; i < 5; i++) (function (i) {
            function note() { order.push(i) }
            types.push(typeof ppms.am.api("updateAttributes", {n: i}, {onRejected: note}));
        })(i);
        types.push({}.toString.call(ppms.am.api.q[0]), typeof ppms.am.api("getAudiences"));"""
    command = f'ppms.am.api("create", "{UNUSED_AUDIENCE}", "{faulty.domain}");'
    cookie = visitor_cookie(UNUSED_AUDIENCE, VISITOR)
    await page.goto(site.put(html(cookie, snippet(instance, "api", command + calls))))
    await until(page, "order.length === 5")
    assert await page.evaluate("order") == [0, 1, 2, 3, 4]
    assert await page.evaluate("types") == ["undefined"] * 5 + ["[object Arguments]", "undefined"]
    values = [f'"value":{number}}}' for number in range(5)]
    assert [
        value in request[2] for value, request in zip(values, faulty.requests, strict=False)
    ] == [True] * 5


async def test_commands_before_create_wait_for_it(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    early = 'ppms.am.api("updateAttributes", {n: {action: "add"}});'
    cookie = visitor_cookie(app.app_id, VISITOR)
    await page.goto(site.put(html(cookie, snippet(instance, "api", early))))
    await until(page, _LOADED)
    assert await app.count("profiles") == 0
    await page.evaluate(create(instance, "api", app.app_id))
    await run(page, "getAudiences")
    assert await _count(app) == 1


async def test_stub_kept_from_before_the_load_runs_each_call_once(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    keep = "window.kept = ppms.am.api; window.queue = kept.q;"
    commands = create(instance, "api", app.app_id) + keep
    cookie = visitor_cookie(app.app_id, VISITOR)
    await page.goto(site.put(html(cookie, snippet(instance, "api", commands))))
    await until(page, _LOADED)
    assert await page.evaluate("kept !== ppms.am.api")
    await page.evaluate('kept("updateAttributes", {n: {action: "add"}})')
    await run(page, "getAudiences")
    assert await _count(app) == 1


@pytest.mark.parametrize("old", [False, True])
async def test_two_snippets_run_each_command_once(
    app: App, instance: ServiceProcess, site: Site, page: Page, *, old: bool
) -> None:
    commands = (
        create(instance, "api", app.app_id)
        + 'ppms.am.api("updateAttributes", {n: {action: "add"}});'
    )
    element = snippet(instance, "api", commands, old=old)
    loads: list[str] = []
    page.on("requestfinished", lambda request: loads.append(request.url))
    await page.goto(site.put(html(visitor_cookie(app.app_id, VISITOR), element, element)))
    await page.wait_for_load_state("load")
    await run(page, "getAudiences")
    assert await _count(app) == 2
    assert await page.locator("script[src]").count() == (2 if old else 1)
    await run(page, "updateAttributes", {"n": {"action": "add"}})
    assert await _count(app) == 3


async def test_second_execution_of_the_file_changes_nothing(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    await open_page(page, site, instance, app.app_id)
    await until(page, _LOADED)
    await page.evaluate("window.first = ppms.am.api; ppms.am.other = first.q")
    await page.add_script_tag(
        url=f"{instance.url}/audiences/static/widget/audience-manager.api.min.js"
    )
    assert await page.evaluate("ppms.am.api === first && ppms.am.other === first.q")
    await run(page, "updateAttributes", {"n": {"action": "add"}})
    assert await _count(app) == 1


async def test_other_members_of_the_globals_stay_and_none_are_added(
    instance: ServiceProcess, site: Site, page: Page
) -> None:
    before = (
        "<script>window.ppms = {tm: 1, am: {mine: 2}}; window.names = Object.keys(window)</script>"
    )
    parts = (snippet(instance, "api"), snippet(instance, "form"))
    await page.goto(site.put(html(before, *parts)))
    await until(page, f"{_LOADED} && ppms.am.form.isLoaded")
    assert await page.evaluate("[ppms.tm, ppms.am.mine]") == [1, 2]
    assert await page.evaluate("Object.keys(window).filter(name => !names.includes(name))") == [
        "names"
    ]


async def test_create_switches_between_apps(
    make_app: MakeApp, instance: ServiceProcess, site: Site, page: Page
) -> None:
    one, two = await make_app(), await make_app()
    add = 'ppms.am.api("updateAttributes", {n: {action: "add"}}, {user_id: "m"});'
    commands = "".join(
        create(instance, "api", app.app_id) + add for app in (one, two, two, one, one)
    )
    await page.goto(site.put(html(snippet(instance, "api", commands))))
    await until(page, _LOADED)
    for app in (two, one):
        await page.evaluate(create(instance, "api", app.app_id))
        await run(page, "updateAttributes", {"done": "yes"}, {"user_id": "m"})
    assert (await one.profile("user_id", "m"))["attributes"]["n"] == 3
    assert (await two.profile("user_id", "m"))["attributes"]["n"] == 2


async def test_slow_instance_does_not_hold_up_another(
    app: App, instance: ServiceProcess, site: Site, page: Page, faulty: FaultyInstance
) -> None:
    faulty.status = None
    await open_page(page, site, instance, app.app_id, faulty.domain)
    await page.evaluate('ppms.am.api("getAudiences")')
    await page.evaluate(create(instance, "api", app.app_id))
    assert await run(page, "getAudiences") == ["fulfilled", [[]]]


async def test_callbacks_come_after_the_call(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    await open_page(page, site, instance, app.app_id)
    await until(page, _LOADED)
    early = await page.evaluate(
        """() => new Promise(done => {
            let called = 0;
            const count = () => ++called === 3 && done(early);
            ppms.am.api("checkAudience", undefined, null, count);
            ppms.am.api("getAudiences", count);
            ppms.am.api("updateAttributes", null, {onRejected: count});
            const early = called;
        })"""
    )
    assert early == 0


async def test_throwing_callback_breaks_nothing(
    app: App, instance: ServiceProcess, site: Site, watched: Watched
) -> None:
    await open_page(watched.page, site, instance, app.app_id)
    await watched.page.evaluate(
        """() => {
            ppms.am.api("getAudiences", () => { throw new Error("the page's own") });
            ppms.am.api("checkAudience", undefined, null, () => { throw new Error("another") });
            const onFulfilled = () => { throw new Error("third") };
            ppms.am.api("updateAttributes", {a: "b"}, {onFulfilled});
        }"""
    )
    assert await run(watched.page, "getAudiences") == ["fulfilled", [[]]]
    assert watched.errors == ["the page's own", "another", "third"]


async def test_what_a_page_changes_after_the_call_is_not_sent(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    await open_page(page, site, instance, app.app_id)
    await until(page, _LOADED)
    await page.evaluate(
        """() => {
            const attributes = {list: ["a"], text: "a"}, options = {user_id: "m"};
            ppms.am.api("getAudiences");
            ppms.am.api("updateAttributes", attributes, options);
            attributes.list.push("b"); attributes.text = "b"; options.user_id = "other";
        }"""
    )
    await run(page, "getAudiences")
    assert (await app.profile("user_id", "m"))["attributes"] == {"list": ["a"], "text": "a"}


async def test_calls_from_another_frame_work(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    await open_page(page, site, instance, app.app_id)
    await until(page, _LOADED)
    await page.evaluate(
        """() => new Promise(done => {
            const frame = document.createElement("iframe");
            frame.srcdoc = "<script>parent.ppms.am.api('getAudiences', function () {});"
                + "parent.ppms.am.api('updateAttributes', {list: ['a']}, {user_id: 'm'});</script>";
            frame.onload = () => { frame.remove(); done(); };
            document.body.append(frame);
        })"""
    )
    await run(page, "getAudiences")
    assert (await app.profile("user_id", "m"))["attributes"] == {"list": ["a"]}


async def test_arguments_that_throw_when_read_do_not_reach_the_page(
    app: App, instance: ServiceProcess, site: Site, watched: Watched
) -> None:
    await open_page(watched.page, site, instance, app.app_id)
    await watched.page.evaluate(
        """() => {
            const bad = {get a() { throw new Error("read") }};
            ppms.am.api("updateAttributes", bad);
            ppms.am.api("updateAttributes", {a: "b"}, {user_id: Object.create(null)});
            ppms.am.api("checkAudience", "\\ud800");
        }"""
    )
    assert await run(watched.page, "getAudiences") == ["fulfilled", [[]]]
    assert watched.errors == []


async def test_frame_without_cookies_works_as_far_as_it_can(
    app: App, instance: ServiceProcess, site: Site, watched: Watched
) -> None:
    commands = (
        create(instance, "api", app.app_id)
        + 'ppms.am.api("getAudiences", null, function (code) { parent.postMessage(code, "*") });'
        + 'ppms.am.api("updateAttributes", {a: "b"}, {user_id: "m",'
        + ' onFulfilled: function () { parent.postMessage("stored", "*") }});'
    )
    inner = site.put(html(snippet(instance, "api", commands)), "/inner")
    listen = "<script>window.got = []; onmessage = event => got.push(event.data)</script>"
    frame = f'{listen}<iframe sandbox="allow-scripts" src="{inner}"></iframe>'
    await watched.page.goto(site.put(html(frame)))
    await until(watched.page, "got.length === 2")
    assert await watched.page.evaluate("got") == ["not_identified", "stored"]
    assert (await app.profile("user_id", "m"))["attributes"] == {"a": "b"}
