// Which forms and fields are tracked when several calls configure them (contract E2.2, E2.3, E2.6, E2.7).
import assert from "node:assert/strict";
import test from "node:test";
import { addForms, isSent } from "../widgets/form_tracker/configuration.js";
import { runCommand } from "../widgets/form_tracker/trackers.js";

const FIELDS = ["a", "b", "c", "d"];
const white = (...fields) => ({ type: "whitelist", fields });
const black = (...fields) => ({ type: "blacklist", fields });

/** The fields of form f that are sent, null when nothing of it is. */
function sent(isOpen, ...given) {
    const configuration = { isOpen, rules: {} };
    for (const one of given) addForms(configuration, { f: one });
    return isSent(configuration, "f") ? FIELDS.filter((name) => isSent(configuration, "f", name)).join("") : null;
}

const TABLE = [
    // trackingType whitelist: what any call sends
    [false, [], null],
    [false, [true], "abcd"],
    [false, [false], null],
    [false, [white("a", "b")], "ab"],
    [false, [black("a", "b")], "cd"],
    [false, [black()], "abcd"],
    [false, [white()], null],
    [false, [true, white("a")], "abcd"],
    [false, [black("a"), true], "abcd"],
    [false, [white("a"), white("b")], "ab"],
    [false, [black("a", "b"), black("b", "c")], "acd"],
    [false, [white("a"), black("a", "b")], "acd"],
    [false, [black("a", "b"), white("a")], "acd"],
    [false, [white("a"), black("a", "b"), white("b")], "abcd"],
    // trackingType blacklist: what all calls send; true ignores the form
    [true, [], "abcd"],
    [true, [true], null],
    [true, [white("a", "b")], "ab"],
    [true, [black("a", "b")], "cd"],
    [true, [black()], "abcd"],
    [true, [true, white("a")], null],
    [true, [black("a"), true], null],
    [true, [white("a", "b"), white("b", "c")], "b"],
    [true, [black("a"), black("b")], "cd"],
    [true, [white("a", "b"), black("a")], "b"],
    [true, [black("a"), white("a", "b")], "b"],
    // what can't be understood sends nothing
    [false, [{ type: "greylist", fields: ["a"] }], null],
    [false, [{ type: "whitelist", fields: "a" }], null],
    [false, ["yes"], null],
    [true, [{ type: "blacklist" }], null],
];

for (const [isOpen, given, expected] of TABLE) {
    test(`${isOpen ? "blacklist" : "whitelist"}: ${JSON.stringify(given)} sends ${expected}`, () => {
        assert.equal(sent(isOpen, ...given), expected);
    });
}

test("names that every object has are ordinary", () => {
    const configuration = { isOpen: false, rules: {} };
    assert.equal(isSent(configuration, "constructor"), false);
    addForms(configuration, { toString: white("valueOf") });
    assert.equal(isSent(configuration, "toString", "valueOf"), true);
    assert.equal(isSent(configuration, "toString", "hasOwnProperty"), false);
});

test("a page's list may change afterwards", () => {
    const configuration = { isOpen: false, rules: {} };
    const fields = ["a"];
    addForms(configuration, { f: { type: "whitelist", fields } });
    fields.push("b");
    assert.equal(isSent(configuration, "f", "b"), false);
});

function run(...commands) {
    const trackers = {};
    for (const command of commands) runCommand(trackers, command, (domain) => `https:${domain}`);
    return Object.values(trackers);
}

test("calls with the same options share a tracker, others have their own", () => {
    const trackers = run(
        ["create", "app", "//h", { f: white("a") }],
        ["create", "app", "//h", { f: white("b") }, { useLabels: false, trackingType: "whitelist" }],
        ["create", "app", "//h", { f: true }, { useLabels: true }],
        ["create", "app", "//h", {}, { trackingType: "blacklist" }],
        ["create", "other", "//h", { f: true }],
        ["create", "app", "//other", { f: true }]
    );
    assert.equal(trackers.length, 5);
    assert.equal(trackers[0].url, "https://h/audiences/tracker/forms/");
    assert.ok(isSent(trackers[0], "f", "a") && isSent(trackers[0], "f", "b"));
    assert.ok(!isSent(trackers[0], "f", "c"));
});

test("old commands track all forms but those ignored", () => {
    const [tracker, ...others] = run(
        ["ignore", "login"],
        ["set", "WebsiteID", "app"],
        ["set", "TrackerUrl", "//am.example/audiences/tracker"],
        ["set", "StaticUrl", "//am.example/audiences/static/widget/"],
        ["ignore", "order", ["a"]],
        ["ignore", "order", ["b"]],
        ["ignore", "news", []]
    );
    assert.deepEqual(others, []);
    assert.equal(tracker.appId, "app");
    assert.equal(tracker.url, "https://am.example/audiences/tracker/forms/");
    assert.equal(isSent(tracker, "login"), false);
    assert.deepEqual(FIELDS.filter((name) => isSent(tracker, "order", name)), ["c", "d"]);
    assert.equal(isSent(tracker, "news", "a"), true);
    assert.equal(isSent(tracker, "any other", "a"), true);
});

test("an unknown or empty command does no harm", () => {
    for (const tracker of run([], ["nonsense"], ["create"], ["set"], ["create", "app"])) {
        assert.ok(!(tracker.appId && tracker.url));
    }
});
