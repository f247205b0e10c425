// @ts-check
// The data layer: commands arrive as {event: "ppms.cm:<command>", parameters: [...]}, pushed by the snippet's stub or by the page.

/**
 * Runs what the data layer holds, in order, then everything that is pushed later, at once.
 * An entry that is something else, or throws when looked at, is let through.
 * @param {any[]} layer
 * @param {(command: string, parameters: any[]) => void} run  must not throw
 */
export function followDataLayer(layer, run) {
    const handle = (/** @type {any} */ entry) => {
        let command, parameters;
        try {
            [, command] = /** @type {any} */ (/^ppms\.cm: ?(.+)/.exec(entry.event));
            parameters = [].concat(entry.parameters);
        } catch (_) {
            return;
        }
        run(command, parameters);
    };
    const waiting = layer.slice();
    const { push } = layer;
    layer.push = (...entries) => {
        const length = push.apply(layer, entries);
        entries.forEach(handle);
        return length;
    };
    waiting.forEach(handle);
}

/**
 * The snippet's stub, for pages without the snippet: a call with a text first becomes an entry of the data layer.
 * @param {any} page  window
 * @param {string} layerName
 */
export function installStub(page, layerName) {
    const ppms = (page.ppms = page.ppms || {});
    for (const part of ["tm", "cm"]) {
        ppms[part] = {
            api(/** @type {any} */ command, /** @type {any[]} */ ...parameters) {
                if (typeof command === "string") page[layerName].push({ event: "ppms." + part + ":" + command, parameters });
            },
            ...ppms[part],
        };
    }
}
