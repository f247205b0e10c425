"""A consent form of the page's own, on the commands alone (contract E3.25, E3.26), and the widgets."""

import asyncio

import pytest

from tests.browser.consent_pages import FORM, REMINDER, TYPES, Shop, privacy_cookie
from tests.browser.waiting import until

#: What such forms do: ask at load, all at once; show when something is new or undecided; save.
CUSTOM_FORM = """<div id="mine" hidden><div id="boxes"></div><button id="save">Save</button><p id="problem" hidden>Connection problem</p></div>
<button id="privacy">Privacy settings</button>
<script>
addEventListener("load", function () {
  if (typeof ppms !== "object" || typeof sevenTag !== "object" || !sevenTag.privacy.enabled) return;
  var state = {};
  var ready = 0;
  function show() {
    document.getElementById("boxes").innerHTML = state.types.map(function (type) {
      var on = state.settings.consents[type] && state.settings.consents[type].status === 1;
      return '<label><input type="checkbox" value="' + type + '"' + (on ? " checked" : "") + ">" + type + "</label>";
    }).join("");
    document.getElementById("mine").hidden = false;
  }
  function gotOne() {
    if (++ready < 3) return;
    var undecided = Object.keys(state.settings.consents).some(function (type) { return state.settings.consents[type].status === -1; });
    if (state.fresh.length || undecided) { show(); ppms.cm.api("trackMainFormView"); }
    if (state.fresh.length) ppms.cm.api("setInitialComplianceSettings", state.fresh, function () {
      ppms.cm.api("getComplianceSettings", function (settings) { state.settings = settings; window.first = settings.consents[state.fresh[0]].status; });
    });
  }
  ppms.cm.api("getComplianceTypes", function (types) { state.types = types; gotOne(); }, console.error);
  ppms.cm.api("getNewComplianceTypes", function (types) { state.fresh = types; gotOne(); }, console.error);
  ppms.cm.api("getComplianceSettings", function (settings) { state.settings = settings; gotOne(); }, console.error);
  document.getElementById("privacy").onclick = function () { show(); ppms.cm.api("trackPrivacyPolicyLinkView"); };
  document.getElementById("save").onclick = function () {
    var consents = {};
    document.querySelectorAll("#boxes input").forEach(function (box) { consents[box.value] = {status: box.checked}; });
    ppms.cm.api("trackSaveChoicesClick");
    ppms.cm.api("setComplianceSettings", {consents: consents}, function () { document.getElementById("mine").hidden = true; },
      function () { document.getElementById("problem").hidden = false; });
    ppms.cm.api("getComplianceSettings", function (settings) { state.settings = settings; window.afterSave = settings.consents.analytics.status; });
  };
});
</script>"""


@pytest.fixture(autouse=True)
async def custom_form(shop: Shop) -> None:
    """The app has a form of its own."""
    await shop.configure_app(customConsentForm=True)
    shop.page(body=CUSTOM_FORM)


