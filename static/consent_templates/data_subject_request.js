// @ts-check
// The script in the markup of the data request widget (contract E4.3, E4.4). Until it runs the form has a native choice; it puts the one
// that pages style in its place, a combobox without a text field, keeps the native one in step, and sends.

(() => {
    const STEPS = { ArrowDown: 1, ArrowUp: -1, Home: -9, End: 9 };
    const TYPING_MS = 500;

    /** @param {string} [name] @returns {any} */
    const find = (name = "") => document.getElementById("ppms_cm_data_subject_form" + name);
    const form = find();
    const select = find("_select");
    const button = find("_select_btn");
    const list = find("_select_extendable");
    /** @type {HTMLElement[]} */
    const items = [...list.children];
    let active = 0;
    let typed = "";
    let typedAt = -TYPING_MS;
    if (select.hidden) return;

    /** @param {boolean} isOpen @param {number} [index]  the option the keyboard is at */
    const open = (isOpen, index = select.selectedIndex) => {
        active = Math.max(0, Math.min(index, items.length - 1));
        list.hidden = !isOpen;
        button.classList.toggle("expanded", isOpen);
        button.setAttribute("aria-expanded", isOpen);
        button.setAttribute("aria-activedescendant", isOpen ? items[active].id : "");
        items.forEach((item, at) => item.classList.toggle("ppms_select_component_extended_item-active", at === active));
        if (isOpen) items[active].scrollIntoView({ block: "nearest" });
    };

    /** @param {number} index */
    const choose = (index) => {
        select.selectedIndex = index;
        find("_select_btn_text").textContent = items[index].textContent;
        items.forEach((item, at) => item.setAttribute("aria-selected", "" + (at === index)));
        open(false);
    };

    /** Where typing leads: one letter again and again goes round, different ones are the beginning of an option. */
    const search = () => {
        const start = typed.replace(/^(.)\1+$/, "$1");
        const from = active + (start[1] ? 0 : 1);
        const isMeant = (/** @type {HTMLElement} */ item) => item.innerText.trim().toLowerCase().startsWith(start);
        const found = [...items.slice(from), ...items].find(isMeant);
        return found ? items.indexOf(found) : active;
    };

    button.onkeydown = (/** @type {KeyboardEvent} */ event) => {
        const { key, altKey, timeStamp } = event;
        const isOpen = !list.hidden;
        const isTyping = timeStamp - typedAt < TYPING_MS;
        const step = /** @type {any} */ (STEPS)[key];
        if (event.metaKey || (event.ctrlKey && !altKey)) return;
        if (key === "Tab") {
            if (isOpen) choose(active);
            return;
        }
        if (key === "Escape") {
            if (!isOpen) return;
            open(false);
        } else if (key === "Enter" || (key === " " && !isTyping) || (step && altKey)) isOpen ? choose(active) : open(true);
        // Closed, an arrow only opens.
        else if (step) open(true, active + (isOpen || step % 9 === 0 ? step : 0));
        else if (!key[1]) {
            typed = (isTyping ? typed : "") + key.toLowerCase();
            typedAt = timeStamp;
            open(true, search());
        } else return;
        event.preventDefault();
    };
    button.onclick = () => open(list.hidden);
    // The focus stays on the button.
    list.onmousedown = (/** @type {Event} */ event) => event.preventDefault();
    items.forEach((item, at) => (item.onclick = () => choose(at)));
    find("_label_request_type").onclick = () => button.focus();
    for (const type of ["pointerdown", "focusin"]) {
        document.addEventListener(type, ({ target }) => list.hidden || button.parentNode.contains(target) || open(false));
    }

    form.addEventListener("reset", () => choose(0));
    form.addEventListener("submit", (/** @type {Event} */ event) => {
        event.preventDefault();
        /** @type {any} */ (window).sendUserDataSubjectRequest(form);
    });
    select.hidden = true;
    select.setAttribute("aria-hidden", "true");
    button.hidden = false;
    choose(0);
})();
