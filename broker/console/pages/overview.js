// How things are, and what needs somebody.

import { now } from "./api.js";
import { el, facts, foreign, link, panel, table } from "./dom.js";
import { COLUMNS, row, text } from "./entries.js";
import { command, count, day, time } from "./format.js";
import { part } from "./part.js";
import { checkpoint } from "./proof.js";

const LATEST = 10;
const SOON_MS = 30 * 24 * 3600 * 1000;

async function ledger(context) {
    const point = await checkpoint(context.signal);
    const [own, ...others] = point.signatures;

    return el("div", {}, facts([
        ["Log", foreign(point.origin)], ["Entries", String(point.size)], ["Root", el("code", {}, point.root)], ["Signed by", own && foreign(own.name)],
        ["Witnesses", others.length > 0 ? others.map((one, i) => [i > 0 && ", ", foreign(one.name), one.at && [" at ", time(one.at)]]) : el("span", { class: "warn" }, "none has cosigned it")],
    ]), el("p", { class: "quiet" }, "Names alone: ", el("code", {}, "stagepass audit verify"), " looks at the signatures."));
}

function ends(policy) {
    const soon = now() + SOON_MS;
    const rows = [];
    const note = (what, name, at) => {
        if (at && Date.parse(at) < soon) rows.push([Date.parse(at), el("li", {}, what, " ", foreign(name), Date.parse(at) < now() ? el("strong", { class: "bad" }, " since ") : " on ", day(at))]);
    };

    for (const pipeline of policy.pipelines) {
        note("Review due of", pipeline.name, pipeline.review_by);
        for (const stage of pipeline.stages) note("Stage ends:", stage.id, stage.until);
    }
    for (const exception of policy.exceptions ?? []) note("Exception ends:", `${text(exception.pipeline)}:${text(exception.stage)}`, exception.until);
    return rows.sort(([a], [b]) => a - b).slice(0, 20).map(([, node]) => node);
}

async function policy(context) {
    const answer = await context.ask("api/v1/policy");
    const due = ends(answer);
    const load = answer.load ?? {};
    const shadow = answer.shadow ?? {};

    return el("div", {}, facts([
        ["In force", el("code", {}, text(answer.policy))], ["Since", time(answer.activated_at)],
        ["Holds", answer.counts && Object.entries(answer.counts).map(([name, number]) => count(number, name.replace(/s$/, ""), name)).join(", ")],
        ["Source", answer.source && [foreign(text(answer.source.repository)), " ", el("span", { class: "quiet" }, foreign(text(answer.source.commit)))]],
        ["Last load", load.failing_since && el("strong", { class: "bad" }, `fails with ${count(load.errors, "mistake", "mistakes")} since `, time(load.failing_since))],
        ["Shadow", shadow.failing_since && el("strong", { class: "warn" }, "fails since ", time(shadow.failing_since))],
    ]), Array.isArray(load.mistakes) && el("ul", {}, load.mistakes.map((mistake) => el("li", {}, foreign(`${text(mistake.file)}:${mistake.line ?? ""}: ${text(mistake.message)}`)))),
    due.length > 0 ? [el("p", {}, "Due, or overdue, within 30 days", answer.next && " (of the first page of the policy)", ":"), el("ul", {}, due)]
        : el("p", { class: "quiet" }, answer.pipelines.length === 0 ? "There is no pipeline here that you may see." : ["Nothing is due within 30 days", answer.next && " on the first page of the policy", "."]));
}

async function leases(context) {
    const [live, stuck] = await Promise.all([context.ask("api/v1/leases"), context.ask("api/v1/leases", { words: [["stuck", "1"]] })]);
    const told = (answer) => (answer.next ? `${answer.leases.length} or more` : String(answer.leases.length));

    return facts([["Live", link("#/leases", told(live))],
        ["Not ended yet", stuck.leases.length > 0 || stuck.next ? link("#/leases?stuck=1", el("strong", { class: "bad" }, told(stuck))) : el("span", { class: "good" }, "none")]]);
}

async function blocks(context) {
    const answer = await context.ask("api/v1/blocks");

    return facts([["In force", answer.blocks.length > 0 ? link("#/blocks", el("strong", { class: "warn" }, String(answer.blocks.length))) : "none"]]);
}

async function approvals(context) {
    const answer = await context.ask("api/v1/approvals");
    const pending = answer.approvals.filter((approval) => approval.state === "pending").length;
    const glass = answer.approvals.filter((approval) => approval.break_glass).length;

    return facts([["Pending", pending > 0 ? link("#/approvals", el("strong", { class: "warn" }, String(pending), answer.is_cut && " or more")) : "none"],
        ["Broken glass", glass > 0 && link("#/approvals", el("strong", { class: "bad" }, String(glass)))]]);
}

async function latest(context) {
    const answer = await context.ask("api/v1/ledger/entries", { words: [["limit", LATEST]] });

    return el("div", {}, answer.entries.length > 0 ? table(`The latest entries, as of ${count(answer.as_of, "entry", "entries")}`, COLUMNS, answer.entries.map(row)) : el("p", {}, "There are none that you may see."),
        el("p", {}, link("#/search", "Search the ledger")));
}

export const title = "Overview";

export function show(context) {
    return [
        el("div", { class: "panels" },
            panel("Ledger", part(context, () => ledger(context))),
            panel("Policy", part(context, () => policy(context), "reader")),
            panel("Leases", part(context, () => leases(context), "reader")),
            panel("Approvals", part(context, () => approvals(context), "approver")),
            panel("Blocks", part(context, () => blocks(context), "operator"))),
        panel("Latest entries", part(context, () => latest(context), "reader")),
        command("audit search", [["--ledger", context.broker], ["--limit", LATEST]]),
    ];
}
