// A page for tests: a form in jsdom.
import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";
import { readForm } from "../widgets/form_tracker/fields.js";

export const HREF = "https://shop.example/checkout";

/** A form of a page with the given HTML inside. */
export function formOf(html, around = "") {
    const { window } = new JSDOM(`<!doctype html><body>${around}<form id="f">${html}</form></body>`, { url: HREF });
    return window.document.getElementById("f");
}

/** What is read of a form: {name: value}; the whole contents as the second. */
export function read(form, { useLabels = false, isSent = () => true, href = HREF } = {}) {
    const contents = readForm(form, useLabels, isSent, href);
    return [Object.fromEntries(contents.attributes.map(({ name, value }) => [name, value])), contents];
}

/** The rows of a case table that Python runs as well. */
export function cases(name) {
    return JSON.parse(readFileSync(new URL(`../../tests/cases/${name}.json`, import.meta.url), "utf8"));
}

/** The HTML of a field of form_fields.json. */
export function fieldHtml({ tag = "input", label, value, type, ...attributes }) {
    const escape = (text) => String(text).replace(/&/g, "&amp;").replace(/"/g, "&quot;").replace(/</g, "&lt;");
    const id = attributes.id ?? "the_field";
    const list = Object.entries({ ...attributes, id }).map(([name, text]) => ` ${name}="${escape(text)}"`).join("");
    const head = label ? `<label for="${id}">${escape(label)}</label>` : "";
    if (tag === "textarea") return `${head}<textarea${list}>${escape(value)}</textarea>`;
    if (tag === "select") return `${head}<select${list}><option value="${escape(value)}" selected>x</option></select>`;
    const checked = type === "checkbox" ? " checked" : "";
    return `${head}<input type="${type ?? "text"}" value="${escape(value)}"${checked}${list}>`;
}
