// What people are asked to approve.

import { Refusal } from "./api.js";
import { block, button, el, facts, foreign, link, panel, table, whole } from "./dom.js";
import { entryLink, searchLink, text } from "./entries.js";
import { explain } from "./errors.js";
import { command, count, life, pretty, time } from "./format.js";
import { part } from "./part.js";

const REASON_MAX = 256;

function line(approval) {
    return [link(`#/approval/${approval.id}`, foreign(text(approval.id))), searchLink("stage", approval.stage), foreign(text(approval.state)),
        foreign(text(approval.ci?.ref)), foreign(text(approval.ci?.actor)), foreign(text(approval.reason)), time(approval.requested_at) ?? "", time(approval.until) ?? "",
        Number.isInteger(approval.left) ? String(approval.left) : ""];
}

async function list(context) {
    const answer = await context.ask("api/v1/approvals");

    return el("div", {},
        el("p", { role: "status" }, `${count(answer.approvals.length, "approval is", "approvals are")} pending, or granted and not used, as far as you may see them.`, answer.is_cut && " There are more: these are the oldest."),
        answer.approvals.length > 0 && table("Approvals", ["Approval", "Stage", "State", "Ref", "Started by", "Why", "Asked", "Until", "People left"], answer.approvals.map(line)));
}

function grantPanel(grant) {
    return el("li", {}, facts([
        ["Grant", foreign(text(grant?.grant))], ["Type", foreign(text(grant?.type))], ["Target", grant?.target && searchLink("target", grant.target)],
        ["Life", Number.isFinite(grant?.ttl_s) && life(grant.ttl_s)], ["Scope", grant?.scope && whole(grant.scope)],
    ]), grant?.fields !== undefined && (typeof grant.fields === "string" ? [el("p", { class: "warn" }, "There is too much to show: this is the SHA-256 of its fields, which the policy has."), block(grant.fields)] : el("pre", { tabindex: "0" }, el("bdi", {}, pretty(grant.fields)))),
    grant?.details !== undefined && [el("p", { class: "quiet" }, "narrowed to"), el("pre", { tabindex: "0" }, el("bdi", {}, pretty(grant.details)))]);
}

function terms(approval) {
    const asked = approval.approval ?? {};

    return facts([
        ["State", foreign(text(approval.state))], ["People left", Number.isInteger(approval.left) && String(approval.left)], ["Asked", asked.by && foreign(asked.by)],
        ["Own runs", asked.self_approval !== undefined && foreign(asked.self_approval)], ["Asked at", time(approval.requested_at)], ["Until", time(approval.until)],
        ["Glass", approval.break_glass && el("strong", { class: "warn" }, "broken")], ["Entry", Number.isInteger(approval.entry) && entryLink(approval.entry)],
    ]);
}

// All that the digest is of, but for the grants, and what tells people what that is.
function what(approval) {
    const ci = approval.ci ?? {};

    return facts([
        ["Stage", searchLink("stage", approval.stage)], ["Instance", approval.instance && whole(approval.instance)], ["Environment", searchLink("environment", approval.environment)], ["Owner", searchLink("owner", approval.owner)], ["Tenant", searchLink("tenant", approval.tenant)],
        ["Issuer", searchLink("issuer", approval.issuer)], ["Repository", searchLink("repository", ci.repository)],
        ["Its id", searchLink("repository", ci.repository_id)], ["Ref", ci.ref && foreign(ci.ref)],
        ["Commit", searchLink("commit", ci.commit)], ["Run", searchLink("run", ci.run)], ["Attempt", ci.attempt && foreign(ci.attempt)],
        ["Workflow", ci.workflow_path && foreign(ci.workflow_path)], ["Its commit", ci.workflow_commit && foreign(ci.workflow_commit)],
        ["Started by", (ci.actor || ci.actor_id) && [foreign(text(ci.actor)), ci.actor_id && [" (", foreign(ci.actor_id), ")"]]],
        ["Acting", approval.actor?.subject && foreign(approval.actor.subject)], ["Why", approval.reason && foreign(approval.reason)],
        ["Audience", approval.audience && whole(approval.audience)], ["Scope", approval.scope !== undefined && whole(approval.scope)],
        ...Object.entries(approval.bindings ?? {}).map(([name, value]) => [["Binding ", whole(name)], whole(value)]),
        ["Rule", approval.rule && foreign(approval.rule)], ["Policy", searchLink("policy", approval.policy)], ["Digest", approval.digest && foreign(approval.digest)],
    ]);
}

