// @ts-check
import { labelsOf } from "./labels.js";
import { isPrivate } from "./private_fields.js";

/**
 * @typedef {object} Contents
 * @property {{name: string, value: string | string[]}[]} attributes In the order of the fields.
 * @property {string} [email] The first value that is an e-mail address.
 * @property {string} url The page's address, without its query when that names a field whose value is
 *   not sent: a form submitted by GET leaves its values in the next page's address.
 */

/**
 * What a form holds and may be sent.
 *
 * @param {HTMLFormElement} form Is not changed.
 * @param {boolean} useLabels Fields are named by their labels, where they have one.
 * @param {(name: string) => boolean} isSent What the configuration says of a field.
 * @param {string} href The page's address.
 * @returns {Contents}
 * Source: contract E2.1, E2.2, E2.8, E2.11.
 */
export function readForm(form, useLabels, isSent, href) {
    /** @type {any} A field with the name "elements" stands in the place of the form's own. */
    var elements = form.elements;
    elements = elements.nodeName ? form.getElementsByTagName("*") : elements;
    var labelOf = labelsOf(form.ownerDocument);
    /** @type {Contents} */
    var contents = { attributes: [], url: href };
    /** @type {Record<string, {name: string, values: string[], hasBox?: boolean, isList?: boolean}>} */
    var entries = {};

    for (var i = 0; i < elements.length; i++) {
        if (isField(elements[i])) {
            read(elements[i]);
        }
    }
    for (var key in entries) {
        var values = entries[key].values;
        if (values && values.length) {
            contents.attributes.push({
                name: entries[key].name,
                value: entries[key].isList || values.length > 1 ? values : values[0]
            });
        }
    }
    return contents;

    /** @param {any} element */
    function read(element) {
        var label = labelOf(element);
        // No attribute has a name longer than 255 characters; such a label is none.
        var name = useLabels && label && label.length < 256 ? label : element.name;
        var words = [element.name, element.id, label, element.getAttribute("placeholder")].join(" ");
        var entry = (entries["#" + name] = entries["#" + name] || { name: name, values: [] });
        // Boxes of one name and selections of several options are a list, even of one.
        entry.isList = entry.isList || element.type === "select-multiple" || entry.hasBox;
        entry.hasBox = element.type === "checkbox";
        var values = valuesOf(element);
        for (var i = 0; i < values.length; i++) {
            if (
                !isSent(name) ||
                isPrivate(element.type, element.getAttribute("autocomplete"), words, values[i])
            ) {
                if (href.replace("?", "&").indexOf("&" + encodeURIComponent(element.name) + "=") > 0) {
                    contents.url = href.split("?")[0];
                }
            } else if (values[i] && values[i].length < 2049 && name.length < 256) {
                // The service keeps 1,024 characters, which are at most 2,048 here, and refuses all for a
                // longer name.
                entry.values.push(values[i]);
                contents.email = contents.email || emailIn(values[i]);
            }
        }
    }
}

/** @param {any} element */
function isField(element) {
    return (
        /^(input|textarea|select)$/i.test(element.nodeName) &&
        !/submit|button|reset|image/.test(element.type) &&
        element.name &&
        // Only this selector knows of a disabled fieldset around.
        !(element.matches ? element.matches(":disabled") : element.disabled)
    );
}

/**
 * @param {any} element
 * @returns {string[]} As the browser would submit them.
 */
function valuesOf(element) {
    if (/checkbox|radio/.test(element.type)) {
        return element.checked ? [element.value] : [];
    }
    if (!element.options) {
        return [element.value];
    }
    /** @type {string[]} */
    var values = [];
    for (var i = 0; i < element.options.length; i++) {
        var option = element.options[i];
        if (option.selected && !option.disabled) {
            // Internet Explorer 8 has no value for an option that is its own text.
            values.push(option.getAttribute("value") === null ? option.text : option.value);
        }
    }
    return values;
}

/** @param {string} value */
function emailIn(value) {
    var found = /^\s*([^\s@]{1,64}@[^\s@]{1,190}\.[^\s@.]{2,60})\s*$/.exec(value);
    return found ? found[1] : undefined;
}
