// @ts-check
// Puts one container together on the page. Loading it twice (the sync and the async snippet, or a snippet that is there twice) does it once.

import { createCommands, runCommand } from "./commands.js";
import { createConsent } from "./consent.js";
import { followDataLayer, installStub } from "./data_layer.js";
import { cookieStore } from "./store.js";
import { post } from "./transport.js";

/**
 * @typedef {object} Container
 * @property {ReturnType<typeof createConsent>} consent
 * @property {ReturnType<typeof createCommands>} commands
 * @property {string} base  address of the service, without a slash at the end
 * @property {string | undefined} nonce
 * @property {boolean} [hasWidgets]
 */

/**
 * @param {(container: Container) => void} complete  adds forms and widgets, before the first command runs
 */
export function startContainer(complete) {
    /** @type {any} */
    const page = window;
    const config = ppmsConfig;
    const sevenTag = (page.sevenTag = Object(page.sevenTag));
    const containers = (sevenTag.containers = Object(sevenTag.containers));
    if (containers[config.appId]) return;
    sevenTag.privacy = { enabled: config.enabled };

    const script = /** @type {HTMLScriptElement | null} */ (document.currentScript);
    const base = script ? script.src.split("/containers/")[0] : "";
    const layer = (page[config.dataLayer] = page[config.dataLayer] || []);
    const send = (/** @type {object} */ message) => post(base + "/consent/collect", message);
    const store = cookieStore(config, document, location, () => localStorage, Date.now);
    const consent = createConsent(config, store, page, send, Date.now);
    const commands = createCommands(consent);
    const container = (containers[config.appId] = { consent, commands, base, nonce: nonceOf(script, layer) });

    consent.start().catch(() => {});
    complete(container);
    installStub(page, config.dataLayer);
    followDataLayer(layer, (name, parameters) => runCommand(commands, name, parameters));
}

/**
 * The page's nonce for elements we create (contract E6.2): of this script, of the first script that has one (the old snippet puts none on
 * what it inserts), of the data layer.
 * @param {HTMLScriptElement | null} script
 * @param {any[]} layer
 * @returns {string | undefined}
 */
function nonceOf(script, layer) {
    const isSet = (/** @type {any} */ one) => one && one.nonce;
    return Object([script, document.querySelector("script[nonce]"), ...layer].find(isSet)).nonce;
}
