// @ts-check
// In which language to speak, as values.

/**
 * The page's cookie `language`, the browser's languages (exact, then base), the app's default, the first offered (contract L8).
 * @param {string} cookieString  document.cookie
 * @param {readonly string[]} wanted  navigator.languages
 * @param {string[]} offered
 * @param {string} fallback
 * @returns {string}
 */
export function chooseLanguage(cookieString, wanted, offered, fallback) {
    const [, cookie = ""] = /(?:^|; )language=([\w-]+)/.exec(cookieString) || [];
    for (const language of [cookie, ...wanted]) {
        for (const candidate of [language, language.split("-")[0]]) {
            const found = offered.find((one) => one.toLowerCase() === candidate.toLowerCase());
            if (found) return found;
        }
    }
    return offered.includes(fallback) ? fallback : offered[0];
}

/** @param {string} language */
export const directionOf = (language) => (/^(ar|fa|he|ur|yi)\b/.test(language) ? "rtl" : "ltr");
