// Parts of a page that come when they are there.

import { Refusal } from "./api.js";
import { button, el } from "./dom.js";
import { explain } from "./errors.js";

// A place for what `make` gives, or for why it does not; a part that fails leaves the others alone.
export function part(context, make, needs) {
    const place = el("div", { "aria-busy": "true" }, el("p", { class: "busy" }, "Loading …"));
    const run = async () => {
        try {
            place.replaceChildren(await make());
        } catch (error) {
            if (error.name === "AbortError") return;
            if (error instanceof Refusal && error.status === 401) context.signInAgain();
            const again = [0, 429, 503].includes(error.status) && el("p", {}, button("Try again", run));
            place.replaceChildren(explain(error, needs), ...(again ? [again] : []));
        } finally {
            place.removeAttribute("aria-busy");
        }
    };

    context.parts.push(run());
    return place;
}

// Links to the first page of a list and to the one behind this.
export function pager(route, words, next, { first = "First page", more = "Next page", note } = {}) {
    const at = new URLSearchParams(words);

    at.delete("cursor");
    const to = at.toString();
    const behind = new URLSearchParams(at);
    if (next) behind.set("cursor", next);
    return el("nav", { class: "row", "aria-label": "Pages of the list" },
        words.has("cursor") && el("a", { to: `#${route}${to ? `?${to}` : ""}` }, first),
        next ? el("a", { to: `#${route}?${behind}` }, more) : el("span", { class: "quiet" }, "This is the end of the list."),
        note && el("span", { class: "quiet" }, note));
}
