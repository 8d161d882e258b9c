// Who may reach what, and who did.

import { el, foreign, table } from "./dom.js";
import { searchLink, text } from "./entries.js";
import { command, count, day, life, time } from "./format.js";
import { pager, part } from "./part.js";
import { INVENTORY, wordForm, wordsFor } from "./words.js";

const MAY = { yes: ["good", "yes"], no: ["bad", "no policy gives it"] };

function may(row) {
    const [kind, words] = MAY[row.may] ?? ["warn", row.may === "closed" ? "closed now" : "?"];
    const closed = Array.isArray(row.closed) ? row.closed.map(text).join(", ") : text(row.closed);

    return [el("strong", { class: kind }, words), closed && [": ", foreign(closed)],
        Number.isInteger(row.ttl_s) && el("div", { class: "quiet" }, `for ${life(row.ttl_s)}`),
        row.until && el("div", { class: "quiet" }, "until ", day(row.until))];
}

function review(row) {
    return row.review_by ? [day(row.review_by), row.overdue && el("strong", { class: "bad" }, " overdue")] : "";
}

function used(row) {
    return [row.used > 0 ? el("strong", {}, `${row.used}×`) : el("strong", { class: "warn" }, "never"),
        row.last_used && el("div", { class: "quiet" }, "last ", time(row.last_used)),
        row.first_used && el("div", { class: "quiet" }, "first ", time(row.first_used)),
        row.failed > 0 && el("div", { class: "warn" }, `failed ${row.failed}×`)];
}

function identities(row) {
    const all = Array.isArray(row.identities) ? row.identities : [];

    if (all.length === 0) return "";
    return el("details", {}, el("summary", {}, count(all.length, "identity", "identities"), row.identities_more > 0 && ` and ${row.identities_more} more`),
        el("ul", {}, all.map((one) => el("li", {}, foreign(text(one.name)), el("span", { class: "quiet" }, " of ", foreign(text(one.issuer)), `, used ${one.used ?? 0}×`,
            one.denied > 0 && `, denied ${one.denied}×`, one.last_seen && [", last ", time(one.last_seen)])))));
}

function line(row) {
    return [
        [searchLink("stage", row.stage), row.owner && el("div", { class: "quiet" }, "owner ", foreign(row.owner))],
        [row.target ? searchLink("target", row.target) : "", el("div", { class: "quiet" }, foreign(text(row.grant)), row.type && [" (", foreign(row.type), ")"])],
        foreign(text(row.environment)), may(row), review(row), used(row), identities(row),
    ];
}

async function results(context, words, given) {
    const answer = await context.ask("api/v1/inventory", { words: given });

    return el("div", {},
        el("p", { role: "status" }, `${count(answer.rows.length, "row", "rows")} on this page, as of ${count(answer.as_of, "entry", "entries")}, policy `, el("code", {}, text(answer.policy)), "."),
        answer.rows.length > 0 && table("Stages and what they may reach, beside what they did",
            ["Stage", "Target and grant", "Environment", "May (policy)", "Review by", "Does (ledger)", "By whom"], answer.rows.map(line)),
        pager("/inventory", words, answer.next));
}

export const title = "Inventory";

export function show(context) {
    const { words } = context;
    const given = wordsFor(INVENTORY, words, ["limit", "cursor"]);

    return [
        wordForm("/inventory", INVENTORY, words, { submit: "Show" }),
        part(context, () => results(context, words, given), "reader"),
        command("audit inventory", [["--ledger", context.broker], ...given.filter(([name]) => !["limit", "cursor"].includes(name)).map(([name, value]) => [`--${name}`, value])]),
    ];
}
