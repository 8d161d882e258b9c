// Finding entries.

import { COLUMNS, row } from "./entries.js";
import { el, table } from "./dom.js";
import { command, count } from "./format.js";
import { pager, part } from "./part.js";
import { SEARCH, wordForm, wordsFor } from "./words.js";

const SIZES = ["50", "100", "200", "500"];

function sizeField(words) {
    const chosen = SIZES.includes(words.get("limit")) ? words.get("limit") : "100";

    return el("div", { class: "field" }, el("label", { for: "limit" }, "Entries a page"),
        el("select", { id: "limit", name: "limit" }, SIZES.map((size) => el("option", { value: size, selected: size === chosen }, size))));
}

function textField(words) {
    return el("div", { class: "field wide" },
        el("label", { for: "text" }, "Free text, within any text of an entry: reads all that else fits, so it needs a time in Since"),
        el("input", { type: "text", id: "text", name: "text", value: words.get("text") ?? "", maxlength: 256, autocomplete: "off", spellcheck: "false" }));
}

async function results(context, words, given) {
    const answer = await context.ask("api/v1/ledger/entries", { words: given });
    const found = answer.entries.length;
    const isScan = words.has("text");
    const limit = Number(words.get("limit") ?? 100);
    const isShort = answer.next && found < limit;

    return el("div", {},
        el("p", { role: "status" }, `${count(found, "entry", "entries")} on this page, from new to old, as of ${count(answer.as_of, "entry", "entries")} in the ledger.`,
            isScan && " This is a scan: entries are read one by one as far back as Since says, a part of them for each page.",
            isShort && (isScan ? " This part ends here, and there is more to read." : " The page ends early, and there is more to find.")),
        found > 0 && table("Entries that fit", COLUMNS, answer.entries.map(row)),
        pager("/search", words, answer.next, { first: "Newest", more: isShort ? "Go on reading" : "Older entries" }));
}

export const title = "Search the ledger";

export function show(context) {
    const { words } = context;
    const given = wordsFor(SEARCH, words, ["text", "limit", "cursor"]);
    const mayAsk = !words.has("text") || words.has("since");
    const options = given.filter(([name]) => !["limit", "cursor"].includes(name)).map(([name, value]) => [`--${name}`, value]);

    return [
        wordForm("/search", SEARCH, words, { submit: "Search", extra: [textField(words), sizeField(words)] }),
        mayAsk ? part(context, () => results(context, words, given), "reader")
            : el("p", { class: "warn", role: "status" }, "Free text needs a time in Since, such as 7d: nothing was asked."),
        command("audit search", [["--ledger", context.broker], ...options, ["--limit", words.get("limit") ?? 100]]),
    ];
}
