// @ts-check
/**
 * What one call said about a form: only the named fields are sent, or all but those.
 * @typedef {{isWhitelist: boolean, names: string}} Rule names: each between line breaks.
 */

/**
 * What is known about the forms of a page. isOpen: forms without a rule are sent as a whole, as the
 * option `trackingType: "blacklist"` has it.
 * @typedef {{isOpen: boolean, rules: Record<string, Rule[]>}} Configuration
 */

/**
 * Add a page's forms configuration to what is configured already.
 *
 * @param {Configuration} configuration Is changed.
 * @param {Record<string, any>} forms Form id -> {type, fields}, or true: all of the form is sent, or in
 *   an open configuration nothing of it. What can't be understood sends nothing.
 * Source: contract E2.2, E2.3.
 */
export function addForms(configuration, forms) {
    for (var id in forms) {
        var given = forms[id];
        if (given) {
            var isFilter = /^(white|black)list$/.test(given.type) && given.fields && given.fields.join;
            var rules = (configuration.rules["#" + id] = configuration.rules["#" + id] || []);
            rules.push({
                isWhitelist: isFilter ? given.type === "whitelist" : configuration.isOpen || given !== true,
                names: isFilter ? "\n" + given.fields.join("\n") + "\n" : ""
            });
        }
    }
}

/**
 * True when a field of a form is sent, or without a name: when anything of the form is.
 *
 * Rules of several calls add up: what any of them sends is sent; in an open configuration only what all
 * of them send.
 *
 * @param {Configuration} configuration
 * @param {string} formId "" when it has none.
 * @param {string} [name] Of the field.
 * Source: contract E2.6.
 */
export function isSent(configuration, formId, name) {
    var rules = configuration.rules["#" + formId] || [];
    for (var i = 0; i < rules.length; i++) {
        var sends = name
            ? rules[i].names.indexOf("\n" + name + "\n") >= 0 === rules[i].isWhitelist
            : rules[i].names.length > 2 || !rules[i].isWhitelist;
        if (sends !== configuration.isOpen) {
            return sends;
        }
    }
    return configuration.isOpen;
}
