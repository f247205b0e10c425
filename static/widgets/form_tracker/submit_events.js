// @ts-check
/**
 * Hear of every submitted form of the document, those added later included, before the page does.
 *
 * @param {any} document
 * @param {(form: HTMLFormElement) => void} onSubmit Must not throw.
 * Source: contract E2.13.
 */
export function hearSubmits(document, onSubmit) {
    if (document.addEventListener) {
        document.addEventListener("submit", hear, true);
    } else {
        // Internet Explorer 8: the event does not reach the document, so a form gets its listener when
        // it is first used.
        document.attachEvent("onclick", watch);
        document.attachEvent("onkeydown", watch);
    }

    /** @param {any} event */
    function hear(event) {
        var form = event.target || event.srcElement;
        // Scripts give other elements submit events, too.
        if (form.elements) {
            onSubmit(form);
        }
    }

    /** @param {any} event */
    function watch(event) {
        var form = event.srcElement.form;
        if (form) {
            form.detachEvent("onsubmit", hear);
            form.attachEvent("onsubmit", hear);
        }
    }
}
