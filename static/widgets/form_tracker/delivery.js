// @ts-check
import { isLegacy } from "../../shared/request.js";

/**
 * Send a text so that it arrives even when the page goes away at once: a request kept alive, else a
 * beacon, else (old browsers, very long texts) an ordinary request. Nothing comes back.
 *
 * @param {string} url
 * @param {string} body
 */
export function deliver(url, body) {
    // Browsers carry at most 64 KiB past the end of a page; a character has at most three bytes.
    if (body.length < 20000 && window.Request && "keepalive" in Request.prototype) {
        // Without credentials, as to any other origin. What could not be carried, because others carry
        // too much, still has the page's life.
        fetch(url, { method: "POST", body: body, keepalive: true }).then(null, sendOrdinarily);
    } else if (!(navigator.sendBeacon && navigator.sendBeacon(url, body))) {
        sendOrdinarily();
    }

    function sendOrdinarily() {
        /** @type {any} */
        var sender = isLegacy() ? new window.XDomainRequest() : new XMLHttpRequest();
        // Internet Explorer 9 may abort a request without these handlers.
        sender.onload = sender.onerror = sender.ontimeout = sender.onprogress = function () {};
        sender.open("POST", url);
        sender.send(body);
    }
}
