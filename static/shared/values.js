// @ts-check
// Questions about values that hold for values of other frames and in the oldest browsers.

/**
 * "Array", "Object", "String", "Number", "Function" ...; "" for null and undefined.
 * @param {any} value
 */
export function kindOf(value) {
    return value == null ? "" : {}.toString.call(value).slice(8, -1);
}

/**
 * @param {any} object
 * @param {string} name
 */
export function has(object, name) {
    return {}.hasOwnProperty.call(object, name);
}
