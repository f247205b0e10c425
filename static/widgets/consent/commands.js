// @ts-check
// The commands of ppms.cm.api (contract E3.5-E3.20), one table. A command gets (fulfil, reject, argument); one that names no third
// parameter takes no argument, its callbacks come first.

import { newTypes } from "./consent_state.js";
import { dataRequest, statusesIn, typesIn } from "./command_arguments.js";

// In the order of their numbers in the statistics, from 1.
const VIEWS = ["MainForm", "ReminderWidget", "PrivacyPolicyLink"];
const CLICKS = ["AgreeToAll", "RejectAll", "SaveChoices", "CloseButton"];

/** @typedef {(...results: any[]) => any} Callback */

/**
 * @param {ReturnType<typeof import("./consent.js").createConsent>} consent
 * @returns {Object<string, (fulfil: Callback, reject: Callback, argument?: any) => any>}
 */
export function createCommands(consent) {
    const { config: { enabled, types }, store, emit } = consent;
    const setup = enabled ? types : [];
    const consents = () => store.read().consents;

    /** @type {any} */
    const commands = {
        getComplianceTypes: (/** @type {Callback} */ fulfil) => fulfil([...new Set([...setup, ...Object.keys(consents())])]),

        getNewComplianceTypes: (/** @type {Callback} */ fulfil) => fulfil(newTypes(store.read(), setup)),

        getComplianceSettings(/** @type {Callback} */ fulfil) {
            const value = consents();
            // Without a decision pages expect an empty object, and read .consents.analytics of it (contract E3.16).
            fulfil(Object.defineProperty({}, "consents", { value, enumerable: !!Object.keys(value)[0] }));
        },

        setInitialComplianceSettings(/** @type {Callback} */ fulfil, /** @type {Callback} */ reject, /** @type {any} */ settings) {
            const seen = typesIn(settings);
            if (!enabled) return reject("consent_disabled");
            if (!seen) return reject("invalid_settings");
            const { isKept, message } = consent.markSeen(seen, {});
            if (Object.keys(message.consents)[0]) consent.count("consent_change", message);
            isKept ? fulfil() : reject("cookie_refused");
        },

        async setComplianceSettings(/** @type {Callback} */ fulfil, /** @type {Callback} */ reject, /** @type {any} */ settings) {
            const statuses = statusesIn(settings);
            if (!enabled) return reject("consent_disabled");
            if (!statuses) return reject("invalid_settings");
            if (!Object.keys(statuses)[0]) return fulfil();
            let errorMessage = "cookie_refused";
            try {
                const saved = consent.save(statuses, { method: "api" });
                emit("pageView", { start: Date.now() });
                if (await saved) return fulfil();
            } catch (/** @type {any} */ error) {
                errorMessage = error.text;
            }
            reject({ errorMessage, consents: consents() });
        },

        clearConsentSettings(/** @type {Callback} */ fulfil) {
            consent.clear();
            fulfil();
        },

        sendDataRequest(/** @type {Callback} */ fulfil, /** @type {Callback} */ reject, /** @type {any} */ request) {
            const checked = dataRequest(request);
            if (!checked) return reject("invalid_request");
            consent.send(checked.event, checked).then(() => fulfil(), ({ isFinal }) => reject(isFinal ? "invalid_request" : "server_error"));
        },

        // Of 2018, replaced by setInitialComplianceSettings.
        sendInitialStats: (/** @type {Callback} */ fulfil, /** @type {Callback} */ _, /** @type {any} */ _types) => fulfil(),

        // Of the built-in form; with a form of the page's own it does nothing and calls nobody (contract E3.19).
        openConsentForm() {},
    };

    const count = (/** @type {string} */ name, /** @type {string} */ event, /** @type {string} */ message, /** @type {object} */ members) => {
        commands["track" + name] = (/** @type {Callback} */ fulfil) => {
            emit(event);
            consent.count(message, members);
            fulfil();
        };
    };
    VIEWS.forEach((view, index) =>
        count(view + "View", "consentFormView" + view.replace(/Form|Widget|Link/, ""), "form_view", { source: index + 1 }),
    );
    CLICKS.forEach((click, index) =>
        count(click + "Click", click[0].toLowerCase() + click.slice(1) + "Clicked", "form_click", { button: index + 1 }),
    );
    return commands;
}

/**
 * Runs one command; never throws. Callbacks are called later, each by itself: one that throws, or that lived in an iframe
 * that is gone, disturbs nobody.
 * @param {Object<string, Function>} commands
 * @param {string} name
 * @param {any[]} parameters
 */
export function runCommand(commands, name, parameters) {
    if (!Object.keys(commands).includes(name)) return console.warn("ppms.cm: unknown command", name);
    const command = commands[name];
    const [onFulfilled, onRejected] = parameters.slice(command.length > 2 ? 1 : 0);
    const fulfil = (/** @type {any[]} */ ...results) => typeof onFulfilled === "function" && setTimeout(onFulfilled, 0, ...results);
    const reject = (/** @type {any} */ error) =>
        typeof onRejected === "function" ? setTimeout(onRejected, 0, error) : console.error("ppms.cm:", name, error);
    (async () => command(fulfil, reject, parameters[0]))().catch(reject);
}
