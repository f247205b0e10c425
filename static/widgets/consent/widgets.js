// @ts-check
// The widgets on the page: the privacy settings and the data request form (contract E4, E5.2). A page carries their full markup, or only
// the element with the id, which is then filled. Pages may render them late, so nothing is bound to the elements themselves.

const REQUEST = "ppms_cm_data_subject";

/** @typedef {ReturnType<typeof import("./templates.js").createTemplates>} Templates */

/**
 * @param {import("./container.js").Container} container
 * @param {Templates} settings  has the privacy settings
 * @param {Templates} requests  has the data request form and its notes, which few pages need
 */
export function startWidgets(container, settings, requests) {
    if (container.hasWidgets) return;
    container.hasWidgets = true;

    /** @param {Templates} templates @param {HTMLElement} root @param {string} key @param {() => void} [onPress] */
    const show = (templates, root, key, onPress) =>
        templates.load().then((find) => {
            const template = find(key);
            if (template) templates.fill(root, template, onPress);
        });

    const filled = new WeakSet();
    /** @param {Templates} templates @param {string} id @param {string} key */
    const fill = (templates, id, key) => {
        const root = document.getElementById(id);
        if (root && !root.firstElementChild && !filled.has(root)) {
            filled.add(root);
            show(templates, root, key).catch(() => filled.delete(root));
        }
    };
    const fillAll = () => {
        fill(settings, "ppms_cm_privacy_settings", "consent_form_link");
        fill(requests, REQUEST, "data_subject_request");
    };
    new MutationObserver(fillAll).observe(document, { childList: true, subtree: true });
    fillAll();

    /**
     * What the widget's own script calls on submit (contract E4.3). Says under the form how it went.
     * @param {HTMLFormElement} form
     */
    const send = (form) => {
        const value = (/** @type {string} */ name) => Object(form.elements.namedItem(name)).value;
        // There before it has something to say, and emptied in between, so that it is read out each time.
        const box = form.querySelector("[role=status]") || form.appendChild(document.createElement("div"));
        box.setAttribute("role", "status");
        box.textContent = "";
        const say = (/** @type {string} */ key) =>
            show(requests, /** @type {HTMLElement} */ (box), "data_subject_request_" + key + "_note", () => {
                box.textContent = "";
                // The focus was in what is gone now.
                const submit = /** @type {HTMLElement} */ (form.querySelector("[type=submit],button"));
                if (submit) submit.focus();
            }).catch(() => {});
        container.commands.sendDataRequest(
            () => {
                form.reset();
                say("confirmation");
            },
            () => say("failure"),
            { email: value("email"), type: value("event"), content: value("message") },
        );
    };
    Object.assign(window, { sendUserDataSubjectRequest: send });

    addEventListener("submit", (event) => {
        const form = /** @type {HTMLFormElement} */ (event.target);
        // The widget's own script, where the page carries it, has prevented the default already.
        if (form.id === REQUEST + "_form" && !event.defaultPrevented) {
            event.preventDefault();
            send(form);
        }
    });
}
