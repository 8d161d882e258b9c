// Leases that live, and those whose credentials could not be ended yet.

import { el, foreign, table } from "./dom.js";
import { entryLink, searchLink, text } from "./entries.js";
import { command, count, time } from "./format.js";
import { pager, part } from "./part.js";
import { LEASES, wordForm, wordsFor } from "./words.js";

function line(lease) {
    return [
        [searchLink("lease", lease.id), el("div", { class: "quiet" }, "opened by entry ", entryLink(lease.entry))],
        searchLink("stage", lease.stage),
        [foreign(lease.state), lease.owes && el("div", { class: "quiet" }, "has credentials to end")],
        time(lease.opened_at), time(lease.expires_at), String(lease.renewals),
        [lease.repository && el("div", {}, foreign(text(lease.repository))), lease.run && el("div", {}, "run ", searchLink("run", lease.run)),
            lease.commit && el("div", { class: "quiet" }, "commit ", searchLink("commit", lease.commit))],
    ];
}

async function results(context, words, given) {
    const answer = await context.ask("api/v1/leases", { words: given });
    const isStuck = words.get("stuck") === "1";

    return el("div", {},
        el("p", { role: "status" }, `${count(answer.leases.length, "lease", "leases")} on this page, the newest first.`),
        answer.leases.length > 0 && table(isStuck ? "Ended leases with credentials that are not ended yet" : "Leases that live",
            ["Lease", "Stage", "State", "Opened", "Expires", "Renewals", "Run"], answer.leases.map(line)),
        pager("/leases", words, answer.next));
}

export const title = "Leases";

export function show(context) {
    const { words } = context;
    const given = wordsFor(LEASES, words, ["stuck", "cursor"]);
    const stuck = el("div", { class: "field" }, el("label", {}, el("input", { type: "checkbox", name: "stuck", value: "1", checked: words.get("stuck") === "1" }),
        " Instead: ended, with credentials that are not"));

    return [
        wordForm("/leases", LEASES, words, { submit: "Show", extra: stuck }),
        part(context, () => results(context, words, given), "reader"),
        command("leases", [["--broker", context.broker], ...given.filter(([name]) => name !== "cursor").map(([name, value]) => name === "stuck" ? ["--stuck", true] : [`--${name}`, value])]),
    ];
}
