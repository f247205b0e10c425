// @ts-check
// Which fields are never sent, whatever the configuration (contract E2.4, E2.10; best effort).
//
// Words are looked for in a field's texts in lower case, with one space for everything that is no
// letter from a to z: "numéro" is "num ro", "cardNumber1" is "card number ".

/** "card number" in English, German, French and Spanish, Polish. */
var CARD_WORDS =
    /\bc(ard|c) ?n(um\w*|.{0,2}m.{0,2}ro|r?o?)\b|(credit|debit|bank) ?card|karten ?n(um\w*|.{0,2}m.{0,2}ro|r?o?)\b|kreditkarte|\bn(um\w*|.{0,2}m.{0,2}ro|r?o?) ?(de )?(\w+ )?(carte|tarjeta|karty|cb)\b|(carte|tarjeta|kart[ay]) ?(n(um\w*|.{0,2}m.{0,2}ro|r?o?)\b|banca|bleue|debet|p.?atnicz|(de )?([ck]r|d).{0,2}[bd][iy])/;

/** "security code", "verification number" in the same languages. */
var CODE_WORDS =
    /c[cv]v|cvc|\b(csc|cid|cv[dn])\b|sec ?code|card ?(code|verif)|(security|verif(i[ckz]\w+)?|pr.{1,2}f|sicherheits) ?(code|n(um\w*|.{0,2}m.{0,2}ro|r?o?)\b|ziffer|zahl)|cryptogramme|(cod[eo]?|digo|kod|\bn(um\w*|.{0,2}m.{0,2}ro|r?o?)) ?(de |za)?(s.{0,2}[cg]uri|v.{0,2}rif|weryf|bezp)/;

/** "password" in the same languages. */
var PASSWORD_WORDS = /passw(or)?[dt]|\bpwd\b|kennwort|mot de passe|contrase|\bhas[l ]o\b/;

/**
 * True for a value that is never sent.
 *
 * @param {string} type Of the field: "text", "textarea", "select-one", "checkbox" ...
 * @param {any} autocomplete Its attribute, null for none.
 * @param {string} words The field's name, id, label and placeholder.
 * @param {string} value
 */
export function isPrivate(type, autocomplete, words, value) {
    words = words
        .replace(/([a-z\d])([A-Z])/g, "$1 $2")
        .replace(/#/g, " no ")
        .toLowerCase()
        .replace(/[^a-z]+/g, " ");
    return (
        /password|hidden|file/.test(type) ||
        /\bcc-|one-time-code|password/i.test(autocomplete) ||
        holdsCardNumber(value) ||
        // Words tell what is typed in, not what is chosen: "pay by credit card".
        (!/checkbox|radio|select/.test(type) &&
            ((/\d/.test(value) && CARD_WORDS.test(words)) ||
                (/^\s*\d{3,4}\s*$/.test(value) && CODE_WORDS.test(words)) ||
                // A password that the page shows is a text field.
                (type === "text" && PASSWORD_WORDS.test(words))))
    );
}

/**
 * True when the value is a card number, or a text with one in it.
 * @param {string} value
 */
function holdsCardNumber(value) {
    var digits = value.replace(/[\s\xa0-]/g, "");
    // Within a text only the usual form counts: four times four digits.
    var found = /^\d{12,19}$/.test(digits)
        ? [digits]
        : value.match(/(^|[^\w+])[2-6]\d{3}([ -]?\d{4}){3}(?!\w)/g) || [];
    for (var i = 0; i < found.length; i++) {
        if (isLuhn(found[i].replace(/\D/g, ""))) {
            return true;
        }
    }
    return false;
}

/** @param {string} digits */
function isLuhn(digits) {
    var sum = 0;
    for (var i = 0; i < digits.length; i++) {
        var digit = +digits.charAt(digits.length - 1 - i) * (1 + (i % 2));
        sum += digit > 9 ? digit - 9 : digit;
    }
    return sum % 10 === 0;
}
