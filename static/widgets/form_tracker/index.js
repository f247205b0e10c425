// @ts-check
import { instanceAddress } from "../../shared/address.js";
import { takeOver } from "../../shared/command_queue.js";
import { jsonText } from "../../shared/json_text.js";
import { isLegacy } from "../../shared/request.js";
import { currentVisitorId } from "../../shared/visitor_id.js";
import { isSent } from "./configuration.js";
import { deliver } from "./delivery.js";
import { readForm } from "./fields.js";
import { hearSubmits } from "./submit_events.js";
import { runCommand } from "./trackers.js";

/** The library behind `ppms.am.form`. */
function start() {
    /** @type {Record<string, import("./trackers.js").Tracker>} */
    var trackers = {};
    var isListening = false;

    takeOver("form", function (command) {
        runCommand(trackers, [].slice.call(command), function (domain) {
            return instanceAddress(domain, location.protocol, isLegacy());
        });
        if (!isListening) {
            isListening = true;
            hearSubmits(document, submit);
        }
    });

    /** @param {HTMLFormElement} form */
    function submit(form) {
        for (var key in trackers) {
            try {
                track(trackers[key], form);
            } catch (error) {
                // Whatever it is, the visitor's form is not to suffer.
            }
        }
    }
}

/**
 * Send what one tracker may send of a submitted form.
 *
 * @param {import("./trackers.js").Tracker} tracker
 * @param {HTMLFormElement} form
 * Source: contract D5.1, E2.1, E2.3, E2.12.
 */
function track(tracker, form) {
    // Not form.id: a field of that name would stand in its place.
    var id = form.getAttribute("id") || "";
    if (tracker.appId && tracker.url && isSent(tracker, id)) {
        var visitorId = currentVisitorId(tracker.appId);
        var contents = readForm(
            form,
            !!tracker.useLabels,
            function (name) {
                return isSent(tracker, id, name);
            },
            location.href
        );
        if (visitorId || contents.email) {
            deliver(
                tracker.url,
                jsonText({
                    website_id: tracker.appId,
                    analytics_visitor_id: visitorId || undefined,
                    email: contents.email,
                    // The service takes no longer ID and no longer address.
                    form_id: (id || form.getAttribute("name") || "(no id)").slice(0, 255),
                    url: contents.url.slice(0, 2048),
                    attributes: contents.attributes
                })
            );
        }
    }
}

try {
    start();
} catch (error) {
    // A browser this old tracks no forms; the page must not notice.
}
