// @ts-check
import { addChoices, byId, showAttributes, showAudiences, showSent } from "./view.js";
import { watchRequests } from "./wire_log.js";

/** @type {{app_id: string, audiences: Record<string, string>}} Filled in by the service. */
const DEMO = JSON.parse(byId("demo").textContent ?? "{}");
const COOKIE = `_pk_id.${DEMO.app_id}.demo`;

/** This page plays the analytics tracker: it gives the visitor an ID, which the widgets find. */
function visitorId() {
    const found = new RegExp(`${COOKIE}=([0-9a-f]{16})`).exec(document.cookie);
    return found ? found[1] : becomeSomebody();
}

function becomeSomebody() {
    const digits = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0"));
    const now = Math.floor(Date.now() / 1000);
    document.cookie = `${COOKIE}=${digits.join("")}.${now}.1.${now}.${now}.; path=/; max-age=33955200; SameSite=Lax`;
    return digits.join("");
}

/** @type {WeakMap<import("./wire_log.js").Sent, (sent: import("./wire_log.js").Sent) => void>} */
const answered = new WeakMap();
watchRequests(
    (sent) => {
        // Reads would crowd the list; what leaves the page is what counts.
        if (sent.method === "POST") answered.set(sent, showSent(sent, heldBack(sent)));
    },
    (sent) => {
        answered.get(sent)?.(sent);
        if (sent.path.endsWith("/forms/")) refresh();
    }
);

/**
 * The filled fields of the form that are not in what was sent.
 * @param {import("./wire_log.js").Sent} sent
 */
function heldBack(sent) {
    if (!sent.path.endsWith("/forms/")) return [];
    const names = JSON.parse(sent.body).attributes.map((/** @type {{name: string}} */ entry) => entry.name);
    const form = /** @type {HTMLFormElement} */ (byId("order"));
    return [...new FormData(form).keys()].filter((name) => !names.includes(name));
}

function refresh() {
    const { api } = window.ppms.am;
    byId("visitor").textContent = visitorId();
    byId("look-up").textContent =
        `audience-consent profiles get --app ${DEMO.app_id} --identifier analytics_visitor_id --value ${visitorId()}`;
    api("getAudiences", (/** @type {string[]} */ mine) => showAudiences(DEMO.audiences, mine), () => showAudiences(DEMO.audiences, []));
    api("getAttributes", (/** @type {any} */ all) => showAttributes(all.attributes), () => showAttributes({}));
}

/** @param {object} attributes */
function update(attributes) {
    window.ppms.am.api("updateAttributes", attributes, { onFulfilled: refresh, onRejected: refresh });
}

addEventListener("DOMContentLoaded", () => {
    addChoices("colors", "color", ["green", "blue", "amber"], (color) => update({ color }));
    addChoices("wishes", "wish_list", ["kettle", "lamp", "blanket", "chair"], (value, isHeld) =>
        update({ wish_list: { action: isHeld ? "list-remove" : "list-add", value } })
    );
    byId("visit").addEventListener("click", () => update({ visits: { action: "add" } }));
    byId("other").addEventListener("click", () => {
        becomeSomebody();
        refresh();
    });
    // The form stays on the page, as forms of many sites do; the form tracker hears of it all the same.
    byId("order").addEventListener("submit", (event) => event.preventDefault());
    refresh();
});
