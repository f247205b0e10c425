// @ts-check
// The reminder: without a decision it reminds; after one it is the way back, and takes consent back with one click.

import { statusesOf } from "./consent_state.js";

/**
 * @param {import("./container.js").Container["consent"]} consent
 * @param {ReturnType<typeof import("./templates.js").createTemplates>} templates
 * @param {() => boolean} isFormOpen
 * @param {() => void} onWithdraw
 */
export function startReminder({ config, store }, templates, isFormOpen, onWithdraw) {
    const root = templates.surface();
    // The keyboard goes on where it was when the reminder comes back in place of another or of the form.
    let hadFocus = false;

    const hide = () => {
        hadFocus = hadFocus || root.contains(document.activeElement);
        root.remove();
    };

    const press = (/** @type {string} */ button) => {
        if (button === "ppms_cm_withdraw") onWithdraw();
        if (button === "ppms_cm_close-reminder") {
            store.closeBar();
            root.remove();
        }
    };

    return {
        hide,
        /** Shows what fits the state, in place of what is there. */
        async show() {
            if (store.isBarClosed()) return;
            const template = await templates.load().then((find) => find("reminder_widget"), () => {});
            const statuses = statusesOf(store.read());
            const isDecided = config.types.every((/** @type {string} */ type) => statuses[type] >= 0);
            hide();
            if (!template || isFormOpen() || (isDecided && !template.configuration.afterDecision)) return;
            templates.fill(root, template, press).classList.toggle("ppms_cm_decided", isDecided);
            const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (root.querySelector(id));
            if (!Object.values(statuses).includes(1)) find("#ppms_cm_withdraw").remove();
            document.body.append(root);
            if (hadFocus) find("#ppms_cm_open-popup").focus({ preventScroll: true });
            hadFocus = false;
        },
    };
}
