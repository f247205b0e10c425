// The built files in browsers of their time (contract E0.7, E2.14).
import assert from "node:assert/strict";
import test from "node:test";
import { parse } from "acorn";
import { built, oldForm, oldWindow } from "./old_browsers.mjs";

const APP = "5dff7262-731e-291d-ad23-d1aea83ecd51";
const VISITOR = "0123456789abcdef";
const COOKIE = `_pk_id.${APP}.1fff=${VISITOR}.1600000000.1.1600000005.1600000000.`;
const STUB = (name) => `
    var ppms = window.ppms = window.ppms || {}; ppms.am = ppms.am || {}; var calls = [];
    ppms.am.${name} = function () { (ppms.am.${name}.q = ppms.am.${name}.q || []).push(arguments); };`;

test("the old browser has nothing of the new ones", () => {
    const missing = ["JSON", "Promise", "fetch", "addEventListener", "Array.isArray", "[].map", "''.trim", "Object.keys"];
    const window = oldWindow();
    for (const name of missing) assert.equal(window.run(`typeof ${name.replace(/^[a-zA-Z]+$/, "window.$&")}`), "undefined");
    assert.equal(window.run("typeof document.addEventListener"), "undefined");
});

for (const name of ["api", "form"]) {
    test(`the ${name} file is ES5`, () => {
        parse(built(name), { ecmaVersion: 5, sourceType: "script" });
    });

    test(`the ${name} file leaves no global but ppms, and runs twice without harm`, () => {
        const window = oldWindow();
        const before = new Set(Object.keys(window));
        window.load(name);
        const first = window.ppms.am[name];
        window.load(name);
        assert.equal(window.ppms.am[name], first);
        assert.deepEqual(Object.keys(window).filter((key) => !before.has(key)), ["ppms"]);
    });

    test(`the ${name} file fails silently where nothing is as it should be`, () => {
        for (const missing of ["document", "location", "XMLHttpRequest", "XDomainRequest", "setTimeout", "console"]) {
            const window = oldWindow();
            window.run(`${STUB(name)} ppms.am.${name}("create", "${APP}", "am.example", { f: true });`);
            delete window[missing];
            window.load(name);
        }
    });
}

test("api: an update goes out by XDomainRequest with the page's protocol", () => {
    const window = oldWindow({ cookie: COOKIE });
    window.run(`${STUB("api")}
        ppms.am.api("create", "${APP}", "am.example");
        ppms.am.api("updateAttributes", { color: "bl\\"ack", age: 32, brands: ["a", "b"], n: { action: "add" } },
            { user_id: 7, onFulfilled: function () { calls.push("fulfilled " + arguments.length); } });`);
    window.load("api");
    const [request] = window.requests;
    assert.equal(`${request.method} ${request.url}`, "POST http://am.example/audiences/tracker/attributes/");
    assert.deepEqual(JSON.parse(request.body), {
        attributes: [
            { name: "color", value: 'bl"ack' },
            { name: "age", value: 32 },
            { name: "brands", value: ["a", "b"] },
            { name: "n", action: "add" },
        ],
        user_id: "7",
        website_id: APP,
        analytics_visitor_id: VISITOR,
    });
    assert.equal(typeof request.onprogress, "function");
    assert.deepEqual([...window.calls], []);
    request.onload();
    window.tick();
    assert.deepEqual([...window.calls], ["fulfilled 0"]);
});

test("api: failures and timeouts of XDomainRequest are server errors, each told once", () => {
    const window = oldWindow({ cookie: COOKIE, protocol: "https:" });
    window.run(`${STUB("api")}
        function rejected(code) { calls.push(code); }
        ppms.am.api("create", "${APP}", "am.example");
        ppms.am.api("getAudiences", null, rejected);
        ppms.am.api("checkAudience", "a", null, rejected);
        ppms.am.api("getAttributes");
        ppms.am.api("getAudiences", null, rejected);`);
    window.load("api");
    window.requests[0].onerror();
    window.requests[0].ontimeout();
    window.requests[1].ontimeout();
    window.requests[2].onerror();
    // There is no JSON to read the answer with.
    window.requests[3].responseText = "[]";
    window.requests[3].onload();
    window.tick();
    assert.equal(window.requests.length, 4);
    assert.ok(window.requests.every(({ url }) => url.startsWith("https://am.example/audiences/public/api/")));
    assert.deepEqual([...window.calls], ["server_error", "server_error", "server_error"]);
    assert.deepEqual(window.log, ["ppms.am.api getAttributes: server_error"]);
});

test("api: answers are read where the browser has JSON", () => {
    const window = oldWindow({ cookie: COOKIE });
    window.JSON = JSON;
    window.run(`${STUB("api")}
        ppms.am.api("create", "${APP}", "am.example");
        ppms.am.api("checkAudience", "a b", function (isIn) { calls.push(isIn); });`);
    window.load("api");
    assert.match(window.requests[0].url, /\/audiences\/check\/\?audience_id=a%20b&website_id=/);
    window.requests[0].responseText = '{"result": true}';
    window.requests[0].onload();
    window.tick();
    assert.deepEqual([...window.calls], [true]);
});

test("form: a form used after the load is tracked, each submit once", () => {
    const form = oldForm("order", { first: "James", mail: "j@example.com", card: "4111 1111 1111 1111" });
    const window = oldWindow({ cookie: COOKIE, forms: [form] });
    window.run(`${STUB("form")} ppms.am.form("create", "${APP}", "am.example", { order: true });`);
    window.load("form");
    window.fire("onclick", { srcElement: { form } });
    window.fire("onkeydown", { srcElement: { form } });
    window.fire("onclick", { srcElement: {} });
    form.submit();
    form.submit();
    assert.equal(window.requests.length, 2);
    const [request] = window.requests;
    assert.equal(`${request.method} ${request.url}`, "POST http://am.example/audiences/tracker/forms/");
    assert.deepEqual(JSON.parse(request.body), {
        website_id: APP,
        analytics_visitor_id: VISITOR,
        email: "j@example.com",
        form_id: "order",
        url: "http://shop.example/page",
        attributes: [
            { name: "first", value: "James" },
            { name: "mail", value: "j@example.com" },
        ],
    });
    for (const name of ["onload", "onerror", "ontimeout", "onprogress"]) assert.equal(typeof request[name], "function");
});

test("form: old commands, before the load", () => {
    const forms = [oldForm("login", { a: "1" }), oldForm("order", { a: "1", b: "2" }), oldForm(null, { c: "3" })];
    const window = oldWindow({ cookie: COOKIE, forms });
    window.run(`${STUB("form")}
        ppms.am.form("set", "WebsiteID", "${APP}");
        ppms.am.form("set", "TrackerUrl", "//am.example/audiences/tracker/");
        ppms.am.form("ignore", "login"); ppms.am.form("ignore", "order", ["a"]);`);
    window.load("form");
    for (const form of forms) {
        window.fire("onclick", { srcElement: { form } });
        form.submit();
    }
    const sent = window.requests.map(({ body }) => JSON.parse(body));
    assert.deepEqual(sent.map((one) => one.form_id), ["order", "(no id)"]);
    assert.deepEqual(sent[0].attributes, [{ name: "b", value: "2" }]);
});
