// @ts-check
import { kindOf } from "../../shared/values.js";

/** @type {Record<number, string>} */
var CODES = { 400: "bad_request", 403: "forbidden", 404: "not_found", 413: "bad_request" };

/**
 * The error code of an answer's status, "" for success.
 *
 * @param {number} status 0: no answer.
 * Source: contract E1.5.
 */
export function errorOf(status) {
    return /^2/.test(status + "") ? "" : CODES[status] || "server_error";
}

/**
 * What a read's handler gets from an answer.
 *
 * @param {string} name Of the command.
 * @param {string} text
 * @returns {any}
 * Errors: the text is no JSON, or JSON of another shape.
 * Source: contract E1.1-E1.3.
 */
export function readAnswer(name, text) {
    var answer = JSON.parse(text);
    var isCheck = name === "checkAudience";
    var result = isCheck ? answer.result : answer;
    if (kindOf(result) !== (isCheck ? "Boolean" : "Array")) {
        throw answer;
    }
    if (name === "getAttributes") {
        // Both sources are always there.
        result = { analytics: {}, attributes: {} };
        for (var i = 0; i < answer.length; i++) {
            result[answer[i].field_type][answer[i].name] = answer[i].value;
        }
    }
    return result;
}
