// Builds the consent templates: each key's markup and styles, minified, to dist/consent_templates/.
import { transform } from "esbuild";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCES = join(dirname(fileURLToPath(import.meta.url)), "consent_templates");
const BROWSERS = ["chrome87", "firefox78", "safari14.1"];

// Key => id of the outermost element, and what the styles are put together from.
const FORM = { scope: "ppms_cm_popup_overlay", styles: ["base", "surface", "form"] };
const INLINE_NOTE = ["base", "inline_note"];
const TEMPLATES = {
    simple_consent_form: FORM,
    extended_consent_form: FORM,
    extended_consent_form_success_note: {
        scope: "ppms_consent_form_success_note",
        styles: ["base", "surface", "note"],
    },
    reminder_widget: { scope: "ppms_cm_reminder", styles: ["base", "surface", "reminder_widget"] },
    consent_form_link: { scope: "ppms_cm_privacy_settings", styles: ["base", "widget"] },
    data_subject_request: { scope: "ppms_cm_data_subject", styles: ["base", "widget", "data_subject_request"] },
    data_subject_request_confirmation_note: { scope: "ppms_cm_data_subject_confirmation_note", styles: INLINE_NOTE },
    data_subject_request_failure_note: { scope: "ppms_cm_data_subject_failure_note", styles: INLINE_NOTE },
};

// Where a template has its own script, `<key>.js`.
const SCRIPT = "<script></script>";

const source = (name) => readFileSync(join(SOURCES, name), "utf8");

/** A template's own script, `<key>.js`, minified. */
async function script(key) {
    const { code } = await transform(source(`${key}.js`), { minify: true, target: "es2018", charset: "ascii" });
    // What would end the element, be taken for a placeholder, or be another string once the quotes are changed.
    const wrong = code.match(/'|<\/|<!|\{\{/);
    if (wrong) throw new Error(`${key}.js: ${wrong[0]} can't stand in a template`);
    return code.trim();
}

/** The built files by name below dist/. */
export async function buildTemplates() {
    const files = new Map();
    for (const [key, { scope, styles }] of Object.entries(TEMPLATES)) {
        const css = styles.map((name) => source(`${name}.css`)).join("").replaceAll("#SCOPE", `#${scope}`);
        const { code } = await transform(css, { loader: "css", minify: true, target: BROWSERS });
        // Quotes only where needed, and none that JSON would have to escape.
        const html = source(`${key}.html`)
            .replace(/\s*\n\s*/g, "")
            .replace(/="([\w-]+)"(?=[ >])/g, "=$1");
        const own = html.includes(SCRIPT) ? `<script>${await script(key)}</script>` : "";
        files.set(`consent_templates/${key}.css`, Buffer.from(code.trim()));
        files.set(`consent_templates/${key}.html`, Buffer.from(html.replace(SCRIPT, () => own).replaceAll('"', "'")));
    }
    return files;
}
