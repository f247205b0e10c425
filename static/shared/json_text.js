// @ts-check
import { has, kindOf } from "./values.js";

/**
 * The JSON text of strings, numbers, arrays and plain objects; members that are undefined are left out.
 *
 * Not JSON.stringify: the oldest browsers have none or write "" as "null", old libraries bend it by
 * giving arrays a `toJSON`, and new ones write half of an emoji in a form no server accepts.
 *
 * @param {any} value
 * @returns {string}
 */
export function jsonText(value) {
    var isArray = kindOf(value) === "Array";
    /** @type {string[]} */
    var parts = [];
    if (!isArray && kindOf(value) !== "Object") {
        return typeof value === "number" ? value + "" : '"' + String(value).replace(/[\0-\x1f"\\]/g, escape) + '"';
    }
    for (var name in value) {
        if (has(value, name) && value[name] !== undefined) {
            parts.push((isArray ? "" : jsonText(name) + ":") + jsonText(value[name]));
        }
    }
    return isArray ? "[" + parts + "]" : "{" + parts + "}";
}

/** @param {string} character */
function escape(character) {
    return "\\u" + (character.charCodeAt(0) + 65536).toString(16).slice(1);
}
