// @ts-check
// What a page load shows by itself (contract L8), as values.

import { newTypes } from "./consent_state.js";

/**
 * The types the form asks for at a page load; none: no form.
 * @param {import("./consent_state.js").ConsentState} state
 * @param {{types: string[], staleSeconds: number}} config  staleSeconds -1: never
 * @param {number} now
 * @returns {{types: string[], isStale: boolean}}
 */
export function formAtStart(state, { types, staleSeconds }, now) {
    const asked = newTypes(state, types);
    const isStale = !asked.length && staleSeconds >= 0 && now > Date.parse(state.staleCheckpoint || "") + staleSeconds * 1e3;
    return { types: isStale ? types.filter((type) => state.consents[type].status !== 1) : asked, isStale };
}
