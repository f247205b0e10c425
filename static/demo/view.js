// @ts-check

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
    return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * An element with a text and classes.
 *
 * @param {string} name
 * @param {string} text
 * @param {string} [className]
 */
export function element(name, text, className = "") {
    const made = document.createElement(name);
    made.textContent = text;
    made.className = className;
    return made;
}

/**
 * All audiences by name, those of the visitor marked.
 *
 * @param {Record<string, string>} names Id -> name.
 * @param {string[]} mine Ids.
 */
export function showAudiences(names, mine) {
    const rows = Object.entries(names).map(([id, name]) => element("li", name, mine.includes(id) ? "in" : ""));
    byId("audiences").replaceChildren(...rows);
}

/** @param {Record<string, string | number | string[]>} attributes */
export function showAttributes(attributes) {
    const rows = Object.entries(attributes).map(([name, value]) => [
        element("dt", name),
        element("dd", Array.isArray(value) ? value.join(", ") : String(value)),
    ]);
    byId("attributes").replaceChildren(...rows.flat());
    byId("nothing").hidden = rows.length > 0;
    for (const button of document.querySelectorAll("[data-attribute]")) {
        const { attribute, value } = /** @type {HTMLElement} */ (button).dataset;
        const held = [attributes[attribute ?? ""] ?? []].flat();
        button.setAttribute("aria-pressed", String(held.includes(value ?? "")));
    }
}

/**
 * A row of buttons, each for one value of an attribute.
 *
 * @param {string} place
 * @param {string} attribute
 * @param {string[]} values
 * @param {(value: string, isHeld: boolean) => void} onClick
 */
export function addChoices(place, attribute, values, onClick) {
    for (const value of values) {
        const button = /** @type {HTMLButtonElement} */ (element("button", value, value));
        button.type = "button";
        button.dataset.attribute = attribute;
        button.dataset.value = value;
        button.addEventListener("click", () => onClick(value, button.getAttribute("aria-pressed") === "true"));
        byId(place).append(button);
    }
}

/**
 * A request on top of the list.
 *
 * @param {import("./wire_log.js").Sent} sent
 * @param {string[]} held Names of fields that were not sent.
 * @returns {(sent: import("./wire_log.js").Sent) => void} Adds the answer.
 */
export function showSent(sent, held) {
    const row = element("li", "");
    const answer = element("span", "", "answer");
    row.append(element("code", `${sent.method} ${sent.path} `), answer);
    if (held.length) row.append(element("p", `Not sent: ${held.join(", ")}`, "held"));
    if (sent.body) row.append(element("pre", readable(JSON.parse(sent.body))));
    byId("sent").prepend(row);
    return ({ status }) => {
        answer.textContent = status ? String(status) : "no answer";
        // A visitor nobody has heard of has no attributes yet.
        answer.classList.toggle("refused", !(status < 300 || status === 404) || !status);
    };
}

/**
 * JSON with one line for each member and each attribute.
 * @param {any} body
 */
function readable(body) {
    return JSON.stringify(body, null, 2).replace(/\{\s+"name":[^{}]*\}/g, (entry) => entry.replace(/\s*\n\s*/g, " "));
}
