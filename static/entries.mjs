// What is built: source -> output in dist/, for which browsers, and the most it may weigh gzipped.
//
// An entry: {source, output, target, gzipBytes, options?}; options are esbuild's. Every output is one
// classic script with its source map beside it (named by the header SourceMap, which costs no bytes).

/** Names of properties that no page and no browser sees: the build shortens them. */
const INTERNAL = /^(handlers|item|path|appId|hasBox|isList|isOpen|isWhitelist|names|rules)$/;

/** The same of the consent container. Its widgets' script uses names of another bundle: none of those. */
const CONSENT_INTERNAL =
    /^(historyIds|isStale|markSeen|remember|isBarClosed|closeBar|unsent|deliver|choices|focusLanguage|isKept|isFinal|hasGpc|isBar)$/;
const CONSENT = { target: "es2018", options: { mangleProps: CONSENT_INTERNAL } };

export const ENTRIES = [
    {
        source: "widgets/audience_api/index.js",
        output: "audience-manager.api.min.js",
        target: "es5",
        gzipBytes: 2048,
        options: { mangleProps: INTERNAL },
    },
    {
        source: "widgets/form_tracker/index.js",
        output: "audience-manager.form.min.js",
        target: "es5",
        gzipBytes: 3276,
        options: { mangleProps: INTERNAL },
    },
    {
        ...CONSENT,
        source: "widgets/consent/index_commands.js",
        output: "consent-commands.min.js",
        gzipBytes: 4096,
    },
    // With the templates and texts of one language at most 12 KB, see tests/browser/test_consent_sizes.py.
    { ...CONSENT, source: "widgets/consent/index_form.js", output: "consent-form.min.js", gzipBytes: 6600 },
    { ...CONSENT, source: "widgets/consent/index_widgets.js", output: "consent-widgets.min.js", gzipBytes: 1300 },
    { source: "demo/index.js", output: "demo/demo.min.js", target: "es2020", gzipBytes: 3000 },
    { source: "demo/demo.css", output: "demo/demo.min.css", target: "es2020", gzipBytes: 2000 },
];

/** What is only copied: source -> output in dist/. */
export const COPIES = [["demo/index.html", "demo/index.html"]];
