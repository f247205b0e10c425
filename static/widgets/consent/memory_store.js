// @ts-check
// The store of the unit tests: same methods as cookieStore, kept in one object.

import { readState } from "./consent_state.js";

/** @param {any} config @param {() => number} now */
export function memoryStore(config, now) {
    const domain = { normalized: "shop.test", isWildcard: false, pattern: "shop.test" };
    /** @type {any} */
    const kept = { cookies: [], unsent: [], isBarClosed: false, isBroken: false };
    return {
        kept,
        domain,
        cookies: () => "",
        read: () => readState(kept.cookies, domain.pattern, config, now()),
        /** @param {any} state */
        save(state) {
            if (!kept.isBroken) kept.cookies = [JSON.parse(JSON.stringify(Object.assign({ domain }, state)))];
            return !kept.isBroken;
        },
        clear() {
            kept.cookies = [];
        },
        isBarClosed: () => kept.isBarClosed,
        closeBar() {
            kept.isBarClosed = true;
        },
        unsent: () => kept.unsent,
        /** @param {any} message @param {boolean} [isSent] */
        remember(message, isSent) {
            kept.unsent = kept.unsent.filter((/** @type {any} */ one) => one.decisionId !== message.decisionId);
            if (!isSent) kept.unsent.push(message);
        },
    };
}
