// @ts-check
// Shows every request the widgets make. It watches the browser's own functions, so it shows what was
// really sent, whatever the widgets say.

/**
 * @typedef {object} Sent
 * @property {string} method
 * @property {string} path
 * @property {string} body
 * @property {number} status 0 while there is no answer.
 */

/**
 * Tell of every request to the audience manager that the page makes from now on.
 *
 * @param {(sent: Sent) => void} onSent
 * @param {(sent: Sent) => void} onAnswer
 */
export function watchRequests(onSent, onAnswer) {
    const { open, send } = XMLHttpRequest.prototype;
    /** @type {WeakMap<XMLHttpRequest, Sent>} */
    const known = new WeakMap();
    XMLHttpRequest.prototype.open = function (/** @type {any[]} */ ...args) {
        known.set(this, noted(args[0], String(args[1]), ""));
        return Reflect.apply(open, this, args);
    };
    XMLHttpRequest.prototype.send = function (body) {
        const sent = known.get(this);
        if (sent && typeof body === "string") sent.body = body;
        if (sent) {
            onSent(sent);
            this.addEventListener("loadend", () => onAnswer(Object.assign(sent, { status: this.status })));
        }
        return send.call(this, body);
    };
    const { fetch } = window;
    window.fetch = async (resource, options) => {
        const sent = noted(options?.method ?? "GET", String(resource), String(options?.body ?? ""));
        onSent(sent);
        const answer = await fetch(resource, options);
        onAnswer(Object.assign(sent, { status: answer.status }));
        return answer;
    };
}

/**
 * @param {string} method
 * @param {string} url
 * @param {string} body
 * @returns {Sent}
 */
function noted(method, url, body) {
    const { pathname, search } = new URL(url, location.href);
    return { method, path: pathname + search, body, status: 0 };
}
