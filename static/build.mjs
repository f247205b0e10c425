// Builds the browser code into dist/: `node build.mjs`; with --check it only tells what is stale.
//
// Each built file lies there with its source map and precompressed by gzip and brotli, all committed:
// whoever runs the service has no node.
import { build } from "esbuild";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from "node:zlib";
import { buildTemplates } from "./consent_templates.mjs";
import { COPIES, ENTRIES } from "./entries.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const DIST = join(HERE, "dist");

/** The built files by name: each entry's output with its source map, and the consent templates. */
async function buildAll() {
    const files = await buildTemplates();
    for (const entry of ENTRIES) {
        const result = await build({
            absWorkingDir: HERE,
            entryPoints: [entry.source],
            outfile: `dist/${entry.output}`,
            bundle: true,
            minify: true,
            format: "iife",
            target: entry.target,
            charset: "ascii",
            legalComments: "none",
            sourcemap: "external",
            write: false,
            ...entry.options,
        });
        for (const file of result.outputFiles) {
            files.set(relative(DIST, file.path), Buffer.from(file.contents));
        }
    }
    for (const [source, output] of COPIES) {
        files.set(output, readFileSync(join(HERE, source)));
    }
    return files;
}

/** One line for each entry that is larger than it may be. */
function tooLarge(files) {
    const problems = [];
    for (const entry of ENTRIES) {
        const bytes = gzipSync(files.get(entry.output), { level: 9 }).length;
        console.log(`${entry.output}: ${bytes} of at most ${entry.gzipBytes} bytes gzipped`);
        if (bytes > entry.gzipBytes) {
            problems.push(`${entry.output} has ${bytes} bytes gzipped, at most ${entry.gzipBytes} are allowed`);
        }
    }
    return problems;
}

function compressed(content) {
    const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };
    return { ".gz": gzipSync(content, { level: 9 }), ".br": brotliCompressSync(content, quality) };
}

function write(files) {
    rmSync(DIST, { recursive: true, force: true });
    for (const [name, content] of files) {
        mkdirSync(dirname(join(DIST, name)), { recursive: true });
        writeFileSync(join(DIST, name), content);
        for (const [ending, bytes] of Object.entries(compressed(content))) {
            writeFileSync(join(DIST, name + ending), bytes);
        }
    }
}

/** One line for each file of dist/ that is not what the sources give. */
function stale(files) {
    const problems = [];
    const isSame = (name, content, inflate) => {
        try {
            return inflate(readFileSync(join(DIST, name))).equals(content);
        } catch {
            return false;
        }
    };
    for (const [name, content] of files) {
        // Compared inflated: another node may compress to other bytes.
        if (!isSame(name, content, (bytes) => bytes)) problems.push(`dist/${name} is stale`);
        if (!isSame(`${name}.gz`, content, gunzipSync)) problems.push(`dist/${name}.gz is stale`);
        if (!isSame(`${name}.br`, content, brotliDecompressSync)) problems.push(`dist/${name}.br is stale`);
    }
    for (const found of readdirSync(DIST, { recursive: true, withFileTypes: true })) {
        const name = relative(DIST, join(found.parentPath ?? found.path, found.name));
        if (found.isFile() && !files.has(name.replace(/\.(gz|br)$/, ""))) {
            problems.push(`dist/${name} has no source`);
        }
    }
    return problems;
}

const files = await buildAll();
const isCheck = process.argv.includes("--check");
const problems = tooLarge(files);
if (isCheck) {
    problems.push(...stale(files));
} else if (problems.length === 0) {
    write(files);
}
if (problems.length > 0) {
    console.error(problems.join("\n") + (isCheck ? "\nRun `make widgets` and commit dist/." : ""));
    process.exit(1);
}
