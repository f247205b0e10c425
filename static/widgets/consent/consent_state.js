// @ts-check
// What a visitor decided, as values: no document, no clock, no storage.

/** @typedef {{status: number, updatedAt?: string}} Consent */
/** @typedef {{visitorId?: string, consents: Object<string, Consent>, staleCheckpoint?: string}} ConsentState */

const TYPES = ["analytics", "ab_testing_and_personalization", "conversion_tracking", "marketing_automation", "remarketing", "user_feedback", "custom_consent"];

/** Pages send booleans and digits as text (contract E3.17). @type {any} */
const STATUSES = { __proto__: null, "-1": -1, 0: 0, 1: 1, false: 0, true: 1 };

/** @param {any} type */
export const isKnownType = (type) => TYPES.includes(type);

/**
 * -1, 0 or 1, undefined for anything else.
 * @param {any} consent  {status}
 * @returns {number | undefined}
 */
export const statusIn = (consent) => STATUSES[Object(consent).status];

/** @param {Consent | undefined} consent @returns {boolean} */
export const isDecided = (consent) => !!consent && consent.status >= 0;

/**
 * The state a cookie holds. Any member may be missing (cookies of 2021 have no visitorId and no staleCheckpoint), and a decision
 * that is too old, or older than a text that asks again, counts as none.
 * @param {any[]} cookies  values of all cookies of the name; the one of the current pattern counts (contract L9)
 * @param {string} pattern
 * @param {{validSeconds?: number, askAgain?: Object<string, string>}} config
 * @param {number} now  milliseconds
 * @returns {ConsentState}
 */
export function readState(cookies, pattern, { validSeconds, askAgain }, now) {
    const cookie = cookies.find(({ domain }) => Object(domain).pattern === pattern) || cookies[0] || {};
    /** @type {Object<string, Consent>} */
    const consents = {};
    for (const type in cookie.consents) {
        const status = statusIn(cookie.consents[type]);
        const { updatedAt } = Object(cookie.consents[type]);
        const decided = Date.parse(updatedAt);
        const isOver = validSeconds && decided + validSeconds * 1e3 < now || decided < Date.parse(Object(askAgain)[type]);
        if (isKnownType(type) && status !== undefined && (status < 0 || !isOver)) consents[type] = { status, updatedAt };
    }
    return { visitorId: cookie.visitorId, consents, staleCheckpoint: cookie.staleCheckpoint };
}

/**
 * Types of the setup that the visitor was not asked yet.
 * @param {ConsentState} state
 * @param {string[]} types
 */
export const newTypes = ({ consents }, types) => types.filter((type) => !consents[type]);

/**
 * The state after a decision (or after the form was shown: -1). Types that are not mentioned stay.
 * @param {ConsentState} state
 * @param {Object<string, number>} statuses
 * @param {string} updatedAt  ISO time
 * @returns {ConsentState}
 */
export function decide({ visitorId, consents, staleCheckpoint }, statuses, updatedAt) {
    consents = { ...consents };
    for (const type in statuses) consents[type] = { status: statuses[type], updatedAt };
    return { visitorId, consents, staleCheckpoint: staleCheckpoint || updatedAt };
}

/**
 * {type: status} of every type in the state.
 * @param {ConsentState} state
 */
export function statusesOf({ consents }) {
    /** @type {Object<string, number>} */
    const statuses = {};
    for (const type in consents) statuses[type] = consents[type].status;
    return statuses;
}

/**
 * {type: status} with one status for all.
 * @param {string[]} types
 * @param {number} status
 */
export const allWith = (types, status) => statusForUndecided({ consents: {} }, types, status);

/**
 * {type: status} of the types that are not decided.
 * @param {ConsentState} state
 * @param {string[]} types
 * @param {number} status
 */
export function statusForUndecided({ consents }, types, status) {
    /** @type {Object<string, number>} */
    const statuses = {};
    for (const type of types) if (!isDecided(consents[type])) statuses[type] = status;
    return statuses;
}

/**
 * What Global Privacy Control rejects: selling and sharing, unless the visitor decided otherwise (contract L10).
 * @param {ConsentState} state
 * @param {string[]} types
 */
export const gpcRejections = (state, types) =>
    statusForUndecided(state, types.filter((type) => type === "remarketing" || type === "conversion_tracking"), 0);
