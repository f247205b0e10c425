// @ts-check
/**
 * Makes `ppms.am.<name>` run commands: those its stub has queued, in order, then each new one at once.
 *
 * Other members of `ppms` and `ppms.am` stay. A second execution of the library (older snippets insert
 * the script twice) changes nothing.
 *
 * @param {"api" | "form"} name
 * @param {(command: ArrayLike<any>) => void} run Must not throw.
 * Source: contract E0.1-E0.4.
 */
export function takeOver(name, run) {
    var ppms = (window.ppms = window.ppms || {});
    var am = (ppms.am = ppms.am || {});
    var stub = am[name] || {};
    if (!stub.isLoaded) {
        am[name] = function () {
            run(arguments);
        };
        am[name].isLoaded = true;
        // A page that kept the stub from before finds this queue by the stub's code: it runs at once.
        am[name].q = { push: run };
        var waiting = stub.q || [];
        for (var i = 0; i < waiting.length; i++) {
            run(waiting[i]);
        }
    }
}
