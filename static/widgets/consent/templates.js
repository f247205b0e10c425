// @ts-check
// The templates of the form and the widgets: fetched when the first one is needed, once per language.

import { chooseLanguage, directionOf } from "./language.js";

/** @typedef {{html: string, styles: string, configuration: any, templateHistory: Object<string, string>}} Template */

/**
 * @param {import("./container.js").Container} container
 * @param {string} file  privacy-templates.json or privacy-widgets.json
 */
export function createTemplates({ consent, base, nonce }, file) {
    const { config, store } = consent;
    /** @type {Object<string, Promise<any>>} */
    const answers = {};
    consent.language = chooseLanguage(store.cookies(), navigator.languages, config.languages, config.defaultLanguage);

    /** An element that a policy lets pass for the page's nonce. @param {string} name @param {string | null} text */
    const allowed = (name, text) => {
        const element = document.createElement(name);
        element.nonce = nonce || "";
        element.textContent = text;
        return element;
    };

    return {
        /**
         * Gives the templates of a language, which is then the one spoken: key => template, undefined when it is off.
         * Rejects with `server_error`.
         * @returns {Promise<(key: string) => Template | undefined>}
         */
        async load(language = consent.language || "") {
            const url = base + "/containers/" + config.appId + "/" + file + "?language=" + language;
            try {
                answers[language] = answers[language] || fetch(url, { credentials: "omit" }).then((answer) => answer.json());
                const all = await answers[language];
                consent.language = language;
                return (key) => {
                    const template = Object(all[key])[language];
                    return template && template.configuration.enabled ? template : undefined;
                };
            } catch (_) {
                delete answers[language];
                throw "server_error";
            }
        },

        /** An element for a template that lies above the page. */
        surface() {
            const root = document.createElement("div");
            root.className = "ppms_cm_surface";
            return root;
        },

        /**
         * Puts a template into the element, its styles and its script with the page's nonce.
         * @param {HTMLElement} root
         * @param {Template} template
         * @param {(button: string) => void} [onPress]  gets the ids of pressed buttons
         */
        fill(root, { html, styles }, onPress) {
            root.classList.add("ppms_cm_root");
            root.lang = consent.language || "";
            root.dir = directionOf(root.lang);
            root.innerHTML = html;
            root.prepend(allowed("style", styles));
            // Parsed as a text, a script does not run.
            for (const script of root.querySelectorAll("script")) script.replaceWith(allowed("script", script.text));
            if (onPress) root.onclick = ({ target }) => {
                const button = /** @type {Element} */ (target).closest("button");
                if (button) onPress(button.id);
            };
            return root;
        },
    };
}
