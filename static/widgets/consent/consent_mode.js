// @ts-check
// Google Consent Mode v2: `default` (all denied) before, `update` after a decision.

/**
 * {signal: "granted" | "denied"}: granted when the visitor agreed to the type of the signal.
 * @param {Object<string, string>} mapping  {signal: consent type}
 * @param {Object<string, number>} statuses  {type: status}
 */
export function signalsOf(mapping, statuses) {
    /** @type {Object<string, string>} */
    const signals = {};
    for (const signal in mapping) signals[signal] = statuses[mapping[signal]] === 1 ? "granted" : "denied";
    return signals;
}

/**
 * Tells Google's tags, whose data layer is always `dataLayer`. They know a command by its being an `arguments` object.
 * @param {any} page  window
 * @param {...any} _command  "consent", "default" or "update", signals
 */
export function tellGoogle(page, ..._command) {
    const command = /** @type {Function} */ (function () {
        return arguments;
    });
    (page.dataLayer = page.dataLayer || []).push(command(..._command));
}
