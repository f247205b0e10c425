// @ts-check
import { instanceAddress } from "../../shared/address.js";
import { takeOver } from "../../shared/command_queue.js";
import { isLegacy } from "../../shared/request.js";
import { createInstance } from "./instance.js";
import { settle } from "./outcome.js";

/**
 * The library behind `ppms.am.api`; commands given before the first `create` wait for it.
 * Source: contract E0.5, E0.6.
 */
function start() {
    /** @type {Record<string, (args: any[]) => void>} */
    var instances = {};
    /** @type {((args: any[]) => void) | undefined} */
    var current;
    /** @type {any[][]} */
    var waiting = [];

    takeOver("api", function (command) {
        // The arguments may belong to a frame that goes away.
        /** @type {any[]} */
        var args = [].slice.call(command);
        if (args[0] !== "create") {
            waiting.push(args);
        } else if (args[1] && args[2]) {
            var address = instanceAddress(args[2], location.protocol, isLegacy());
            var key = args[1] + address;
            current = instances[key] = instances[key] || createInstance(args[1], address);
        } else {
            settle("create", {}, "invalid_arguments", []);
        }
        while (current && waiting.length) {
            current(/** @type {any[]} */ (waiting.shift()));
        }
    });
}

try {
    start();
} catch (error) {
    // A browser this old has no audiences; the page must not notice.
}
