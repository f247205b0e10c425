// @ts-check
import { addForms } from "./configuration.js";

/**
 * What watches the forms of one app with one set of options; without app or url it sends nothing.
 *
 * @typedef {object} Options
 * @property {any} [appId]
 * @property {string} [url] Where submissions go.
 * @property {boolean} [useLabels]
 */
/** @typedef {Options & import("./configuration.js").Configuration} Tracker */

/**
 * Do one command on the trackers of a page.
 *
 * @param {Record<string, Tracker>} trackers By what tells them apart; may get one more.
 * @param {any[]} args The command's name and arguments.
 * @param {(domain: any) => string} addressOf The address of the instance.
 * Source: contract E0.5, E2.5-E2.7.
 */
export function runCommand(trackers, args, addressOf) {
    if (args[0] === "create") {
        var options = args[4] || {};
        addForms(
            find(
                args[2] && addressOf(args[2]) + "/audiences/tracker/forms/",
                options.trackingType === "blacklist",
                args[1],
                !!options.useLabels
            ),
            args[3]
        );
        return;
    }
    // Pages older than `create`: all forms are tracked but those ignored.
    var old = find("", true);
    if (args[0] === "ignore") {
        /** @type {Record<string, any>} */
        var forms = {};
        forms[args[1]] = args[2] ? { type: "blacklist", fields: args[2] } : true;
        addForms(old, forms);
    } else if (args[1] === "WebsiteID") {
        old.appId = args[2];
    } else if (args[1] === "TrackerUrl") {
        old.url = addressOf(args[2]) + "/forms/";
    }

    /**
     * @param {string} url
     * @param {boolean} isOpen
     * @param {any} [appId]
     * @param {boolean} [useLabels]
     */
    function find(url, isOpen, appId, useLabels) {
        var key = [url, isOpen, appId, useLabels].join(" ");
        trackers[key] = trackers[key] || { appId: appId, url: url, useLabels: useLabels, isOpen: isOpen, rules: {} };
        return trackers[key];
    }
}
