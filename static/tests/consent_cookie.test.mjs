// The cookie, byte for byte: other people's scripts read it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cookieDomain, encodeCookie, readCookies } from "../widgets/consent/cookie_codec.js";
import { cookieStore } from "../widgets/consent/store.js";

const NOW = Date.parse("2026-03-01T12:00:00.000Z");
const APP = "30a851b6-6bf4-45f9-9a53-583401bb5d60";

/** js-cookie 2: the reference for the encoding. */
const jsCookie = (value) =>
    encodeURIComponent(value).replace(/%(23|24|26|2B|3A|3C|3E|3D|2F|3F|40|5B|5D|5E|60|7B|7D|7C)/g, decodeURIComponent);

function jar(start = "") {
    const kept = new Map(start.split("; ").filter(Boolean).map((one) => [one.split("=")[0], one.slice(one.indexOf("=") + 1)]));
    const written = [];
    return {
        written,
        get cookie() {
            return [...kept].map(([name, value]) => `${name}=${value}`).join("; ");
        },
        set cookie(text) {
            written.push(text);
            const [pair, ...attributes] = text.split("; ");
            const name = pair.split("=")[0];
            const expires = attributes.find((one) => one.startsWith("expires="));
            if (expires && Date.parse(expires.slice(8)) < NOW) kept.delete(name);
            else kept.set(name, pair.slice(name.length + 1));
        },
    };
}

const storeOn = (document, config = {}, hostname = "www.shop.test", protocol = "https:") => {
    const items = new Map();
    const storage = { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value), removeItem: (key) => items.delete(key) };
    return cookieStore({ appId: APP, cookieDomains: [], cookieSeconds: 31536000, ...config }, document, { hostname, protocol }, () => storage, () => NOW);
};
const state = { visitorId: "11111111-2222-4333-8444-555555555555", consents: { analytics: { status: 1, updatedAt: "2026-03-01T12:00:00.000Z" } },
    staleCheckpoint: "2026-03-01T11:59:58.000Z" };

test("every ASCII character is encoded as js-cookie does", () => {
    const text = Array.from({ length: 127 }, (_, code) => String.fromCharCode(code)).join("") + "äß漢🙂";
    assert.equal(encodeCookie(text), jsCookie(JSON.stringify(text)));
});

test("the value has its members in order, to the byte", () => {
    const document = jar();
    assert.equal(storeOn(document).save(state), true);
    const domain = "%22domain%22:{%22normalized%22:%22www.shop.test%22%2C%22isWildcard%22:false%2C%22pattern%22:%22www.shop.test%22}";
    assert.equal(
        document.written[0],
        `ppms_privacy_${APP}={%22visitorId%22:%2211111111-2222-4333-8444-555555555555%22%2C${domain}%2C` +
            "%22consents%22:{%22analytics%22:{%22status%22:1%2C%22updatedAt%22:%222026-03-01T12:00:00.000Z%22}}%2C" +
            "%22staleCheckpoint%22:%222026-03-01T11:59:58.000Z%22}; path=/; SameSite=Lax; expires=Mon, 01 Mar 2027 12:00:00 GMT; Secure",
    );
});

test("a wildcard pattern puts the cookie on the parent domain", () => {
    const document = jar();
    const store = storeOn(document, { cookieDomains: ["shop.test", "*.shop.test"] });
    store.save(state);
    assert.deepEqual(store.domain, { normalized: "shop.test", isWildcard: true, pattern: "*.shop.test" });
    assert.match(document.written[0], /; domain=shop\.test; Secure$/);
});

test("patterns fit whole labels only", () => {
    const pattern = (patterns, host) => cookieDomain(patterns, host).pattern;
    assert.equal(pattern(["*.example.com"], "a.b.example.com"), "*.example.com");
    assert.equal(pattern(["*.example.com"], "example.com"), "*.example.com");
    assert.equal(pattern(["*.example.com"], "evilexample.com"), "evilexample.com");
    assert.equal(pattern(["example.com", "*.example.com"], "example.com"), "example.com");
    assert.equal(pattern([], "127.0.0.1"), "127.0.0.1");
});

test("what the store wrote it reads again, also without https", () => {
    const document = jar("other=1; ppms_privacy_x=2");
    const store = storeOn(document, {}, "www.shop.test", "http:");
    store.save(state);
    assert.doesNotMatch(document.written[0], /Secure/);
    assert.deepEqual(store.read(), state);
    store.clear();
    assert.deepEqual(store.read().consents, {});
});

test("cookies that cannot be read are not there", () => {
    const name = `ppms_privacy_${APP}`;
    assert.deepEqual(readCookies(`${name}=%7Bhalf; ${name}=%E0%A4%A; ${name}=; a${name}={}; ${name}={}`, name), [{}]);
});

test("a browser that keeps no cookie is told from one that does", () => {
    const refusing = { get cookie() { return ""; }, set cookie(_) {} };
    assert.equal(storeOn(refusing).save(state), false);
    const sandboxed = { get cookie() { throw new Error("SecurityError"); }, set cookie(_) { throw new Error("SecurityError"); } };
    assert.equal(storeOn(sandboxed).save(state), false);
    assert.equal(storeOn(sandboxed).isBarClosed(), false);
});

test("the closed reminder is a cookie of the session", () => {
    const document = jar();
    const store = storeOn(document);
    store.closeBar();
    assert.equal(store.isBarClosed(), true);
    assert.equal(
        document.written[0],
        `ppms_privacy_bar_${APP}={%22status%22:true%2C%22domain%22:{%22normalized%22:%22www.shop.test%22%2C%22isWildcard%22:false%2C` +
            "%22pattern%22:%22www.shop.test%22}}; path=/; SameSite=Lax; Secure",
    );
});

test("at most twenty messages wait, each once", () => {
    const store = storeOn(jar());
    for (let number = 0; number < 25; number += 1) store.remember({ decisionId: `d${number}` });
    store.remember({ decisionId: "d24" });
    assert.equal(store.unsent().length, 20);
    assert.equal(store.unsent()[19].decisionId, "d24");
    for (let number = 0; number < 25; number += 1) store.remember({ decisionId: `d${number}` }, true);
    assert.deepEqual(store.unsent(), []);
});
