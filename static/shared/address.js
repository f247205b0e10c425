// @ts-check
/**
 * The address of the instance, without a slash at the end.
 *
 * https, but: a loopback host and an address that begins with `//` have the page's protocol, a full
 * origin its own, and Internet Explorer 8 and 9 can only reach the page's protocol.
 *
 * @param {string} domain Host, host:port, host with a path or full origin; slashes at the end go.
 * @param {string} pageProtocol As `location.protocol` gives it.
 * @param {boolean} isLegacy
 * @returns {string}
 * Source: contract E0.5, E2.7.
 */
export function instanceAddress(domain, pageProtocol, isLegacy) {
    /** @type {any} */
    var parts = /^(https?:)?(\/\/)?(.*?)\/*$/i.exec(domain);
    var isOfPage = isLegacy || parts[2] || /^(localhost|127\.[\d.]+|\[::1])(:|\/|$)/i.test(parts[3]);
    return ((!isLegacy && parts[1]) || (isOfPage && pageProtocol !== "https:" ? "http:" : "https:")) + "//" + parts[3];
}
