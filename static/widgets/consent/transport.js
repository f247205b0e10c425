// @ts-check
// Sending to POST /consent/collect. As text/plain, so that no preflight is needed; kept alive when the page goes away.

/**
 * Resolves when the service has taken the message. Rejects with {text: "<status> <statusText>", isFinal: sending the same again is
 * useless}, or text `server_error` when there was no answer.
 * @param {string} url
 * @param {object} message
 * @returns {Promise<void>}
 */
export async function post(url, message) {
    const { ok, status = "", statusText } = await fetch(url, { method: "POST", body: JSON.stringify(message), keepalive: true, credentials: "omit" }).catch(
        () => /** @type {any} */ ({ statusText: "server_error" }),
    );
    if (!ok) throw { text: (status + " " + statusText).trim(), isFinal: status === 400 || status === 413 };
}

/**
 * A random UUID (version 4); crypto.randomUUID exists only on https.
 * @returns {string}
 */
export const uuid = () =>
    "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (/** @type {any} */ digit) =>
        (digit ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (digit / 4)))).toString(16),
    );