// What a decision became.
function decided(word, answer) {
    return el("p", { role: "status" }, el("strong", { class: "good" }, word === "grant" ? "You have granted it" : "You have refused it"), ": it is ", foreign(text(answer.state)),
        answer.left > 0 && `, and ${count(answer.left, "person is", "people are")} still to grant it`, answer.until && [", until ", time(answer.until)], ". ",
        Number.isInteger(answer.entry) && entryLink(answer.entry, `Entry ${answer.entry}`));
}

// Granting goes by the digest of what this page shows: of nothing that came behind it.
function decisionForm(context, approval, words, redraw) {
    const reason = el("input", { type: "text", id: "reason", maxlength: REASON_MAX, required: true, pattern: ".*\\S.*", autocomplete: "off" });
    const said = el("div", { role: "alert" });
    const decide = async (word) => {
        if (!form.reportValidity()) return;
        for (const one of buttons) one.disabled = true;
        said.replaceChildren();
        try {
            const given = [["reason", reason.value.trim()], ...(word === "grant" ? [["digest", approval.digest]] : [])];
            redraw(decided(word, await context.ask(`api/v1/approvals/${approval.id}/${word}`, { form: given })));
        } catch (error) {
            if (error.name === "AbortError") return;
            if (error instanceof Refusal && error.status === 401) context.signInAgain();
            said.replaceChildren(explain(error, "decision"));
            for (const one of buttons) one.disabled = false;
        }
    };
    const buttons = words.map((word) => button(word === "grant" ? "Grant exactly this" : "Refuse it", () => decide(word), { class: word === "grant" ? "main" : undefined }));
    const form = el("form", { on: { submit: (event) => event.preventDefault() } }, // Enter in a field decides nothing
    el("div", { class: "field" }, el("label", { for: "reason" }, "Reason, for the ledger: it stays there, so it must not name a person"), reason),
    el("div", { class: "row" }, buttons), said);

    return form;
}

function decisionPanel(context, approval, redraw) {
    const by = text(approval.approval?.by);
    const isAsked = by !== "" && context.me.groups.includes(by);
    const mayRefuse = isAsked || context.me.roles.some((role) => role.role === "operator" && (!role.tenants || role.tenants.includes(approval.tenant)));
    const words = [approval.state === "pending" && isAsked && /^sha256:[0-9a-f]{64}$/.test(approval.digest) && "grant", ["pending", "granted"].includes(approval.state) && mayRefuse && "deny"].filter(Boolean);

    if (!["pending", "granted"].includes(approval.state)) return null;
    return panel("Decide", words.length > 0 ? decisionForm(context, approval, words, redraw)
        : el("p", { class: "quiet" }, "It is not yours to decide: to grant it takes the group ", foreign(by), ", to refuse it that group, or an operator."),
    el("p", { class: "quiet" }, "Breaking the glass is for the command line: ", el("code", {}, "stagepass approve --break-glass"), "."),
    words.includes("grant") && command("approve", [["--broker", context.broker], ["--digest", approval.digest], ["--reason", "WHY"]], [approval.id]),
    words.includes("deny") && command("deny", [["--broker", context.broker], ["--reason", "WHY"]], [approval.id]));
}

async function one(context, note) {
    const approval = await context.ask(`api/v1/approvals/${context.id}`);
    const grants = Array.isArray(approval.grants) ? approval.grants : [];
    const page = el("div", {}, note, panel("What is asked", what(approval)), panel("What it gives", el("ul", { class: "plain" }, grants.map(grantPanel))), panel("Who is asked", terms(approval)),
        decisionPanel(context, approval, (said) => page.replaceWith(part(context, () => one(context, said), "approver"))));

    return page;
}

export const list_page = {
    title: "Approvals",
    show: (context) => [part(context, () => list(context), "approver"), command("approvals", [["--broker", context.broker]])],
};

export const one_page = {
    title: "Approval",
    show: (context) => [part(context, () => one(context), "approver"), command("approvals", [["--broker", context.broker], ["--output", "json"]])],
};