async def test_a_custom_form_asks_decides_and_comes_back(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    await visitor.page.wait_for_selector("#mine")
    await until(visitor.page, "window.first === -1")
    assert await visitor.page.locator(f"{FORM}, {REMINDER}").count() == 0
    await visitor.page.get_by_label("analytics").check()
    await visitor.page.click("#save")
    await visitor.page.wait_for_selector("#mine", state="hidden")
    assert await visitor.page.evaluate("afterSave") == 1
    assert await visitor.statuses() == {"analytics": 1, "conversion_tracking": 0, "remarketing": 0}
    await visitor.open()
    await visitor.page.wait_for_timeout(100)
    assert await visitor.page.locator("#mine").is_hidden()
    await visitor.page.click("#privacy")
    assert await visitor.page.get_by_label("analytics").is_checked()
    views = await visitor.sent_events("form_view", 2)
    assert [view["source"] for view in views] == [1, 3]
    assert [one["consent_scope"] for one in await shop.decisions()] == [2]
    assert visitor.errors == []


async def test_a_new_type_does_not_take_back_what_is_decided(shop: Shop) -> None:
    visitor = await shop.visitor()
    given = {"status": 1, "updatedAt": "2026-11-01T00:00:00.000Z"}
    await visitor.set_cookie(privacy_cookie({"analytics": given, "conversion_tracking": given}))
    await visitor.open()
    await until(visitor.page, "window.first === -1")
    assert await visitor.statuses() == {"analytics": 1, "conversion_tracking": 1, "remarketing": -1}
    (sent,) = await visitor.sent_events("consent_change")
    assert sent["consents"] == {"remarketing": {"status": -1}}
    await asyncio.sleep(0.1)
    assert await shop.decisions() == [], "being shown is no decision"


async def test_the_connection_problem_shows_and_the_decision_arrives_later(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.open()
    await until(visitor.page, "window.first === -1")
    await visitor.context.route("**/consent/collect", lambda route: route.abort())
    await visitor.page.click("#save")
    await visitor.page.wait_for_selector("#problem")
    assert await visitor.statuses() == dict.fromkeys(TYPES, 0)
    await visitor.context.unroute_all()
    await visitor.open()
    await visitor.delivered()
    assert len(await shop.decisions()) == 1


async def test_a_browser_without_cookies_gets_the_connection_problem(shop: Shop) -> None:
    visitor = await shop.visitor()
    await visitor.context.add_init_script(
        "Object.defineProperty(Document.prototype, 'cookie', {get: () => '', set: () => {}})"
    )
    await visitor.open()
    settings = {"consents": {"analytics": {"status": 1}}}
    outcome, error = await visitor.command("setComplianceSettings", settings)
    assert (outcome, error["errorMessage"]) == ("rejected", "cookie_refused")
    assert await visitor.command("setInitialComplianceSettings", TYPES) == [
        "rejected",
        "cookie_refused",
    ]


#: As the product documentation prints it, with its own script (contract E4.1-E4.4).
FULL_WIDGET = """<div id="ppms_cm_data_subject" class="ppms_cm_data_subject_widget__wrapper" data-editor-centralize="true" data-main-container="true" data-root="true">
<h3 id="ppms_cm_data_subject_header" class="header3">Data requests</h3><p id="ppms_cm_data_subject_paragraph" class="paragraph">Please select.</p>
<form id="ppms_cm_data_subject_form" class="ppms_cm_data_subject_form" data-disable-select="true">
<input type="email" name="email" required id="ppms_cm_data_subject_form_input"><div id="ppms_cm_data_subject_form_select_wrapper" data-select-name="event"></div>
<textarea name="message" id="ppms_cm_data_subject_form_textarea"></textarea><input type="submit" id="ppms_cm_data_subject_form_submit" value="Send"></form>
<script>(function () { var form = document.getElementById("ppms_cm_data_subject_form");
document.getElementById("ppms_cm_data_subject_form_select_wrapper").innerHTML = '<select name="event" hidden aria-hidden="true"><option>view_data</option><option>delete_data</option></select>';
form.addEventListener("reset", function () { window.wasReset = true; });
form.addEventListener("submit", function (event) { event.preventDefault(); window.sendUserDataSubjectRequest(form); }); })()</script></div>"""


@pytest.mark.parametrize("is_custom", [True, False])
@pytest.mark.parametrize("is_full", [True, False])
async def test_a_data_request_is_sent_and_answered_under_the_form(
    shop: Shop, *, is_full: bool, is_custom: bool
) -> None:
    await shop.configure_app(customConsentForm=is_custom)
    shop.page(body=FULL_WIDGET if is_full else '<div id="ppms_cm_data_subject"></div>')
    visitor = await shop.visitor()
    await visitor.set_cookie(privacy_cookie({name: {"status": 0} for name in TYPES}))
    await visitor.open()
    form = visitor.page.locator("#ppms_cm_data_subject_form")
    await form.wait_for()
    await until(visitor.page, "typeof sendUserDataSubjectRequest === 'function'")
    await form.locator("[name=event]").evaluate("one => { one.value = 'delete_data' }")
    await form.locator("[name=email]").fill("jane@example.com")
    await form.locator("[name=message]").fill("All of it.")
    await visitor.context.route("**/consent/collect", lambda route: route.abort())
    await form.locator("[type=submit]").click()
    failure = visitor.page.locator("#ppms_cm_data_subject_failure_note")
    await failure.wait_for()
    await failure.get_by_role("button").click()
    assert await failure.count() == 0
    await visitor.context.unroute_all()

    await form.locator("[type=submit]").click()
    await visitor.page.locator("#ppms_cm_data_subject_confirmation_note").wait_for()
    (sent,) = [one for one in visitor.sent if one["event"] == "delete_data"][1:]
    assert (sent["websiteId"], sent["hostname"]) == (shop.app.app_id, "www.shop.test")
    (stored,) = await shop.app.rows.fetch(
        "SELECT * FROM data_subject_requests WHERE app_id = $1", shop.app.app_id
    )
    assert (stored["request_type"], stored["email"]) == ("delete_data", "jane@example.com")
    assert (stored["content"], stored["language"]) == ("All of it.", "en")
    assert str(stored["visitor_id"]) == "11111111-2222-4333-8444-555555555555"
    assert await form.locator("[name=email]").input_value() == ""
    if is_full:
        assert await visitor.page.evaluate("wasReset")
    assert visitor.errors == []


async def test_pages_without_a_widget_fetch_no_script_for_it(shop: Shop) -> None:
    visitor = await shop.visitor()
    fetched: list[str] = []
    visitor.page.on("request", lambda request: fetched.append(request.url))
    await visitor.open()
    await visitor.page.wait_for_load_state("networkidle")
    assert not [url for url in fetched if "consent-widgets" in url or "privacy-" in url]
    html = '<div id="ppms_cm_privacy_settings"></div>'
    await visitor.page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", html)
    await visitor.page.wait_for_selector("#ppms_cm_privacy_settings_button")
    assert len([url for url in fetched if "consent-widgets" in url]) == 1
