// @ts-check
// Arguments of the commands. They may come from another realm (an iframe's arrays and objects) and that realm may be gone a moment
// later: nothing here uses instanceof, everything is copied at once (contract E3.17a).

import { isKnownType, statusIn } from "./consent_state.js";

/** @param {string} type */
function isKnown(type) {
    return isKnownType(type) || console.warn("ppms.cm: unknown type", type);
}

/**
 * Known types in the list, undefined when it is no list of texts. A string is no list.
 * @param {any} settings  ["analytics"] or {consents: ["analytics"]}
 * @returns {string[] | undefined}
 */
export function typesIn(settings) {
    const list = Object(settings).consents || settings;
    if (Array.isArray(list) && list.every((type) => typeof type === "string")) return list.filter(isKnown);
}

/**
 * {type: status} of the known types, undefined when anything has the wrong shape.
 * @param {any} settings  {consents: {analytics: {status: 1}}}
 * @returns {Object<string, number> | undefined}
 */
export function statusesIn(settings) {
    const { consents } = Object(settings);
    if (typeof consents !== "object" || !consents || Array.isArray(consents)) return;
    /** @type {Object<string, number>} */
    const statuses = {};
    for (const type of Object.keys(consents).filter(isKnown)) {
        const status = statusIn(consents[type]);
        if (status === undefined) return;
        statuses[type] = status;
    }
    return statuses;
}

/**
 * What is sent of a data request, undefined when it is invalid (contract E4.6).
 * @param {any} request  {content, email, type}
 */
export function dataRequest(request) {
    const { content = "", email, type } = Object(request);
    const userRequestedInfo = String(content === null ? "" : content);
    if (/^(change|view|delete)_data$/.test(type) && /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email) && userRequestedInfo.length <= 4000) {
        return { event: String(type), email: String(email), userRequestedInfo };
    }
}
