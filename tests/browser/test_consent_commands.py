"""`ppms.cm.api` on pages as they are out there: queues, frames, outages, cookies."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Route

from tests.browser.consent_pages import (
    FORM,
    HOST,
    TYPES,
    Shop,
    cookie_value,
    privacy_cookie,
)
from tests.browser.waiting import eventually, until

VIEWS = ("MainForm", "ReminderWidget", "PrivacyPolicyLink")
CLICKS = ("AgreeToAll", "RejectAll", "SaveChoices", "CloseButton")
COLLECT = "**/consent/collect"


@pytest.fixture(autouse=True)
async def custom_form(shop: Shop) -> None:
    """No form of ours: the commands alone."""
    await shop.configure_app(customConsentForm=True)


async def test_three_calls_before_load_run_in_order(shop: Shop) -> None:
    calls = """<script>window.log = [];
    log.push(ppms.cm.api("getNewComplianceTypes", types => log.push(["new", types])));
    ppms.cm.api("setComplianceSettings", {consents: {analytics: {status: 1}}}, () => log.push(["set"]));
    ppms.cm.api("getComplianceSettings", settings => log.push(["get", settings.consents.analytics.status]));
    log.push("sync")</script>"""
    shop.page(body=calls)
    visitor = await shop.visitor()
    await visitor.open()
    await until(visitor.page, "log.length === 5")
    log = await visitor.page.evaluate("log")
    assert log[0] is None, "a call returns undefined"
    assert log[1:] == ["sync", ["new", TYPES], ["get", 1], ["set"]]
    (sent,) = await visitor.sent_events("consent_change")
    assert sent["consents"] == {"analytics": {"status": 1}}
    assert (sent["websiteId"], sent["hostname"]) == (shop.app.app_id, HOST)
    assert await visitor.events() == ["stg.start", "stg.consentDecisionMade", "stg.pageView"]


async def test_a_data_layer_of_another_name_is_used_alone(shop: Shop) -> None:
    shop.page(snippet=shop.snippet(layer="shopLayer"))
    visitor = await shop.visitor()
    await visitor.open()
    assert await visitor.command("getComplianceTypes") == ["fulfilled", TYPES]
    await visitor.decide(analytics=0)
    assert "stg.consentDecisionMade" in await visitor.events("shopLayer")
    assert await visitor.page.evaluate("typeof dataLayer") == "undefined"


async def test_a_page_without_the_stub_has_the_commands_too(shop: Shop) -> None:
    script = f'<script src="{shop.service_url}/containers/{shop.app.app_id}.js"></script>'
    shop.page(snippet=script)
    visitor = await shop.visitor()
    await visitor.open()
    assert await visitor.command("getComplianceTypes") == ["fulfilled", TYPES]
    assert await visitor.page.evaluate("ppms.tm.api('anything', 1)") is None


async def test_both_snippets_and_one_twice_run_each_command_once(shop: Shop) -> None:
    sync = f'<script src="{shop.service_url}/containers/{shop.app.app_id}.sync.js"></script>'
    shop.page(head=sync, snippet=shop.snippet() + shop.snippet())
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.wait_for_load_state("networkidle")
    await visitor.page.evaluate(
        "window.count = 0; ppms.cm.api('getComplianceTypes', () => { count += 1 })"
    )
    await visitor.page.wait_for_timeout(50)
    assert await visitor.page.evaluate("count") == 1
    assert visitor.errors == []


async def test_calls_from_an_iframe_outlive_it(shop: Shop) -> None:
    shop.page("/frame", snippet="", body="<p>frame</p>")
    shop.page(body='<iframe src="/frame" title="frame"></iframe>')
    visitor = await shop.visitor()
    await visitor.open()
    frame = visitor.page.frames[1]
    found = await frame.evaluate(
        """() => new Promise(settle => {
        parent.ppms.cm.api("setInitialComplianceSettings", ["remarketing"], () => {});
        parent.ppms.cm.api("setComplianceSettings", {consents: {analytics: {status: true}}}, () => {
        parent.ppms.cm.api("getComplianceSettings", settle) }) })"""
    )
    assert {name: one["status"] for name, one in found["consents"].items()} == {
        "remarketing": -1,
        "analytics": 1,
    }
    await frame.evaluate(
        """() => { const {ppms} = parent, settings = {consents: {remarketing: {status: 0}}};
        ppms.cm.api("setComplianceSettings", settings, () => { throw Error("from the frame") });
        settings.consents.remarketing.status = 1 }"""
    )
    await visitor.page.evaluate("document.querySelector('iframe').remove()")
    assert await visitor.statuses() == {"remarketing": 0, "analytics": 1}


async def test_unknown_commands_and_entries_disturb_nobody(shop: Shop) -> None:
    visitor = await shop.visitor()
    lines: list[str] = []
    visitor.page.on("console", lambda message: lines.append(message.text))
    await visitor.open()
    await visitor.page.evaluate(
        """() => { window.called = 0; const callback = () => { called += 1 };
        ppms.cm.api("Click", "label", callback); ppms.cm.api({no: "text"}, callback);
        dataLayer.push({event: "ppms.cm:trackEvent", parameters: {category: "a"}}, null, 1,
        {event: "ppms.cm: getComplianceTypes", parameters: [() => { window.spaced = true }]});
        ppms.cm.api("getComplianceTypes", () => { throw Error("mine") }) }"""
    )
    assert await visitor.command("getNewComplianceTypes") == ["fulfilled", TYPES]
    assert await visitor.page.evaluate("[called, spaced]") == [0, True]
    assert [line for line in lines if "unknown command Click" in line]
    assert visitor.errors == ["mine"]


async def test_errors_without_a_callback_go_to_the_console(shop: Shop) -> None:
    visitor = await shop.visitor()
    lines: list[str] = []
    visitor.page.on("console", lambda message: lines.append(f"{message.type} {message.text}"))
    await visitor.open()
    await visitor.page.evaluate(
        """() => { ppms.cm.api("setComplianceSettings", "nonsense"); ppms.cm.api("setInitialComplianceSettings");
        ppms.cm.api("setComplianceSettings", {consents: {preference: {status: 1}}}) }"""
    )
    await visitor.page.wait_for_timeout(50)
    assert lines == [
        "error ppms.cm: setComplianceSettings invalid_settings",
        "error ppms.cm: setInitialComplianceSettings invalid_settings",
        "warning ppms.cm: unknown type preference",
    ]
    assert visitor.errors == []


async def test_open_consent_form_does_nothing_with_a_form_of_the_page(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.evaluate(
        "window.called = 0; ppms.cm.api('openConsentForm', () => called++, () => called++)"
    )
    await visitor.page.wait_for_timeout(200)
    assert await visitor.page.evaluate("called") == 0
    assert await visitor.page.locator(FORM).count() == 0


async def test_open_consent_form_tells_what_it_shows(shop: Shop) -> None:
    await shop.configure_app(customConsentForm=False)
    visitor = await shop.visitor()
    await visitor.set_cookie(
        privacy_cookie(
            {
                "analytics": {"status": 1},
                "conversion_tracking": {"status": 0},
                "remarketing": {"status": 0},
            }
        )
    )
    await visitor.open()
    shown = ["fulfilled", f"ppms_cm_consent_popup_{shop.app.app_id}", TYPES, ["analytics"]]
    assert await visitor.command("openConsentForm") == shown
    assert await visitor.page.locator(f"#{shown[1]} {FORM}").is_visible()
    await visitor.page.evaluate("document.activeElement.blur()")
    assert await visitor.command("openConsentForm") == shown, "open already"
    assert await visitor.page.locator(FORM).count() == 1
    assert await visitor.page.evaluate("document.activeElement.id") == "ppms_cm_popup_wrapper"
    assert len(await visitor.sent_events("form_view")) == 1
    await visitor.page.evaluate("ppms.cm.api('openConsentForm')")


async def test_open_consent_form_without_templates_rejects(shop: Shop) -> None:
    await shop.configure_app(customConsentForm=False)
    visitor = await shop.visitor()
    await visitor.context.route("**/privacy-templates.json*", lambda route: route.abort())
    await visitor.open()
    assert await visitor.command("openConsentForm") == ["rejected", "server_error"]
    assert await visitor.statuses() == {}
    await visitor.context.unroute_all()
    assert (await visitor.command("openConsentForm"))[0] == "fulfilled"


async def test_consent_collection_that_is_off_asks_nobody(shop: Shop) -> None:
    await shop.configure_app(gdpr=False)
    visitor = await shop.visitor()
    await visitor.open()
    assert await visitor.page.evaluate("sevenTag.privacy") == {"enabled": False}
    for name, argument in (
        ("setComplianceSettings", {"consents": {}}),
        ("setInitialComplianceSettings", TYPES),
    ):
        assert await visitor.command(name, argument) == ["rejected", "consent_disabled"]
    await shop.configure_app(customConsentForm=False)
    other = await shop.visitor()
    await other.context.route(
        "**/containers/*",
        lambda route: route.continue_(url=f"{route.request.url}?data_layer_name=fresh"),
    )
    await other.page.goto(shop.url())
    await until(other.page, "window.sevenTag && sevenTag.containers")
    await other.page.evaluate("window.dataLayer = fresh")
    assert await other.command("openConsentForm") == ["rejected", "consent_disabled"]
    assert await other.page.locator(FORM).count() == 0
    assert await visitor.raw_cookie() is None
    assert visitor.sent == other.sent == []


async def test_track_commands_count_and_tell_the_page(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    names = [f"track{view}View" for view in VIEWS] + [f"track{click}Click" for click in CLICKS]
    for name in names:
        assert await visitor.command(name) == ["fulfilled"]
    await visitor.sent_events("form_click", 4)

    async def counted() -> Any:
        rows = await shop.app.rows.fetch(
            "SELECT event_type, consent_source + consent_form_button AS number FROM consent_counters"
            " WHERE app_id = $1 ORDER BY 1, 2",
            shop.app.app_id,
        )
        return len(rows) >= len(names) and [tuple(row) for row in rows]

    assert await eventually(counted) == [
        (12, 1),
        (12, 2),
        (12, 3),
        (13, 1),
        (13, 2),
        (13, 3),
        (13, 4),
    ]
    assert await visitor.events() == [
        "stg.start",
        "stg.consentFormViewMain",
        "stg.consentFormViewReminder",
        "stg.consentFormViewPrivacyPolicy",
        "stg.agreeToAllClicked",
        "stg.rejectAllClicked",
        "stg.saveChoicesClicked",
        "stg.closeButtonClicked",
    ]


async def test_an_outage_rejects_keeps_the_decision_and_sends_it_on_the_next_page(
    shop: Shop,
) -> None:
    visitor = await shop.visitor()
    await visitor.open()

    async def refuse(route: Route) -> None:
        await route.fulfill(
            status=503, body="Service Unavailable", headers={"Access-Control-Allow-Origin": "*"}
        )

    await visitor.context.route(COLLECT, refuse)
    settings = {"consents": {"analytics": {"status": 1}}}
    outcome, error = await visitor.command("setComplianceSettings", settings)
    assert (outcome, error["errorMessage"]) == ("rejected", "503 Service Unavailable")
    assert error["consents"]["analytics"]["status"] == 1
    assert await visitor.statuses() == {"analytics": 1}
    await visitor.context.unroute_all()
    await visitor.context.route(COLLECT, lambda route: route.abort())
    settings = {"consents": {"analytics": {"status": 0}}}
    outcome, error = await visitor.command("setComplianceSettings", settings)
    assert (outcome, error["errorMessage"]) == ("rejected", "server_error")
    assert await visitor.command("trackMainFormView") == ["fulfilled"]
    await visitor.context.unroute_all()
    await visitor.open()
    await visitor.delivered()
    decisions = await shop.decisions()
    assert [one["consents"]["analytics"]["status"] for one in decisions] == [1, 0]
    times = [one["decided_at"] for one in decisions]
    assert times == sorted(times)
    assert times[1] < decisions[0]["received_at"], "decided before it could be sent"
    await visitor.open()
    await visitor.page.wait_for_timeout(100)
    assert len(await shop.decisions()) == 2


async def test_a_decision_just_before_leaving_the_page_arrives(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.evaluate(
        "ppms.cm.api('setComplianceSettings', {consents: {analytics: {status: 1}}}); location.href = '/next'"
    )
    await visitor.page.wait_for_url("**/next")
    await eventually(shop.decisions)
    assert len(await shop.decisions()) == 1
    await visitor.open()
    await visitor.delivered()
    assert len(await shop.decisions()) == 1, "the same decision is known by its id"


async def test_the_cookie_is_that_of_js_cookie_to_the_byte(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.page.clock.install(time="2026-11-25T10:00:00Z")
    await visitor.page.clock.pause_at("2026-11-25T10:00:01Z")
    await visitor.open()
    await visitor.page.evaluate(
        "ppms.cm.api('setInitialComplianceSettings', ['analytics', 'remarketing'])"
    )
    await visitor.page.clock.pause_at("2026-11-25T10:00:03.250Z")
    await visitor.page.evaluate(
        "ppms.cm.api('setComplianceSettings', {consents: {analytics: {status: 1}}})"
    )
    raw = await visitor.raw_cookie()
    visitor_id = await visitor.page.evaluate(
        "JSON.parse(decodeURIComponent(/ppms_privacy_[^=]*=([^;]*)/.exec(document.cookie)[1])).visitorId"
    )
    expected = (
        "{%22visitorId%22:%22VISITOR%22%2C%22domain%22:{%22normalized%22:%22www.shop.test%22%2C"
        "%22isWildcard%22:false%2C%22pattern%22:%22www.shop.test%22}%2C%22consents%22:{%22analytics%22:"
        "{%22status%22:1%2C%22updatedAt%22:%222026-11-25T10:00:03.250Z%22}%2C%22remarketing%22:"
        "{%22status%22:-1%2C%22updatedAt%22:%222026-11-25T10:00:01.000Z%22}}%2C"
        "%22staleCheckpoint%22:%222026-11-25T10:00:01.000Z%22}"
    )
    assert raw == expected.replace("VISITOR", visitor_id)
    (cookie,) = [
        c for c in await visitor.context.cookies() if c["name"].startswith("ppms_privacy_")
    ]
    assert (cookie["domain"], cookie["path"], cookie["sameSite"]) == (HOST, "/", "Lax")
    assert (cookie["httpOnly"], cookie["secure"]) == (False, False)
    assert cookie["expires"] == pytest.approx(
        datetime(2027, 11, 25, 10, 0, 3, tzinfo=UTC).timestamp(), abs=2
    )


async def test_of_two_cookies_the_one_of_the_current_pattern_counts(shop: Shop) -> None:
    await shop.configure_app(privacyCookieDomainsEnabled=True, privacyCookieDomains=["*.shop.test"])
    parent_domain = {"normalized": "shop.test", "isWildcard": True, "pattern": "*.shop.test"}
    visitor = await shop.visitor()
    await visitor.set_cookie(privacy_cookie({"analytics": {"status": 0}}))
    await visitor.set_cookie(
        cookie_value({"consents": {"analytics": {"status": 1}}, "domain": parent_domain}),
        ".shop.test",
    )
    await visitor.open()
    assert await visitor.statuses() == {"analytics": 1}, "the older form, without visitorId"
    await visitor.decide(remarketing=0)
    await visitor.open(host="other.shop.test")
    assert await visitor.statuses() == {"analytics": 1, "remarketing": 0}, "all of the domain"
    await visitor.command("clearConsentSettings")
    assert await visitor.statuses() == {}


async def test_the_host_alone_counts_without_a_list_of_domains(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.decide(analytics=1)
    await visitor.open(host="other.shop.test")
    assert await visitor.statuses() == {}


async def test_clearing_removes_the_cookie_and_renews_the_variable(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.decide(analytics=1)
    await visitor.decide(analytics=0)
    variable = await visitor.page.evaluate("sevenTag.Consents")
    assert (
        variable.pop("timestamp")
        == (await visitor.command("getComplianceSettings"))[1]["consents"]["analytics"]["updatedAt"]
    )
    assert variable["previous_state"] == {"analytics": 1}
    assert variable["current_state"] == {"analytics": 0}
    await visitor.open()
    variable = await visitor.page.evaluate("sevenTag.Consents")
    assert variable["previous_state"] == variable["current_state"] == {"analytics": 0}
    assert await visitor.command("clearConsentSettings") == ["fulfilled"]
    assert await visitor.raw_cookie() is None
    assert await visitor.page.evaluate("sevenTag.Consents.current_state") == {}
    assert await visitor.command("getNewComplianceTypes") == ["fulfilled", TYPES]


async def test_seven_tag_is_there_when_the_page_has_loaded(shop: Shop) -> None:
    shop.page(
        body="<script>addEventListener('load', () => { window.atLoad = [typeof sevenTag, sevenTag.privacy.enabled, typeof ppms] })</script>"
    )
    visitor = await shop.visitor()
    await visitor.open()
    await until(visitor.page, "window.atLoad")
    assert await visitor.page.evaluate("atLoad") == ["object", True, "object"]


async def test_global_privacy_control_rejects_once_and_is_said_to_the_visitor(shop: Shop) -> None:
    await shop.configure_app(customConsentForm=False)
    visitor = await shop.visitor()
    await visitor.context.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"
    )
    await visitor.open()
    await visitor.page.wait_for_selector(FORM)
    assert await visitor.page.get_by_role("switch").count() == 1
    assert await visitor.page.locator(".ppms_cm_gpc_note").is_visible()
    expected = {"analytics": -1, "conversion_tracking": 0, "remarketing": 0}
    assert await visitor.statuses() == expected
    (sent,) = await visitor.sent_events("consent_change")
    assert sent["method"] == "gpc"
    await visitor.delivered()
    assert [one["method"] for one in await shop.decisions()] == ["gpc"]
    await visitor.decide(remarketing=1)
    await visitor.open()
    assert (await visitor.statuses())["remarketing"] == 1, "an explicit approval wins"
    await shop.configure(is_gpc_honoured=False)


async def test_google_hears_the_default_before_and_the_update_after(shop: Shop) -> None:
    await shop.configure(has_consent_mode=True)
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.decide(analytics=1, remarketing=0)

    async def told() -> list[Any]:
        found: list[Any] = await visitor.page.evaluate(
            "dataLayer.filter(one => one[0] === 'consent').map(one => [...one, Object.prototype.toString.call(one)])"
        )
        return found

    first, second = await told()
    assert first[:2] == ["consent", "default"]
    assert {value for key, value in first[2].items() if key != "wait_for_update"} == {"denied"}
    assert first[3] == second[3] == "[object Arguments]"
    granted = {signal for signal, value in second[2].items() if value == "granted"}
    assert second[1] == "update"
    assert granted == {"analytics_storage"}
    await visitor.open()
    assert [one[1] for one in await told()] == ["default", "update"]


async def test_the_documented_snippet_and_custom_form_work(shop: Shop) -> None:
    text = (Path(__file__).parents[2] / "docs" / "consent.md").read_text("utf-8")
    snippet = re.findall(r"```html\n(<script>.*?</script>)\n```", text, re.DOTALL)[0]
    snippet = snippet.replace("https://consent.example.com", shop.service_url)
    snippet = snippet.replace("APP ID", shop.app.app_id)
    asking, deciding = re.findall(r"```js\n(.*?)```", text, re.DOTALL)
    own = f"""<script>window.log = []; const note = name => (...results) => log.push([name, ...results]);
    const showMyForm = note("show"), hideMyForm = note("hide"), showConnectionProblem = note("problem");
    {asking}; window.decide = () => {{ {deciding} }}</script>"""
    shop.page(snippet=snippet, body=own)
    visitor = await shop.visitor()
    await visitor.open()
    await until(visitor.page, "log.length === 1")
    await visitor.page.evaluate("decide()")
    await until(visitor.page, "log.length === 2")
    assert await visitor.page.evaluate("log") == [["show", TYPES], ["hide"]]
    expected = {"analytics": 1, "conversion_tracking": -1, "remarketing": 0}
    assert await visitor.statuses() == expected
    assert visitor.errors == []
