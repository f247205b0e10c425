// @ts-check
// Keeps the keyboard inside a modal popup, as long as it is on the screen: a blocker may hide it, and then the page must stay usable.

/**
 * Where Tab goes from the active element when the browser would leave the popup; undefined: let the browser do it.
 * @template T
 * @param {T[]} stops  what can be reached with Tab, in order
 * @param {T | undefined} active  the stop that has the focus, undefined: none of them
 * @param {boolean} isBack  Shift+Tab
 * @returns {T | undefined}
 */
export function nextStop(stops, active, isBack) {
    const edge = isBack ? stops[0] : stops[stops.length - 1];
    return active === undefined || active === edge ? (isBack ? stops[stops.length - 1] : stops[0]) : undefined;
}

/**
 * Handles Tab for an open popup.
 * @param {KeyboardEvent} event
 * @param {HTMLElement} popup
 */
export function trapTab(event, popup) {
    const isVisible = (/** @type {Element} */ element) => element.getClientRects().length > 0;
    if (event.key !== "Tab" || !isVisible(popup)) return;
    const stops = [...popup.querySelectorAll("a[href],button,input,select,summary")].filter(isVisible);
    const stop = nextStop(stops, stops.find((one) => one === document.activeElement), event.shiftKey);
    if (stop) {
        event.preventDefault();
        /** @type {HTMLElement} */ (stop).focus();
    }
}
