// @ts-check
/**
 * Tell the page how a command ended, after its current code. What a handler throws is the page's own
 * error; without a handler for errors the code is on the console.
 *
 * @param {any} name Of the command.
 * @param {import("./commands.js").Handlers} handlers Anything but a function is no handler.
 * @param {string} code Of the error, "" for none.
 * @param {any[]} results What the other handler gets.
 * Source: contract E0.7, E1.6.
 */
export function settle(name, handlers, code, results) {
    var handler = code ? handlers.onRejected : handlers.onFulfilled;
    if (typeof handler === "function") {
        setTimeout(function () {
            handler.apply(undefined, code ? [code] : results);
        }, 0);
    } else if (code && window.console) {
        console.error("ppms.am.api " + name + ": " + code);
    }
}
