// @ts-check
// Fetches the widgets' script when the page has a widget. Pages with a consent form of their own mostly have none.

/**
 * @param {string} source  address of the script
 * @param {string} nonce
 */
export function loadWidgetsWhenNeeded(source, nonce) {
    /** @type {any} */
    const page = window;
    let script;
    const load = () => {
        if (script) return;
        script = document.createElement("script");
        script.src = source;
        script.nonce = nonce;
        document.head.appendChild(script);
    };
    const look = () => document.querySelector("#ppms_cm_data_subject,#ppms_cm_privacy_settings") && load();
    new MutationObserver(look).observe(document, { childList: true, subtree: true });
    look();
}
