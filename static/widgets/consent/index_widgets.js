// @ts-check
// The widgets alone, for pages whose container has no built-in form.

import { createTemplates } from "./templates.js";
import { startWidgets } from "./widgets.js";

for (const container of Object.values(/** @type {any} */ (window).sevenTag.containers)) {
    const templates = createTemplates(container, "privacy-widgets.json");
    startWidgets(container, templates, templates);
}
