// @ts-check
// One app's consent on one page: the order of things when a visitor decides. Knows no form and no command.

import { decide, gpcRejections, isDecided, statusForUndecided, statusesOf } from "./consent_state.js";
import { signalsOf, tellGoogle } from "./consent_mode.js";
import { uuid } from "./transport.js";

/** @typedef {{method?: string, source?: number, historyIds?: Object<string, string>, isStale?: boolean}} How */

/**
 * @param {any} config  ppmsConfig, see static/consent_templates/README.md
 * @param {any} store  cookieStore or memoryStore
 * @param {any} page  window
 * @param {(message: object) => Promise<void>} post
 * @param {() => number} now
 */
export function createConsent(config, store, page, post, now) {
    const { appId, consentMode, dataLayer, enabled, gpc, types } = config;
    /** @type {Object<string, number>} */
    let before;

    /** Renews sevenTag.Consents (contract E3.28) and tells Google. @param {boolean} [isCleared] */
    const refresh = (isCleared) => {
        const state = store.read();
        const statuses = statusesOf(state);
        const moments = Object.values(state.consents).filter(isDecided).map(({ updatedAt }) => updatedAt).sort();
        if (consentMode && (isCleared || moments[0])) tellGoogle(page, "consent", "update", signalsOf(consentMode, statuses));
        page.sevenTag.Consents = {
            timestamp: moments.pop(), previous_state: before || statuses, current_state: statuses,
            consent_form_language: consent.language,
        };
        before = statuses;
    };

    /**
     * Writes the state; isKept: the browser took the cookie. The message tells the state of the types.
     * @param {Object<string, number>} statuses
     * @param {How} how
     * @param {Object<string, any>} [told]  types of the message, all by default
     */
    const record = (statuses, { method, source, historyIds = {}, isStale }, told) => {
        const decidedAt = new Date(now()).toISOString();
        const state = decide(store.read(), statuses, decidedAt);
        const { visitorId = uuid() } = state;
        const isKept = store.save({ ...state, visitorId, ...(isStale && { staleCheckpoint: decidedAt }) });
        /** @type {any} */
        const consents = {};
        for (const type in told || state.consents) consents[type] = { status: state.consents[type].status, historyId: historyIds[type] };
        if (historyIds.intro) consents.intro = { historyId: historyIds.intro };
        refresh();
        return { isKept, message: { visitorId, consents, decisionId: uuid(), decidedAt, method, source, language: consent.language } };
    };

    const consent = {
        config,
        store,
        /** @type {string | undefined} */
        language: undefined,

        /** @param {string} event @param {object} [members] */
        emit(event, members) {
            page[dataLayer].push({ event: "stg." + event, ...members });
        },

        /**
         * Of the page's cookies only the analytics ID is of use to the service (contract L4): the others stay here.
         * @param {string} event
         * @param {object} members
         * @returns {Promise<void>}
         */
        send: (event, members) => post({
            event, websiteId: appId, hostname: page.location.hostname, visitorId: store.read().visitorId, language: consent.language,
            cookies: (store.cookies().match(/\b_pk_id\.[^;]*/g) || []).join("; "),
            ...members,
        }),

        /** Counts a view or a click, best effort. @param {string} event @param {object} members */
        count(event, members) {
            if (enabled) consent.send(event, members).catch(() => {});
        },

        /**
         * A decision: cookie, then page, then service (contract L7).
         * @param {Object<string, number>} statuses
         * @param {How} how
         * @returns {Promise<boolean>}  when the service has it: whether the browser took the cookie
         */
        async save(statuses, how) {
            const { isKept, message } = record(statuses, how);
            store.remember(message);
            consent.emit("consentDecisionMade");
            await consent.deliver(message);
            return isKept;
        },

        /**
         * Notes that the visitor has seen the types: -1. What is decided stays decided.
         * @param {string[]} seen
         * @param {How} how
         */
        markSeen(seen, how) {
            const statuses = statusForUndecided(store.read(), seen, -1);
            return record(statuses, how, statuses);
        },

        /** Sends a decision and forgets it once it is taken, or can never be. @param {any} message */
        async deliver(message) {
            await consent.send("consent_change", message).catch((error) => {
                if (!error.isFinal) throw error;
            });
            store.remember(message, true);
        },

        clear() {
            store.clear();
            refresh(true);
        },

        /** Once per page: signals, sliding expiry, Global Privacy Control, and what could not be sent before. */
        async start() {
            const unsent = store.unsent();
            if (consentMode) tellGoogle(page, "consent", "default", { ...signalsOf(consentMode, {}), wait_for_update: 500 });
            refresh();
            if (enabled) {
                const state = store.read();
                if (state.visitorId) store.save(state);
                const rejected = gpcRejections(state, gpc && page.navigator.globalPrivacyControl === true ? types : []);
                if (Object.keys(rejected)[0]) consent.save(rejected, { method: "gpc" }).catch(() => {});
            }
            for (const message of unsent) await consent.deliver(message);
        },
    };
    return consent;
}
