// @ts-check
// Fetches the widgets' script when the page has a widget. Pages with a consent form of their own mostly have none.

/**
 * @param {string} source  address of the script
 * @param {string | undefined} nonce
 */
export function loadWidgetsWhenNeeded(source, nonce) {
    /** @type {HTMLScriptElement | undefined} */
    let script;
    const look = () => {
        if (script || !document.querySelector("#ppms_cm_data_subject,#ppms_cm_privacy_settings")) return;
        script = document.createElement("script");
        script.src = source;
        script.nonce = nonce || "";
        document.head.append(script);
    };
    new MutationObserver(look).observe(document, { childList: true, subtree: true });
    look();
}
