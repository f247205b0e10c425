// The commands on a page without a browser: shapes, order, refusals.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import vm from "node:vm";
import { createCommands, runCommand } from "../widgets/consent/commands.js";
import { createConsent } from "../widgets/consent/consent.js";
import { followDataLayer, installStub } from "../widgets/consent/data_layer.js";
import { memoryStore } from "../widgets/consent/memory_store.js";

const APP = "30a851b6-6bf4-45f9-9a53-583401bb5d60";
let clock, sent, refusal, page, store, consent, commands;

function setUp(config = {}) {
    clock = Date.parse("2026-03-01T12:00:00.000Z");
    sent = [];
    refusal = null;
    page = { dataLayer: [], sevenTag: {}, location: { hostname: "shop.test" }, navigator: {} };
    const settings = { appId: APP, dataLayer: "dataLayer", enabled: true, types: ["analytics", "remarketing"], ...config };
    store = memoryStore(settings, () => clock);
    const post = async (message) => {
        sent.push(JSON.parse(JSON.stringify(message)));
        if (refusal) throw refusal;
    };
    consent = createConsent(settings, store, page, post, () => clock);
    commands = createCommands(consent);
}
beforeEach(() => setUp());

/** ["fulfilled", ...results] or ["rejected", error]. */
const call = (name, ...parameters) =>
    new Promise((settle) => {
        runCommand(commands, name, [...parameters, (...results) => settle(["fulfilled", ...results]), (error) => settle(["rejected", error])]);
    });
const events = () => page.dataLayer.map(({ event }) => event);
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

test("before any decision the settings are empty and yet have consents", async () => {
    const [, settings] = await call("getComplianceSettings");
    assert.equal(Object.keys(settings).length, 0);
    assert.equal(JSON.stringify(settings), "{}");
    assert.equal(settings.consents.analytics, undefined);
    assert.deepEqual(Object.keys(settings.consents), []);
});

test("types, new types, initial settings, settings, as a custom form calls them", async () => {
    assert.deepEqual(await call("getComplianceTypes"), ["fulfilled", ["analytics", "remarketing"]]);
    const [, fresh] = await call("getNewComplianceTypes");
    assert.deepEqual(await call("setInitialComplianceSettings", fresh), ["fulfilled"]);
    const [, settings] = await call("getComplianceSettings");
    assert.equal(settings.consents.analytics.status, -1);
    assert.equal(settings.consents.remarketing.status, -1);
    assert.deepEqual(await call("getNewComplianceTypes"), ["fulfilled", []]);
    assert.deepEqual(sent.map(({ event, consents }) => [event, consents.analytics.status]), [["consent_change", -1]]);
});

test("a decision is in the cookie before the next command runs", async () => {
    const seen = [];
    runCommand(commands, "setComplianceSettings", [{ consents: { analytics: { status: 1 } } }]);
    runCommand(commands, "getComplianceSettings", [({ consents }) => seen.push(consents.analytics)]);
    assert.deepEqual(seen, [], "callbacks never run inside the call");
    await settled();
    assert.deepEqual(seen, [{ status: 1, updatedAt: "2026-03-01T12:00:00.000Z" }]);
    assert.deepEqual(events(), ["stg.consentDecisionMade", "stg.pageView"]);
});

