// @ts-check
// What js-cookie writes and reads, byte for byte (contract E3.21): encodeURIComponent, then # $ & + / : < = > ? @ [ ] ^ ` { | }
// decoded back. Other people's scripts read this cookie.

const DECODED_BACK = /%(2[346BF]|3[AC-F]|40|5[BDE]|60|7[BCD])/g;

/** @param {unknown} value */
export const encodeCookie = (value) => encodeURIComponent(JSON.stringify(value)).replace(DECODED_BACK, decodeURIComponent);

/**
 * Values of every cookie of that name (host and parent domain may both hold one), in the browser's order.
 * What is no JSON object is left out.
 * @param {string} cookieString  document.cookie
 * @param {string} name
 * @returns {any[]}
 */
export function readCookies(cookieString, name) {
    return cookieString
        .split(/; */)
        .filter((pair) => pair.startsWith(name + "="))
        .map((pair) => {
            try {
                return Object(JSON.parse(decodeURIComponent(pair.slice(name.length + 1))));
            } catch (_) {
                // Somebody else's or a truncated value: as if it were not there.
            }
        })
        .filter(Boolean);
}

/**
 * The domain member of the cookie: the first pattern that fits the host, else the host alone.
 * `*.example.com` fits example.com and a.b.example.com, not evilexample.com.
 * @param {string[]} patterns
 * @param {string} hostname
 */
export function cookieDomain(patterns, hostname) {
    const pattern = patterns.find((one) => one === hostname || (one[0] === "*" && ("." + hostname).endsWith(one.slice(1)))) || hostname;
    const isWildcard = pattern[0] === "*";
    return { normalized: pattern.slice(isWildcard ? 2 : 0), isWildcard, pattern };
}
