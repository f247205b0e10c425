// @ts-check
/**
 * Makes `ppms.am.<name>` run commands: those its stub has queued, in order, then each new one at once.
 *
 * Other members of `ppms` and `ppms.am` stay. A second execution of the library (older snippets insert
 * the script twice) changes nothing.
 *
 * @param {"api" | "form"} name
 * @param {(command: ArrayLike<any>) => void} run What it throws stays here: the page must not notice.
 * Source: contract E0.1-E0.4.
 */
export function takeOver(name, run) {
    var ppms = (window.ppms = window.ppms || {});
    var am = (ppms.am = ppms.am || {});
    var stub = am[name] || {};
    if (!stub.isLoaded) {
        am[name] = function () {
            runSafely(arguments);
        };
        am[name].isLoaded = true;
        // A page that kept the stub from before finds this queue by the stub's code: it runs at once.
        am[name].q = { push: runSafely };
        var waiting = stub.q || [];
        for (var i = 0; i < waiting.length; i++) {
            runSafely(waiting[i]);
        }
    }

    /** @param {ArrayLike<any>} command */
    function runSafely(command) {
        try {
            run(command);
        } catch (error) {
            // Such as an argument whose members throw when they are read.
        }
    }
}
