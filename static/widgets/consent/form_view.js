// @ts-check
// The consent form on the screen. Knows what is shown and what was pressed, nothing of consents.

import { trapTab } from "./focus_trap.js";

/** @typedef {import("./templates.js").Template} Template */

/**
 * Puts the form on the page, without moving anything of it.
 * @param {HTMLElement} root  filled with the template
 * @param {{isBar: boolean, types: string[], statuses: Object<string, number>, languages: string[], hasGpc: boolean}} shown
 *     types: asked for; statuses: switches that are on: 1; hasGpc: the note about Global Privacy Control is shown
 * @param {() => void} onEscape
 * @param {(language: string) => void} onLanguage
 */
export function showForm(root, { isBar, types, statuses, languages, hasGpc }, onEscape, onLanguage) {
    const find = (/** @type {string} */ selector) => /** @type {any} */ (root.querySelector(selector));
    const popup = find("#ppms_cm_popup_wrapper");
    const details = find("details");
    const select = find("select");
    const back = /** @type {HTMLElement} */ (document.activeElement);
    const focus = (/** @type {HTMLElement} */ element) => element.focus({ preventScroll: true });
    const switches = [...root.querySelectorAll("input")].filter((input) => {
        input.checked = statuses[input.value] === 1;
        return types.includes(input.value) || /** @type {Element} */ (input.closest("li")).remove();
    });

    root.className += " ppms_cm_consent_popup ppms_cm_" + (isBar ? "bar" : "popup");
    if (isBar) popup.removeAttribute("aria-modal");
    else if (details) details.open = true;
    if (!hasGpc) find(".ppms_cm_gpc_note").remove();
    if (!languages[1]) select.remove();
    select.value = root.lang;
    select.onchange = () => onLanguage(select.value);

    const onKey = (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Escape" && (!isBar || root.contains(document.activeElement))) onEscape();
        else if (!isBar) trapTab(event, popup);
    };
    addEventListener("keydown", onKey);
    document.body.append(root);
    // A bar takes the focus only from nobody, and hides nothing that gets it.
    if (!isBar || back === document.body) focus(popup);
    if (isBar) find("style").sheet.insertRule("html{scroll-padding-bottom:" + popup.offsetHeight + "px}");

    return {
        focus: () => focus(popup),
        focusLanguage: () => focus(select),
        /** {type: 0 | 1} of the switches. */
        choices() {
            /** @type {Object<string, number>} */
            const choices = {};
            for (const { value, checked } of switches) choices[value] = +checked;
            return choices;
        },
        remove() {
            removeEventListener("keydown", onKey);
            root.remove();
            if (back && back.isConnected) focus(back);
        },
    };
}
