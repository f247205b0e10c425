// @ts-check
// The container of an app with a consent form of its own: the commands; the widgets' script only where the page has one.

import { startContainer } from "./container.js";
import { loadWidgetsWhenNeeded } from "./widget_loader.js";

startContainer(({ base, nonce }) => loadWidgetsWhenNeeded(base + "/audiences/static/widget/consent-widgets.min.js", nonce));
