// @ts-check
/**
 * Send a request from another origin: no preflight, no credentials.
 *
 * @param {string} url
 * @param {string | null} body What to POST; null to GET.
 * @param {(status: number, text: string) => void} done Called once; status 0: no answer.
 */
export function request(url, body, done) {
    try {
        /** @type {any} */
        var sender = isLegacy() ? new window.XDomainRequest() : new XMLHttpRequest();
        sender.onload = function () {
            // XDomainRequest does not tell the status, only success.
            finish(sender.status || 200);
        };
        sender.onerror = sender.ontimeout = function () {
            finish(0);
        };
        // Internet Explorer 9 may abort a request without this handler.
        sender.onprogress = function () {};
        sender.open(body ? "POST" : "GET", url);
        // Milliseconds; the service answers or refuses within half of them.
        sender.timeout = 10000;
        sender.send(body);
        // The visitor may stop the page; XDomainRequest knows no such handler and would throw.
        if (!isLegacy()) {
            sender.onabort = sender.onerror;
        }
    } catch (error) {
        finish(0);
    }

    /** @param {number} status */
    function finish(status) {
        var tell = done;
        done = function () {};
        tell(status, status ? sender.responseText : "");
    }
}

/** True for a browser that reaches other origins by XDomainRequest only (Internet Explorer 8 and 9). */
export function isLegacy() {
    return !("withCredentials" in new XMLHttpRequest());
}
