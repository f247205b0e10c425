// @ts-check
import { has, kindOf } from "../../shared/values.js";

/**
 * A command as a request to be: a read has a path, a write an item; what can't be sent has neither.
 *
 * @typedef {object} Call
 * @property {any} name Of the command.
 * @property {Handlers} handlers
 * @property {string} [path] Below the visitor's profile, with the query's beginning.
 * @property {any} [item] What to send, still without app and visitor.
 */

/** @typedef {{onFulfilled?: any, onRejected?: any}} Handlers The page's callbacks, if any. */

/** @type {Record<string, string>} */
var PATHS = {
    getAudiences: "audiences/?",
    checkAudience: "audiences/check/?",
    getAttributes: "attributes/?"
};

/**
 * The call a command asks for. What is sent is copied: the page may change it while the call waits.
 *
 * @param {any[]} args The command's name and arguments.
 * @returns {Call}
 * Source: contract E1.1-E1.4.
 */
export function describeCall(args) {
    var name = args[0];
    if (name === "updateAttributes") {
        return describeUpdate(name, args[1], args[2] || {});
    }
    var id = name === "checkAudience" ? args.splice(1, 1)[0] : "";
    var isValid = has(PATHS, name) && kindOf(id) === "String";
    return {
        name: name,
        handlers: { onFulfilled: args[1], onRejected: args[2] },
        path: isValid ? PATHS[name] + (id && "audience_id=" + encodeURIComponent(id) + "&") : ""
    };
}

/**
 * @param {string} name
 * @param {any} attributes
 * @param {any} options
 * @returns {Call}
 */
function describeUpdate(name, attributes, options) {
    /** @type {any[]} */
    var entries = [];
    var isValid = kindOf(attributes) === "Object";
    for (var key in attributes) {
        if (has(attributes, key)) {
            var given = attributes[key];
            // A value, or {action, value}; `add` may have no value (contract E1.8).
            var action = kindOf(given) === "Object" ? given : { value: given };
            isValid = isValid && isValue(action.value, action.action);
            entries.push({ name: key, action: action.action, value: copyOf(action.value) });
        }
    }
    return {
        name: name,
        handlers: options,
        item: isValid && {
            attributes: entries,
            user_id: identifier(options.user_id),
            email: identifier(options.email),
            device_id: identifier(options.device_id)
        }
    };
}

/**
 * @param {any} value
 * @param {any} action
 */
function isValue(value, action) {
    return /String|Number|Array/.test(kindOf(value)) || (value === undefined && action === "add");
}

/** @param {any} value */
function copyOf(value) {
    return kindOf(value) === "Array" ? value.slice() : value;
}

/**
 * An identifier as text; undefined for a missing one, which may also be null, false, 0 or "".
 * @param {any} given
 */
function identifier(given) {
    return given ? String(given) : undefined;
}
