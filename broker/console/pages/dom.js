// All elements are made here, and what others wrote goes into them as text alone: there is no markup to write.

// Invisible characters, spaces that are not the usual one, those that turn the direction of text, halves of a character:
// shown by their numbers. Some letters and marks are invisible, too (DI), and a pattern of no dots.
export const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{DI}\u2800]|(?! )\p{Zs}/gu;
const SHOWN_MAX = 4096;

const ATTRIBUTES = new Set([
    "alt", "autocomplete", "class", "cols", "datetime", "for", "hidden", "id", "inputmode", "list", "max", "maxlength", "min",
    "name", "open", "pattern", "placeholder", "required", "role", "rows", "scope", "selected", "spellcheck", "tabindex", "title",
    "type", "value", "checked", "disabled", "step",
]);

function set(element, name, value) {
    if (value === undefined || value === null || value === false) return;
    if (name === "on") {
        for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    } else if (name === "to") {
        if (!value.startsWith("#/")) throw new Error("a link to elsewhere");
        element.setAttribute("href", value);
    } else if (ATTRIBUTES.has(name) || name.startsWith("aria-")) {
        element.setAttribute(name, value === true ? "" : String(value));
    } else {
        throw new Error(`no attribute ${name} here`);
    }
}

// An element; children are nodes, texts, lists of these, or nothing.
export function el(name, attributes = {}, ...children) {
    const element = document.createElement(name);

    for (const [key, value] of Object.entries(attributes)) set(element, key, value);
    element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
    return element;
}

// What an unseen character is shown as.
export function escaped(character) {
    return `\\u{${character.codePointAt(0).toString(16)}}`;
}

function pieces(text) {
    const out = [];
    let from = 0;

    for (const match of text.matchAll(UNSEEN)) {
        out.push(text.slice(from, match.index), el("span", { class: "escape" }, escaped(match[0])));
        from = match.index + match[0].length;
    }
    out.push(text.slice(from));
    return out;
}

function textOf(value) {
    return typeof value === "string" ? value : JSON.stringify(value) ?? "";
}

// What others wrote: apart from the text around it, with nothing hidden in it.
export function foreign(value) {
    const text = textOf(value);
    const cut = text.length > SHOWN_MAX ? ` … and ${text.length - SHOWN_MAX} more characters` : "";

    return el("bdi", {}, pieces(text.slice(0, SHOWN_MAX)), cut && el("span", { class: "quiet" }, cut));
}

// The same, all of it, where somebody decides by what they see.
export function whole(value) {
    return el("bdi", {}, pieces(textOf(value)));
}

// A whole text of many lines, or of one that is long.
export function block(text) {
    return el("pre", { tabindex: "0" }, el("bdi", {}, pieces(text)));
}

export function link(to, ...children) {
    return el("a", { to }, ...children);
}

// A table of rows of cells; `columns` are their titles.
export function table(caption, columns, rows) {
    return el("div", { class: "scroll", tabindex: "0", "aria-label": caption },
        el("table", {},
            el("caption", {}, caption),
            el("thead", {}, el("tr", {}, columns.map((title) => el("th", { scope: "col" }, title)))),
            el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell)))))));
}

// Names and values, those that are there.
export function facts(rows) {
    return el("dl", {}, rows.filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false)
        .map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

export function panel(title, ...children) {
    return el("section", { class: "panel" }, el("h2", {}, title), ...children);
}

export function button(text, handler, attributes = {}) {
    return el("button", { type: "button", on: { click: handler }, ...attributes }, text);
}
