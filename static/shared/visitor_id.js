// @ts-check
/**
 * The analytics visitor ID of this page's visitor; "" when there is none.
 * @param {string} appId
 */
export function currentVisitorId(appId) {
    var cookies = "";
    try {
        cookies = document.cookie;
    } catch (error) {
        // A sandboxed frame has none.
    }
    return findVisitorId(cookies, appId, window.AnalyticsTracker || window.Piwik);
}

/**
 * The visitor ID that cookies tell, "" for none.
 *
 * Of several cookies `_pk_id.<app>.<hash>` the one with the newest visit counts; without any, the
 * analytics tracker on the page is asked.
 *
 * @param {string} cookies As `document.cookie` gives them.
 * @param {string} appId
 * @param {any} tracker The page's `AnalyticsTracker` or `Piwik` object, if any.
 * @returns {string}
 * Source: contract A1.10, A1.12.
 */
export function findVisitorId(cookies, appId, tracker) {
    var parts = ("; " + cookies).split("; _pk_id." + appId + ".");
    var newest = -1;
    var found = "";
    for (var i = 1; i < parts.length; i++) {
        // <hash>=<visitor ID>.<created>.<visits>.<current visit>.<last visit>.<last order>
        var fields = parts[i].split(";")[0].split(/[=.]/);
        var visited = +fields[4] || 0;
        if (isVisitorId(fields[1]) && visited > newest) {
            newest = visited;
            found = fields[1];
        }
    }
    return found || askTracker(tracker);
}

/** @param {any} tracker */
function askTracker(tracker) {
    try {
        var id = (tracker.getVisitorId ? tracker : tracker.getAsyncTracker()).getVisitorId();
        return isVisitorId(id) ? id : "";
    } catch (error) {
        // No tracker, or one that is not ready.
        return "";
    }
}

/** @param {any} text */
function isVisitorId(text) {
    return /^[0-9a-f]{16}$/i.test(text);
}
