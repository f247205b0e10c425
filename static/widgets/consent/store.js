// @ts-check
// Where the state is kept: cookies for the decisions (other people's scripts read them), local storage for what could not be sent yet.
// Both may throw, as in a sandboxed frame: then nothing is kept, and save() says so.

import { cookieDomain, encodeCookie, readCookies } from "./cookie_codec.js";
import { readState } from "./consent_state.js";

const MAX_UNSENT = 20;

/**
 * What `action` returns, undefined when it throws.
 * @template T
 * @param {() => T} action
 */
function attempt(action) {
    try {
        return action();
    } catch (_) {
        // See above.
    }
}

/**
 * @param {any} config
 * @param {{cookie: string}} jar  document
 * @param {{hostname: string, protocol: string}} place  location
 * @param {() => Storage} storage
 * @param {() => number} now
 */
export function cookieStore({ appId, cookieDomains, cookieSeconds, ...config }, jar, place, storage, now) {
    const name = "ppms_privacy_" + appId;
    const barName = "ppms_privacy_bar_" + appId;
    const unsentName = "ppms_privacy_unsent_" + appId;
    const domain = cookieDomain(cookieDomains, place.hostname);
    const cookies = () => attempt(() => jar.cookie) || "";
    const read = (/** @type {string} */ key) => readCookies(cookies(), key);

    /** Without seconds until the browser is closed. */
    const write = (/** @type {string} */ key, /** @type {any} */ value, /** @type {number} */ seconds, isWildcard = domain.isWildcard) =>
        attempt(() => {
            jar.cookie = key + "=" + encodeCookie(value) + "; path=/; SameSite=Lax" +
                (seconds ? "; expires=" + new Date(now() + seconds * 1e3).toUTCString() : "") +
                (isWildcard ? "; domain=" + domain.normalized : "") + (place.protocol === "https:" ? "; Secure" : "");
        });
    const unsent = () => attempt(() => JSON.parse(/** @type {string} */ (storage().getItem(unsentName)))) || [];

    return {
        cookies,
        domain,
        read: () => readState(read(name), domain.pattern, config, now()),
        /** @param {import("./consent_state.js").ConsentState} state @returns {boolean} whether the browser kept it */
        save({ visitorId, consents, staleCheckpoint }) {
            const value = { visitorId, domain, consents, staleCheckpoint };
            write(name, value, cookieSeconds);
            return read(name).some((one) => encodeCookie(one) === encodeCookie(value));
        },
        clear() {
            write(name, 0, -1);
            write(name, 0, -1, false);
        },
        isBarClosed: () => !!read(barName).length,
        closeBar: () => write(barName, { status: true, domain }, 0),
        unsent,
        /**
         * Keeps or, with `isSent`, forgets one message.
         * @param {{decisionId: string}} message
         * @param {boolean} [isSent]
         */
        remember(message, isSent) {
            const others = unsent().filter((/** @type {any} */ one) => one.decisionId !== message.decisionId);
            if (!isSent) others.push(message);
            attempt(() =>
                others.length
                    ? storage().setItem(unsentName, JSON.stringify(others.slice(-MAX_UNSENT)))
                    : storage().removeItem(unsentName),
            );
        },
    };
}