test("a decision sends the full state and is then forgotten", async () => {
    await call("setInitialComplianceSettings", ["remarketing"]);
    assert.deepEqual(await call("setComplianceSettings", { consents: { analytics: { status: "1" } } }), ["fulfilled"]);
    const { consents, visitorId, websiteId, hostname, method, decidedAt, decisionId } = sent[1];
    assert.deepEqual(consents, { remarketing: { status: -1 }, analytics: { status: 1 } });
    assert.equal(visitorId, store.read().visitorId);
    assert.deepEqual([websiteId, hostname, method, decidedAt], [APP, "shop.test", "api", "2026-03-01T12:00:00.000Z"]);
    assert.match(decisionId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.notEqual(decisionId, visitorId);
    assert.deepEqual(store.kept.unsent, []);
});

test("initial settings never take back a decision", async () => {
    await call("setComplianceSettings", { consents: { analytics: { status: 0 } } });
    await call("setInitialComplianceSettings", { consents: ["analytics", "remarketing"] });
    const [, { consents }] = await call("getComplianceSettings");
    assert.equal(consents.analytics.status, 0);
    assert.equal(consents.remarketing.status, -1);
    assert.deepEqual(sent[1].consents, { remarketing: { status: -1 } });
});

test("when the service is away the decision stays, is reported and kept for later", async () => {
    refusal = { text: "503 Service Unavailable" };
    const [outcome, error] = await call("setComplianceSettings", { consents: { analytics: { status: 1 } } });
    assert.equal(outcome, "rejected");
    assert.equal(error.errorMessage, "503 Service Unavailable");
    assert.equal(error.consents.analytics.status, 1);
    assert.equal(store.kept.unsent.length, 1);
    refusal = null;
    await consent.start();
    assert.deepEqual(store.kept.unsent, []);
    assert.equal(sent[1].decisionId, sent[0].decisionId);
    assert.equal(sent[1].decidedAt, sent[0].decidedAt);
});

test("what the service can never take is not sent for ever", async () => {
    refusal = { text: "400 Bad Request", isFinal: true };
    await call("setComplianceSettings", { consents: { analytics: { status: 1 } } });
    assert.deepEqual(store.kept.unsent, []);
});

test("a browser that refuses the cookie rejects", async () => {
    store.kept.isBroken = true;
    assert.deepEqual(await call("setInitialComplianceSettings", ["analytics"]), ["rejected", "cookie_refused"]);
    const [outcome, error] = await call("setComplianceSettings", { consents: { analytics: { status: 1 } } });
    assert.deepEqual([outcome, error.errorMessage], ["rejected", "cookie_refused"]);
});

test("with consent collection off nothing is written or sent", async () => {
    setUp({ enabled: false });
    assert.deepEqual(await call("getComplianceTypes"), ["fulfilled", []]);
    assert.deepEqual(await call("setInitialComplianceSettings", ["analytics"]), ["rejected", "consent_disabled"]);
    assert.deepEqual(await call("setComplianceSettings", { consents: { analytics: { status: 1 } } }), ["rejected", "consent_disabled"]);
    assert.deepEqual(await call("trackMainFormView"), ["fulfilled"]);
    assert.deepEqual(sent, []);
});

test("views and clicks are counted and told to the page", async () => {
    const names = ["MainFormView", "ReminderWidgetView", "PrivacyPolicyLinkView", "AgreeToAllClick", "RejectAllClick", "SaveChoicesClick", "CloseButtonClick"];
    refusal = { text: "500" };
    for (const name of names) assert.deepEqual(await call("track" + name), ["fulfilled"]);
    assert.deepEqual(events(), ["stg.consentFormViewMain", "stg.consentFormViewReminder", "stg.consentFormViewPrivacyPolicy",
        "stg.agreeToAllClicked", "stg.rejectAllClicked", "stg.saveChoicesClicked", "stg.closeButtonClicked"]);
    assert.deepEqual(sent.map(({ event, source, button }) => [event, source ?? button]), [["form_view", 1], ["form_view", 2], ["form_view", 3],
        ["form_click", 1], ["form_click", 2], ["form_click", 3], ["form_click", 4]]);
});

test("errors without a callback go to the console, unknown commands call nobody", async (t) => {
    const error = t.mock.method(console, "error", () => {});
    const warn = t.mock.method(console, "warn", () => {});
    for (const name of ["Click", "toString", "constructor", ""]) runCommand(commands, name, [() => assert.fail()]);
    assert.equal(warn.mock.callCount(), 4);
    runCommand(commands, "setComplianceSettings", [{}]);
    runCommand(commands, "setComplianceSettings", ["nonsense", "no function", {}]);
    await settled();
    assert.equal(error.mock.callCount(), 2);
    assert.equal(error.mock.calls[0].arguments[2], "invalid_settings");
});

test("no callbacks at all are fine", async () => {
    for (const name of Object.keys(commands)) runCommand(commands, name, name.startsWith("set") ? [{ consents: {} }] : []);
    await settled();
});

test("arguments of another realm count, and may die with it", async () => {
    const iframe = vm.createContext({});
    const settings = vm.runInContext("({consents: {analytics: {status: true}}})", iframe);
    const list = vm.runInContext("['remarketing']", iframe);
    assert.deepEqual(await call("setInitialComplianceSettings", list), ["fulfilled"]);
    assert.deepEqual(await call("setComplianceSettings", settings), ["fulfilled"]);
    settings.consents.analytics.status = 0;
    assert.equal(store.read().consents.analytics.status, 1);
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    assert.equal((await call("setComplianceSettings", revoked.proxy))[0], "rejected");
});

test("data requests are sent, invalid ones and refused ones told apart", async () => {
    const request = { content: "please", email: "a@b.test", type: "delete_data" };
    assert.deepEqual(await call("sendDataRequest", request), ["fulfilled"]);
    assert.deepEqual([sent[0].event, sent[0].email, sent[0].userRequestedInfo], ["delete_data", "a@b.test", "please"]);
    assert.deepEqual(await call("sendDataRequest", { ...request, type: "x" }), ["rejected", "invalid_request"]);
    refusal = { text: "429 Too Many Requests" };
    assert.deepEqual(await call("sendDataRequest", request), ["rejected", "server_error"]);
    refusal = { text: "400 Bad Request", isFinal: true };
    assert.deepEqual(await call("sendDataRequest", request), ["rejected", "invalid_request"]);
});

test("clearing removes the decision", async () => {
    await call("setComplianceSettings", { consents: { analytics: { status: 1 } } });
    await call("clearConsentSettings");
    assert.deepEqual(await call("getNewComplianceTypes"), ["fulfilled", ["analytics", "remarketing"]]);
    assert.deepEqual(page.sevenTag.Consents.current_state, {});
    assert.equal(page.sevenTag.Consents.timestamp, undefined);
});

test("Global Privacy Control rejects once, a later approval wins", async () => {
    setUp({ gpc: true });
    page.navigator.globalPrivacyControl = true;
    await consent.start();
    await settled();
    assert.deepEqual([sent[0].method, sent[0].consents], ["gpc", { remarketing: { status: 0 } }]);
    await consent.start();
    assert.equal(sent.length, 1);
    await call("setComplianceSettings", { consents: { remarketing: { status: 1 } } });
    await consent.start();
    assert.equal(store.read().consents.remarketing.status, 1);
    setUp({ gpc: true });
    page.navigator.globalPrivacyControl = "1";
    await consent.start();
    assert.deepEqual(sent, []);
});

test("Google hears the default, then each decision", async () => {
    setUp({ consentMode: { ad_storage: "remarketing", analytics_storage: "analytics" } });
    await consent.start();
    await call("setComplianceSettings", { consents: { analytics: { status: 1 } } });
    await call("clearConsentSettings");
    const told = page.dataLayer.filter((entry) => entry[0] === "consent");
    assert.deepEqual(told.map((entry) => Object.prototype.toString.call(entry)), Array(3).fill("[object Arguments]"));
    assert.deepEqual(told.map(([, command, signals]) => [command, signals]), [
        ["default", { ad_storage: "denied", analytics_storage: "denied", wait_for_update: 500 }],
        ["update", { ad_storage: "denied", analytics_storage: "granted" }],
        ["update", { ad_storage: "denied", analytics_storage: "denied" }],
    ]);
});

test("the Consents variable tells before and after", async () => {
    await consent.start();
    assert.deepEqual(page.sevenTag.Consents, { timestamp: undefined, previous_state: {}, current_state: {}, consent_form_language: undefined });
    await call("setComplianceSettings", { consents: { analytics: { status: 1 } } });
    clock += 1000;
    await call("setComplianceSettings", { consents: { analytics: { status: 0 } } });
    assert.deepEqual(page.sevenTag.Consents, {
        timestamp: "2026-03-01T12:00:01.000Z", previous_state: { analytics: 1 }, current_state: { analytics: 0 }, consent_form_language: undefined,
    });
});

test("the data layer is replayed in order, then followed; what is no command is let through", () => {
    const ran = [];
    const hostile = { get event() { throw new Error("gone"); } };
    const layer = [{ start: 1, event: "stg.start" }, { event: "ppms.cm:getComplianceTypes", parameters: [1] }, null, undefined, "text", hostile,
        { event: "ppms.tm:x", parameters: [] }, { event: "ppms.cm: spaced", parameters: { an: "object" } }, { event: "ppms.cm:bare" }];
    followDataLayer(layer, (command, parameters) => ran.push([command, parameters]));
    assert.deepEqual(ran, [["getComplianceTypes", [1]], ["spaced", [{ an: "object" }]], ["bare", [undefined]]]);
    assert.equal(layer.push({ event: "ppms.cm:later", parameters: [] }, { event: "other" }), 11);
    assert.deepEqual(ran[3], ["later", []]);
});

test("the stub is only what is missing", () => {
    const api = () => {};
    const pageWithStub = { ppms: { cm: { api, other: 1 }, am: 2 }, layer: [] };
    installStub(pageWithStub, "layer");
    assert.equal(pageWithStub.ppms.cm.api, api);
    assert.equal(pageWithStub.ppms.am, 2);
    const bare = { layer: [] };
    installStub(bare, "layer");
    bare.ppms.cm.api("getComplianceTypes", 1);
    bare.ppms.cm.api({ no: "text" });
    bare.ppms.tm.api("x");
    assert.deepEqual(bare.layer, [{ event: "ppms.cm:getComplianceTypes", parameters: [1] }, { event: "ppms.tm:x", parameters: [] }]);
});
