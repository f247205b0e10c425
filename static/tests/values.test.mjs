// The pure parts both widgets share: address, visitor ID, JSON.
import assert from "node:assert/strict";
import test from "node:test";
import { instanceAddress } from "../shared/address.js";
import { jsonText } from "../shared/json_text.js";
import { findVisitorId } from "../shared/visitor_id.js";

const ADDRESSES = [
    // domain, page's protocol, address; for Internet Explorer 8 and 9 the fourth
    ["am.example", "http:", "https://am.example", "http://am.example"],
    ["am.example", "https:", "https://am.example", "https://am.example"],
    ["am.example:8443", "http:", "https://am.example:8443", "http://am.example:8443"],
    ["am.example//", "https:", "https://am.example", "https://am.example"],
    ["am.example/piwik/", "https:", "https://am.example/piwik", "https://am.example/piwik"],
    ["http://am.example:8080", "https:", "http://am.example:8080", "https://am.example:8080"],
    ["https://am.example/", "http:", "https://am.example", "http://am.example"],
    ["//am.example/audiences/tracker/", "http:", "http://am.example/audiences/tracker", "http://am.example/audiences/tracker"],
    ["localhost:8080", "http:", "http://localhost:8080", "http://localhost:8080"],
    ["127.0.0.1:8080", "http:", "http://127.0.0.1:8080", "http://127.0.0.1:8080"],
    ["[::1]:8080", "http:", "http://[::1]:8080", "http://[::1]:8080"],
    ["localhost", "https:", "https://localhost", "https://localhost"],
    ["localhost:8080", "file:", "http://localhost:8080", "http://localhost:8080"],
    ["localhost.example", "http:", "https://localhost.example", "http://localhost.example"],
    ["127.example", "http:", "https://127.example", "http://127.example"],
];

for (const [domain, protocol, address, legacy] of ADDRESSES) {
    test(`address of ${domain} on a page of ${protocol}`, () => {
        assert.equal(instanceAddress(domain, protocol, false), address);
        assert.equal(instanceAddress(domain, protocol, true), legacy);
    });
}

const APP = "5dff7262-731e-291d-ad23-d1aea83ecd51";
const id = (digit) => digit.repeat(16);
const cookie = (value, hash = "1fff") => `_pk_id.${APP}.${hash}=${value}`;
const COOKIES = [
    ["none", "", ""],
    ["one", cookie(`${id("a")}.1600000000.1.1600000005.1600000000.`), id("a")],
    ["among others", `x=1; ${cookie(`${id("a")}.1.1.5.4.`)}; y=_pk_id.2`, id("a")],
    ["upper case", cookie(`${id("A")}.1.1.5.4.`), id("A")],
    ["only an id", cookie(id("b")), id("b")],
    ["the newest visit wins", `${cookie(`${id("a")}.1.9.5.4.`)}; ${cookie(`${id("b")}.1.1.6.4.`, "2fff")}`, id("b")],
    ["the newest visit wins, first", `${cookie(`${id("b")}.1.1.6.4.`, "2fff")}; ${cookie(`${id("a")}.1.9.5.4.`)}`, id("b")],
    ["of another app", `_pk_id.61.5596=${id("a")}.1.1.5.4.`, ""],
    ["another name with the same end", `x_pk_id.${APP}.1fff=${id("a")}.1.1.5.4.`, ""],
    ["too short", cookie("0123456789abcde.1.1.5.4."), ""],
    ["no hex", cookie("0123456789abcdeg.1.1.5.4."), ""],
    ["a bad one beside a good one", `${cookie("bad.1.1.9.4.")}; ${cookie(`${id("c")}.1.1.5.4.`, "2fff")}`, id("c")],
    ["no value", `_pk_id.${APP}.1fff; a=b`, ""],
];

for (const [name, cookies, expected] of COOKIES) {
    test(`visitor ID of cookies: ${name}`, () => assert.equal(findVisitorId(cookies, APP, undefined), expected));
}

test("without a cookie the page's tracker is asked, whatever it is", () => {
    const tracker = { getVisitorId: () => id("d") };
    assert.equal(findVisitorId("", APP, tracker), id("d"));
    assert.equal(findVisitorId("", APP, { getAsyncTracker: () => tracker }), id("d"));
    assert.equal(findVisitorId(cookie(id("a")), APP, tracker), id("a"));
    const bad = [{}, 5, "x", { getVisitorId: () => "x" }, { getVisitorId: () => { throw new Error("not ready"); } }];
    for (const one of bad) assert.equal(findVisitorId("", APP, one), "");
});

test("JSON is what JSON.parse reads back", () => {
    const values = ["", "é€😀", 'a"b\\c\n\u0000\u2028', 0, -1.5, 1e21, [], ["a", ["b"]], {}, { a: { "b c": [1] } }];
    for (const value of values) assert.deepEqual(JSON.parse(jsonText(value)), value);
    assert.equal(jsonText({ a: undefined, b: "" }), '{"b":""}');
});

test("JSON does not depend on what libraries do to prototypes", () => {
    Array.prototype.toJSON = () => "bent";
    Object.prototype.bent = 1;
    try {
        assert.equal(jsonText({ a: ["b"] }), '{"a":["b"]}');
    } finally {
        delete Array.prototype.toJSON;
        delete Object.prototype.bent;
    }
});

test("half of an emoji is not escaped: what sends it makes it well-formed", () => {
    assert.equal(jsonText("\ud83d"), '"\ud83d"');
});
