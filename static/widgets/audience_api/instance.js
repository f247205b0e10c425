// @ts-check
import { jsonText } from "../../shared/json_text.js";
import { request } from "../../shared/request.js";
import { currentVisitorId } from "../../shared/visitor_id.js";
import { errorOf, readAnswer } from "./answers.js";
import { describeCall } from "./commands.js";
import { settle } from "./outcome.js";

/** @typedef {import("./commands.js").Call} Call */

/**
 * What runs the commands of one app at one instance of the service: one at a time, so that an update
 * followed by a read sees the write.
 *
 * @param {string} appId
 * @param {string} address Of the instance.
 * @returns {(args: any[]) => void} Takes a command.
 * Source: contract E1.5-E1.10.
 */
export function createInstance(appId, address) {
    /** @type {Call[]} */
    var waiting = [];
    var isBusy = false;

    return function (args) {
        waiting.push(describeCall(args));
        next();
    };

    function next() {
        var call = !isBusy && waiting.shift();
        if (call) {
            isBusy = true;
            send(call);
        }
    }

    /** @param {Call} call */
    function send(call) {
        var item = call.item;
        var visitorId = currentVisitorId(appId);
        if (item && (visitorId || item.user_id || item.email || item.device_id)) {
            item.website_id = appId;
            item.analytics_visitor_id = visitorId || undefined;
            request(address + "/audiences/tracker/attributes/", jsonText(item), function (status, text) {
                // An answer with a text tells what was skipped, or is not the service's (not JSON.parse:
                // the oldest browsers have none).
                end(errorOf(status) || (text && errorOf(/^\{"skipped".*\}$/.test(text) ? 400 : 0)));
            });
        } else if (call.path && visitorId) {
            var url = address + "/audiences/public/api/profiles/" + visitorId + "/" + call.path + "website_id=";
            request(url + encodeURIComponent(appId), null, function (status, text) {
                var code = errorOf(status);
                try {
                    var result = code || readAnswer(call.name, text);
                } catch (error) {
                    code = "server_error";
                }
                end(code, [result]);
            });
        } else {
            end(item || call.path ? "not_identified" : "invalid_arguments");
        }

        /**
         * @param {string} code
         * @param {any[]} [results]
         */
        function end(code, results) {
            settle(call.name, call.handlers, code, results || []);
            isBusy = false;
            next();
        }
    }
}
