// What people are asked to approve.

import { block, el, facts, foreign, link, panel, table } from "./dom.js";
import { entryLink, searchLink, text } from "./entries.js";
import { command, count, life, pretty, time } from "./format.js";
import { part } from "./part.js";

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
        ["Life", Number.isFinite(grant?.ttl_s) && life(grant.ttl_s)], ["Scope", grant?.scope && foreign(grant.scope)],
    ]), grant?.fields !== undefined && (typeof grant.fields === "string" ? block(grant.fields) : el("pre", { tabindex: "0" }, el("bdi", {}, pretty(grant.fields)))),
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

function what(approval) {
    const ci = approval.ci ?? {};

    return facts([
        ["Stage", searchLink("stage", approval.stage)], ["Environment", searchLink("environment", approval.environment)], ["Owner", searchLink("owner", approval.owner)],
        ["Issuer", searchLink("issuer", approval.issuer)], ["Repository", searchLink("repository", ci.repository)], ["Ref", ci.ref && foreign(ci.ref)],
        ["Commit", searchLink("commit", ci.commit)], ["Run", searchLink("run", ci.run)], ["Attempt", ci.attempt && foreign(ci.attempt)],
        ["Workflow", ci.workflow_path && foreign(ci.workflow_path)], ["Its commit", ci.workflow_commit && foreign(ci.workflow_commit)],
        ["Started by", (ci.actor || ci.actor_id) && [foreign(text(ci.actor)), ci.actor_id && [" (", foreign(ci.actor_id), ")"]]],
        ["Acting", approval.actor?.subject && foreign(approval.actor.subject)], ["Why", approval.reason && foreign(approval.reason)],
        ["Audience", approval.audience && foreign(approval.audience)], ["Scope", approval.scope !== undefined && foreign(approval.scope)],
        ...Object.entries(approval.bindings ?? {}).map(([name, value]) => [["Binding ", foreign(name)], foreign(value)]),
        ["Rule", approval.rule && foreign(approval.rule)], ["Policy", searchLink("policy", approval.policy)], ["Digest", approval.digest && foreign(approval.digest)],
    ]);
}

async function one(context) {
    const approval = await context.ask(`api/v1/approvals/${context.id}`);
    const grants = Array.isArray(approval.grants) ? approval.grants : [];

    return el("div", {}, panel("What is asked", what(approval)), panel("What it gives", el("ul", { class: "plain" }, grants.map(grantPanel))), panel("Who is asked", terms(approval)));
}

export const list_page = {
    title: "Approvals",
    show: (context) => [part(context, () => list(context), "approver"), command("approvals", [["--broker", context.broker]])],
};

export const one_page = {
    title: "Approval",
    show: (context) => [part(context, () => one(context), "approver"), command("approvals", [["--broker", context.broker], ["--output", "json"]])],
};
