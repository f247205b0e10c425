// A browser as old as Internet Explorer 8, as far as the widgets touch it: no addEventListener, fetch,
// Promise or JSON (as in its old document modes), none of the array and string methods of ES5, and
// XDomainRequest as the only way to another origin.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const REMOVED = `
    delete globalThis.JSON; delete globalThis.Promise; delete globalThis.Map; delete globalThis.Symbol;
    delete globalThis.Set; delete globalThis.Proxy; delete globalThis.Reflect; delete globalThis.WeakMap;
    (function () {
        var lists = [
            [Array, ["isArray", "from", "of"]],
            [Array.prototype, ["indexOf", "lastIndexOf", "forEach", "map", "filter", "some", "every", "reduce",
                "find", "includes", "fill"]],
            [String.prototype, ["trim", "includes", "startsWith", "endsWith", "repeat", "padStart", "normalize"]],
            [Object, ["keys", "create", "assign", "entries", "values", "defineProperty", "freeze", "getPrototypeOf"]],
            [Function.prototype, ["bind"]],
            [Date, ["now"]]
        ];
        for (var i = 0; i < lists.length; i++) {
            for (var j = 0; j < lists[i][1].length; j++) delete lists[i][0][lists[i][1][j]];
        }
    })();`;

/** A window; `requests` holds the XDomainRequests sent, `log` the console's lines. */
export function oldWindow({ cookie = "", protocol = "http:", forms = [] } = {}) {
    const requests = [];
    const timers = [];
    const handlers = {};
    const window = {
        requests,
        log: [],
        console: { error: (line) => window.log.push(line) },
        location: { protocol, href: `${protocol}//shop.example/page` },
        navigator: {},
        document: {
            cookie,
            attachEvent: (name, handler) => (handlers[name] ??= []).push(handler),
            getElementsByTagName: () => [],
            getElementById: () => null,
        },
        setTimeout: (callback) => timers.push(callback),
        XMLHttpRequest: function () {},
        XDomainRequest: function () {
            this.open = (method, url) => Object.assign(this, { method, url });
            this.send = (body) => requests.push(Object.assign(this, { body }));
            // A host object: no members of one's own.
            Object.preventExtensions(
                Object.assign(this, { onload: null, onerror: null, ontimeout: null, onprogress: null, timeout: 0,
                    method: "", url: "", body: "", responseText: "" })
            );
        },
    };
    window.window = window;
    vm.createContext(window);
    vm.runInContext(REMOVED, window);
    for (const form of forms) Object.assign(form, { ownerDocument: window.document });
    return Object.assign(window, {
        /** Run what waits for its time. */
        tick: () => timers.splice(0).forEach((callback) => callback()),
        run: (code) => vm.runInContext(code, window),
        fire: (name, event) => (handlers[name] ?? []).forEach((handler) => handler(event)),
        load: (name) => vm.runInContext(built(name), window),
    });
}

/** The text of a built file. */
export function built(name) {
    return readFileSync(new URL(`../dist/audience-manager.${name}.min.js`, import.meta.url), "utf8");
}

/** A form as that browser has it, with text fields of the given names and values. */
export function oldForm(id, fields) {
    const handlers = [];
    const form = {
        nodeName: "FORM",
        elements: Object.entries(fields).map(([name, value]) => ({
            nodeName: "INPUT", type: "text", name, value, id: "", parentNode: null, getAttribute: () => null,
        })),
        getAttribute: (name) => (name === "id" ? id : null),
        attachEvent: (_name, handler) => handlers.push(handler),
        detachEvent: (_name, handler) => handlers.includes(handler) && handlers.splice(handlers.indexOf(handler), 1),
        submit: () => handlers.forEach((handler) => handler({ srcElement: form })),
    };
    return form;
}
