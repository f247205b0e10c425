// The pure parts of ppms.am.api: what a command asks for, what an answer means (contract E1).
import assert from "node:assert/strict";
import test from "node:test";
import { errorOf, readAnswer } from "../widgets/audience_api/answers.js";
import { describeCall } from "../widgets/audience_api/commands.js";

const f = () => {};
const r = () => {};

const READS = [
    [["getAudiences", f, r], "audiences/?"],
    [["checkAudience", "a&b", f, r], "audiences/check/?audience_id=a%26b&"],
    [["getAttributes", f, r], "attributes/?"],
];

for (const [args, path] of READS) {
    test(`${args[0]} has its path and its callbacks`, () => {
        const call = describeCall([...args]);
        assert.equal(call.path, path);
        assert.deepEqual([call.handlers.onFulfilled, call.handlers.onRejected], [f, r]);
        assert.equal(call.item, undefined);
    });
}

const INVALID = [
    [], [null], ["nonsense"], ["toString"], ["__proto__"], ["checkAudience"], ["checkAudience", 5], ["checkAudience", null],
    ["updateAttributes"], ["updateAttributes", null], ["updateAttributes", []], ["updateAttributes", "a"],
    ["updateAttributes", { a: null }], ["updateAttributes", { a: undefined }], ["updateAttributes", { a: true }],
    ["updateAttributes", { a: f }], ["updateAttributes", { a: {} }], ["updateAttributes", { a: { action: "set" } }],
    ["updateAttributes", { a: { action: "add", value: null } }], ["updateAttributes", { a: { action: "add", value: {} } }],
];

for (const args of INVALID) {
    test(`can't be sent: ${args.map((arg) => JSON.stringify(arg) ?? "undefined").join(" ")}`, () => {
        const call = describeCall([...args]);
        assert.ok(!call.path && !call.item);
    });
}

test("an update has one entry for each attribute", () => {
    const list = ["a"];
    const attributes = { text: "", number: 0, list, add: { action: "add" }, set: { value: "x" }, more: { action: "add", value: -1.5 } };
    const { item } = describeCall(["updateAttributes", attributes, { user_id: "m", email: "", device_id: 7 }]);
    list.push("b");
    assert.deepEqual(item, {
        attributes: [
            { name: "text", action: undefined, value: "" },
            { name: "number", action: undefined, value: 0 },
            { name: "list", action: undefined, value: ["a"] },
            { name: "add", action: "add", value: undefined },
            { name: "set", action: undefined, value: "x" },
            { name: "more", action: "add", value: -1.5 },
        ],
        user_id: "m",
        email: undefined,
        device_id: "7",
    });
});

test("no attributes are an update as well: it ties identifiers", () => {
    assert.deepEqual(describeCall(["updateAttributes", {}, null]).item.attributes, []);
});

const STATUSES = [
    [200, ""], [204, ""], [202, ""], [0, "server_error"], [301, "server_error"], [400, "bad_request"], [401, "server_error"],
    [403, "forbidden"], [404, "not_found"], [413, "bad_request"], [429, "server_error"], [500, "server_error"], [503, "server_error"],
];

for (const [status, code] of STATUSES) {
    test(`status ${status} is ${code || "success"}`, () => assert.equal(errorOf(status), code));
}

test("answers are read, others are errors", () => {
    assert.deepEqual(readAnswer("getAudiences", '["a"]'), ["a"]);
    assert.equal(readAnswer("checkAudience", '{"result": false}'), false);
    assert.deepEqual(readAnswer("getAttributes", "[]"), { analytics: {}, attributes: {} });
    const bad = [["getAudiences", "{}"], ["checkAudience", "[]"], ["checkAudience", '{"result": 1}'], ["getAttributes", "{}"],
        ["getAttributes", '[{"name": "a", "field_type": "other"}]'], ["getAudiences", ""], ["getAudiences", "null"]];
    for (const [name, text] of bad) assert.throws(() => readAnswer(name, text), undefined, `${name} ${text}`);
});
