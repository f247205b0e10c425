// @ts-check
/**
 * The label texts of a form's page, ready to be asked for many fields.
 *
 * @param {Document} document
 * @returns {(element: any) => string} The text of a field's label, "" when it has none: that of
 *   `label[for]`, else of the label around it, else of the elements `aria-labelledby` names.
 * Source: contract E2.9.
 */
export function labelsOf(document) {
    var labels = document.getElementsByTagName("label");
    /** @type {Record<string, HTMLElement>} */
    var byId = {};
    for (var i = labels.length; i--; ) {
        byId["#" + labels[i].htmlFor] = labels[i];
    }

    return function (element) {
        var text = element.id ? textOf(byId["#" + element.id]) : "";
        for (var around = element.parentNode; around && !text; around = around.parentNode) {
            text = /^label$/i.test(around.nodeName) ? textOf(around) : "";
        }
        if (!text) {
            (element.getAttribute("aria-labelledby") || "").replace(/\S+/g, function (/** @type {string} */ id) {
                text += textOf(document.getElementById(id)) + " ";
                return "";
            });
        }
        return text.replace(/[\s\xa0]+/g, " ").replace(/^ | $/g, "");
    };
}

/**
 * The text a visitor reads, without the values of controls inside.
 *
 * @param {any} node
 * @returns {string}
 */
function textOf(node) {
    var text = "";
    for (var child = node && node.firstChild; child; child = child.nextSibling) {
        text += child.nodeType === 3 ? child.nodeValue : "";
        if (!/select|textarea|button|script|style/i.test(child.nodeName)) {
            text += textOf(child);
        }
    }
    return text;
}
