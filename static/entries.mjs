// What is built: source -> output in dist/, for which browsers, and the most it may weigh gzipped.
//
// An entry: {source, output, target, gzipBytes, options?}; options are esbuild's. Every output is one
// classic script with its source map beside it (named by the header SourceMap, which costs no bytes).

/** Names of properties that no page and no browser sees: the build shortens them. */
const INTERNAL = /^(handlers|item|path|appId|hasBox|isList|isOpen|isWhitelist|names|rules)$/;

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
];
