// @ts-check
// The built-in consent form: when it is shown, and what its buttons do. The form, the note after it and the reminder are templates.

import { formAtStart } from "./form_start.js";
import { showForm } from "./form_view.js";
import { startReminder } from "./reminder.js";
import { allWith, statusesOf } from "./consent_state.js";

const VIEWS = ["MainForm", "ReminderWidget", "PrivacyPolicyLink"];
/** @type {Object<string, [string, string?]>} */
const BUTTONS = {
    "ppms_cm_agree-to-all": ["AgreeToAll", "agree_all"],
    "ppms_cm_reject-all": ["RejectAll", "reject_all"],
    "ppms_cm_save-choices": ["SaveChoices", "save"],
    "ppms_cm_close-popup": ["CloseButton"],
};
const NOTE_SECONDS = 8;
const nothing = () => {};

/**
 * @param {import("./container.js").Container} container
 * @param {ReturnType<typeof import("./templates.js").createTemplates>} templates
 */
export function startForm({ consent, commands }, templates) {
    const { config, store } = consent;
    const { languages, types: setup } = config;
    const id = "ppms_cm_consent_popup_" + config.appId;
    /** @type {Promise<void> | undefined} */
    let opening;
    /** @type {ReturnType<typeof showForm> | undefined} */
    let view;
    let note = templates.surface();

    const statuses = () => statusesOf(store.read());

    /**
     * Renders the form; again in another language with the choices made so far. Gives what a decision has to say.
     * @param {string[]} types
     * @param {number} source
     * @param {string} [language]
     */
    const render = async (types, source, language) => {
        const find = await templates.load(language);
        const template = find("simple_consent_form") || find("extended_consent_form");
        if (!template) throw "server_error";
        /** @type {Object<string, string>} */
        const historyIds = {};
        for (const key of ["intro", ...types]) historyIds[key] = template.templateHistory[key];
        const how = { source, historyIds };

        /** @param {string} button */
        const press = (button) => {
            if (!BUTTONS[button] || !view) return;
            const [click, method] = BUTTONS[button];
            const choices = method === "save" ? view.choices() : allWith(types, +(method === "agree_all"));
            commands["track" + click + "Click"](nothing, nothing);
            view.remove();
            view = undefined;
            if (method) decide(choices, { ...how, method });
            else reminder.show();
        };
        const hasGpc = config.gpc && /** @type {any} */ (navigator).globalPrivacyControl === true;
        const shown = { isBar: template.configuration.position === "bar", types, statuses: view ? view.choices() : statuses(), languages, hasGpc };
        const root = templates.surface();
        root.id = id;
        if (view) view.remove();
        view = showForm(templates.fill(root, template, press), shown, () => press("ppms_cm_close-popup"), (chosen) => {
            render(types, source, chosen).then(() => {
                // Remembered for the session, unless the cookie is the page's own.
                if (!/(^|; )language=/.test(store.cookies())) document.cookie = "language=" + chosen + "; path=/; SameSite=Lax";
                if (view) view.focusLanguage();
            }, nothing);
        });
        return how;
    };

    /** @param {string[]} types @param {number} source @param {boolean} [isStale] */
    const show = async (types, source, isStale) => {
        const how = await render(types, source);
        reminder.hide();
        // The visitor has seen them (contract L8); of the view itself the service is told.
        consent.markSeen(types, { ...how, isStale });
        commands["track" + VIEWS[source - 1] + "View"](nothing, nothing);
    };

    /** @param {string[]} types @param {number} source @param {boolean} [isStale] @returns {Promise<void>} */
    const open = (types, source, isStale) => {
        if (view) view.focus();
        else opening = opening || show(types, source, isStale).finally(() => (opening = undefined));
        return opening || Promise.resolve();
    };

    /** @param {Object<string, number>} choices @param {any} how */
    const decide = (choices, how) => {
        // What could not be sent stays in the store and is sent at the next page load.
        consent.save(choices, how).catch(nothing);
        reminder.show();
        thank().catch(nothing);
    };

    /** The note after a decision: goes by itself, but not while somebody is on it. */
    const thank = async () => {
        const template = (await templates.load())("extended_consent_form_success_note");
        if (!template) return;
        const root = templates.surface();
        root.setAttribute("role", "status");
        note.remove();
        note = root;
        document.body.append(root);
        templates.fill(root, template, () => root.remove());
        const leave = () => (root.matches(":hover,:focus-within") ? setTimeout(leave, 1e3) : root.remove());
        setTimeout(leave, NOTE_SECONDS * 1e3);
    };

    const reminder = startReminder(consent, templates, () => !!view, () => {
        commands.trackRejectAllClick(nothing, nothing);
        decide(allWith(setup, 0), { method: "reject_all", source: 2 });
    });

    commands.openConsentForm = (fulfil, reject) => {
        if (!config.enabled || !setup[0]) return reject("consent_disabled");
        open(setup, 3).then(() => fulfil(id, [...setup], setup.filter((/** @type {string} */ type) => statuses()[type] === 1)), reject);
    };
    if (!config.enabled || !setup[0]) return;

    addEventListener("click", ({ target }) => {
        const found = /** @type {Element} */ (target).closest("#ppms_cm_privacy_settings_button,#ppms_cm_open-popup,.ppms_cm_open-popup_link");
        if (found) open(setup, found.closest("#ppms_cm_reminder") ? 2 : 3).catch(nothing);
    });
    const start = () => {
        const { types, isStale } = formAtStart(store.read(), config, Date.now());
        types[0] ? open(types, 1, isStale).catch(nothing) : reminder.show();
    };
    document.body ? start() : addEventListener("DOMContentLoaded", start);
}
