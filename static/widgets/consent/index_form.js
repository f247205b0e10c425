// @ts-check
// The container of an app with the built-in consent form: commands, widgets and the form.

import { startContainer } from "./container.js";
import { startForm } from "./form.js";
import { createTemplates } from "./templates.js";
import { startWidgets } from "./widgets.js";

startContainer((container) => {
    const templates = createTemplates(container, "privacy-templates.json");
    startWidgets(container, templates, createTemplates(container, "privacy-widgets.json"));
    startForm(container, templates);
});
