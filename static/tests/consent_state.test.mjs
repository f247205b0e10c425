// What a visitor decided, as values.
import assert from "node:assert/strict";
import { test } from "node:test";
import { allWith, decide, gpcRejections, newTypes, readState, statusesOf } from "../widgets/consent/consent_state.js";
import { dataRequest, statusesIn, typesIn } from "../widgets/consent/command_arguments.js";
import { formAtStart } from "../widgets/consent/form_start.js";
import { nextStop } from "../widgets/consent/focus_trap.js";
import { chooseLanguage, directionOf } from "../widgets/consent/language.js";
import { signalsOf } from "../widgets/consent/consent_mode.js";

const NOW = Date.parse("2026-03-01T12:00:00.000Z");
const DAY = 86400;
const shop = { normalized: "shop.test", isWildcard: false, pattern: "shop.test" };
const read = (cookies, config = {}) => readState(cookies, "shop.test", config, NOW);
const given = (status, updatedAt = "2026-02-01T00:00:00.000Z") => ({ status, updatedAt });

test("a cookie of 2021 has neither visitor nor checkpoint", () => {
    const state = read([{ consents: { analytics: given(1) }, domain: shop }]);
    assert.deepEqual(statusesOf(state), { analytics: 1 });
    assert.equal(state.visitorId, undefined);
});

test("a cookie with nothing in it is a first visit", () => {
    for (const cookies of [[], [{}], [{ consents: null }], [{ consents: "analytics" }], [{ domain: null }]]) {
        assert.deepEqual(read(cookies).consents, {});
    }
});

test("of two cookies the one of the current pattern counts", () => {
    const parent = { domain: { pattern: "*.test" }, consents: { analytics: given(1) } };
    const host = { domain: shop, consents: { analytics: given(0) } };
    assert.equal(read([parent, host]).consents.analytics.status, 0);
    assert.equal(read([host, parent]).consents.analytics.status, 0);
    assert.equal(read([parent]).consents.analytics.status, 1);
});

test("a decision older than the period counts as none, what was only shown does not age", () => {
    const cookies = [{ consents: { analytics: given(1, "2026-01-01T00:00:00.000Z"), remarketing: given(-1, "2020-01-01T00:00:00.000Z") } }];
    assert.deepEqual(statusesOf(read(cookies, { validSeconds: 30 * DAY })), { remarketing: -1 });
    assert.deepEqual(statusesOf(read(cookies, { validSeconds: 90 * DAY })), { analytics: 1, remarketing: -1 });
    assert.deepEqual(statusesOf(read(cookies, { validSeconds: 0 })), { analytics: 1, remarketing: -1 });
});

test("a decision made before a text that asks again counts as none", () => {
    const cookies = [{ consents: { analytics: given(1), remarketing: given(0) } }];
    assert.deepEqual(statusesOf(read(cookies, { askAgain: { analytics: "2026-02-02T00:00:00.000Z" } })), { remarketing: 0 });
    assert.deepEqual(statusesOf(read(cookies, { askAgain: { analytics: "2026-01-31T00:00:00.000Z" } })), { analytics: 1, remarketing: 0 });
});

test("statuses of any kind are read as numbers, others are no decision", () => {
    const consents = {
        analytics: { status: "1" }, remarketing: { status: false }, user_feedback: { status: true }, custom_consent: { status: "-1" },
        marketing_automation: { status: 2 }, conversion_tracking: { status: "constructor" }, preference: { status: 1 },
    };
    assert.deepEqual(statusesOf(read([{ consents }])), { analytics: 1, remarketing: 0, user_feedback: 1, custom_consent: -1 });
});

test("a decision keeps the types it does not mention", () => {
    const before = read([{ visitorId: "v", staleCheckpoint: "2026-01-01T00:00:00.000Z", consents: { analytics: given(1) } }]);
    const after = decide(before, { remarketing: 0 }, "2026-03-01T00:00:00.000Z");
    assert.deepEqual(after, {
        visitorId: "v", staleCheckpoint: "2026-01-01T00:00:00.000Z",
        consents: { analytics: given(1), remarketing: given(0, "2026-03-01T00:00:00.000Z") },
    });
    assert.deepEqual(statusesOf(before), { analytics: 1 });
});

test("Global Privacy Control rejects what is not decided", () => {
    const types = ["analytics", "remarketing", "conversion_tracking"];
    assert.deepEqual(gpcRejections(read([]), types), { remarketing: 0, conversion_tracking: 0 });
    assert.deepEqual(gpcRejections(read([{ consents: { remarketing: given(1), conversion_tracking: given(-1) } }]), types), { conversion_tracking: 0 });
});

test("the form comes for new types, and only for those", () => {
    const config = { types: ["analytics", "remarketing"], staleSeconds: -1 };
    assert.deepEqual(formAtStart(read([]), config, NOW), { types: ["analytics", "remarketing"], isStale: false });
    const one = read([{ consents: { analytics: given(-1) } }]);
    assert.deepEqual(formAtStart(one, config, NOW), { types: ["remarketing"], isStale: false });
    assert.deepEqual(newTypes(one, config.types), ["remarketing"]);
});

test("a stale visitor is asked for what is not agreed to", () => {
    const consents = { analytics: given(1), remarketing: given(0), user_feedback: given(-1) };
    const state = read([{ consents, staleCheckpoint: "2026-02-27T12:00:00.000Z" }]);
    const types = Object.keys(consents);
    const at = (staleSeconds) => formAtStart(state, { types, staleSeconds }, NOW);
    assert.deepEqual(at(DAY), { types: ["remarketing", "user_feedback"], isStale: true });
    assert.deepEqual(at(3 * DAY), { types: [], isStale: false });
    assert.deepEqual(at(-1), { types: [], isStale: false });
    assert.deepEqual(at(0).types, ["remarketing", "user_feedback"]);
});

test("settings of a wrong shape are refused, unknown types skipped", (t) => {
    const warn = t.mock.method(console, "warn", () => {});
    assert.deepEqual(statusesIn({ consents: { analytics: { status: true }, preference: { status: 1 } } }), { analytics: 1 });
    assert.equal(warn.mock.callCount(), 1);
    assert.deepEqual(statusesIn({ consents: {} }), {});
    for (const wrong of [undefined, null, "analytics", 1, {}, { consents: null }, { consents: [] }, { consents: "x" },
        { consents: { analytics: 1 } }, { consents: { analytics: {} } }, { consents: { analytics: { status: 2 } } }, { consents: { analytics: null } }]) {
        assert.equal(statusesIn(wrong), undefined, JSON.stringify(wrong));
    }
    assert.deepEqual(typesIn(["analytics", "personalization"]), ["analytics"]);
    assert.deepEqual(typesIn({ consents: ["analytics"] }), ["analytics"]);
    for (const wrong of [undefined, null, "analytics", { consents: "analytics" }, [1], { consents: { analytics: 1 } }]) {
        assert.equal(typesIn(wrong), undefined, JSON.stringify(wrong));
    }
});

test("data requests have one of three types and an address", () => {
    const request = { content: "all of it", email: "a@b.test", type: "view_data" };
    assert.deepEqual(dataRequest(request), { event: "view_data", email: "a@b.test", userRequestedInfo: "all of it" });
    assert.equal(dataRequest({ ...request, content: undefined }).userRequestedInfo, "");
    for (const wrong of [{ type: "sell_data" }, { email: "a@b" }, { email: "" }, { content: "x".repeat(4001) }, { type: undefined }]) {
        assert.equal(dataRequest({ ...request, ...wrong }), undefined);
    }
    assert.equal(dataRequest(undefined), undefined);
});

test("the language is the page's, the browser's, the app's, the first", () => {
    const offered = ["en", "de", "pt-BR"];
    const choose = (cookie, wanted, fallback = "en") => chooseLanguage(cookie, wanted, offered, fallback);
    assert.equal(choose("a=b; language=de; c=d", ["en"]), "de");
    assert.equal(choose("language=xx", ["fr", "DE-at", "en"]), "de");
    assert.equal(choose("", ["pt-br"]), "pt-BR");
    assert.equal(choose("", ["fr"], "de"), "de");
    assert.equal(choose("xlanguage=de", ["fr"], "it"), "en");
    assert.equal(directionOf("he"), "rtl");
    assert.equal(directionOf("ar-EG"), "rtl");
    assert.equal(directionOf("de"), "ltr");
});

test("Tab stays inside, both ways round", () => {
    const stops = ["close", "switch", "agree"];
    assert.equal(nextStop(stops, "agree", false), "close");
    assert.equal(nextStop(stops, "close", true), "agree");
    assert.equal(nextStop(stops, "switch", false), undefined);
    assert.equal(nextStop(stops, undefined, false), "close");
    assert.equal(nextStop(stops, undefined, true), "agree");
});

test("signals follow the types", () => {
    assert.deepEqual(signalsOf({ ad_storage: "remarketing", analytics_storage: "analytics" }, { analytics: 1, remarketing: -1 }), {
        ad_storage: "denied", analytics_storage: "granted",
    });
    assert.deepEqual(allWith(["analytics"], 1), { analytics: 1 });
});
