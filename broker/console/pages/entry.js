// One entry, with all that is in it.

import { block, el, foreign, link, panel, table, facts } from "./dom.js";
import { COLUMNS, entryLink, read, row, search, searchLink, text } from "./entries.js";
import { command, life, pretty, time } from "./format.js";
import { part } from "./part.js";
import { openPersonal } from "./personal.js";
import { base64, checkpoint, isIncluded, leafHash } from "./proof.js";

const ROWS_MAX = 1000;
const RELATED_MAX = 50;
const APPROVAL = /^[0-9A-HJKMNP-TV-Z]{26}$/;

// Which member leads to which word of a search.
const WORDS = new Map(Object.entries({
    type: "type", pipeline: "pipeline", stage: "stage", tenant: "tenant", owner: "owner", target: "target", environment: "environment",
    issuer: "issuer", subject: "subject", lease: "lease", decision: "decision", policy: "policy", previous: "policy", reason: "reason",
    code: "reason", "ci.repository": "repository", "ci.repository_id": "repository", "ci.run": "run", "ci.commit": "commit",
    "token.kid": "kid", "facts.jkt": "proof-key",
}));
const TIMES = new Set(["time", "expires_at", "until", "opened_at", "not_before", "not_after"]);

// The leaves of an object, each with its path.
function* leaves(value, path = []) {
    if (value === null || typeof value !== "object" || Object.keys(value).length === 0) yield [path, value];
    else for (const [name, member] of Object.entries(value)) yield* leaves(member, [...path, name]);
}

function valueOf(path, value) {
    const word = WORDS.get(path.join("."));

    if (word && text(value) !== "") return searchLink(word, value);
    if (TIMES.has(path.at(-1)) && text(value) !== "") return [time(value)];
    return foreign(value);
}

function allRows(data) {
    const rows = [];

    for (const [path, value] of leaves(data)) {
        if (rows.length === ROWS_MAX) return [...rows, [el("span", { class: "quiet" }, "…"), "there is more in the text below"]];
        rows.push([foreign(path.join(".")), valueOf(path, value)]);
    }
    return rows;
}

function credentialRow(credential) {
    return [foreign(text(credential?.grant)), foreign(text(credential?.type)), searchLink("target", credential?.target) ?? "",
        searchLink("credential", credential?.id) ?? "", time(credential?.expires_at) ?? "", Number.isFinite(credential?.ttl_s) ? life(credential.ttl_s) : "",
        foreign(text(credential?.revocation ?? credential?.revoke))];
}

function credentials(data) {
    const list = Array.isArray(data.credentials) ? data.credentials : [];

    return list.length > 0 && panel("Credentials",
        table("Credentials by their public ids; none is a secret", ["Grant", "Type", "Target", "Id", "Expires", "Life", "Ends by"], list.map(credentialRow)));
}

function personalPanel(context, entry) {
    if (entry.isErased) return panel("Personal values", el("p", {}, "They were erased: who it was stands here as a digest alone."));
    if (!entry.personal) return null;
    return panel("Personal values", part(context, async () => table("Values behind the digests of this entry", ["Where", "Value", "Digest"],
        (await openPersonal(entry.data, entry.personal)).map(({ path, value, holds }) => [foreign(path), foreign(value),
            holds ? el("span", { class: "good" }, "holds") : el("strong", { class: "bad" }, "does not hold: this is not what was recorded")]))));
}

async function proofOf(context, entry, leaf) {
    const point = await checkpoint(context.signal);

    if (entry.index >= point.size)
        return el("p", { class: "warn", role: "status" }, `The newest checkpoint has ${point.size} entries, and this one is not among them yet. One is published each second: load this page again.`);
    const holds = await isIncluded(point, entry.index, leaf, context.signal);
    return el("p", { role: "status" }, holds ? el("strong", { class: "good" }, "Included") : el("strong", { class: "bad" }, "Not included: these hashes do not come to the root"),
        ` in the checkpoint of ${point.size} entries with the root `, el("code", {}, point.root), ".");
}

function proofPanel(context, entry) {
    return panel("In the ledger", part(context, async () => {
        const leaf = entry.isPruned ? Uint8Array.from(atob(entry.leaf), (character) => character.charCodeAt(0)) : await leafHash(entry.text);

        return el("div", {},
            facts([["Index", String(entry.index)], ["Leaf hash", el("code", {}, base64(leaf))]]),
            part(context, () => proofOf(context, entry, leaf)),
            el("p", { class: "quiet" }, "Computed by this page from the entry's bytes and the broker's tiles. The page comes from the broker too, and does not look at signatures: it finds mistakes, and excludes no operator. ",
                el("code", {}, "stagepass audit verify"), " with a key from elsewhere, a receipt or a witness does."));
    }));
}

async function related(context, lease) {
    const answer = await context.ask("api/v1/ledger/entries", { words: [["lease", lease], ["limit", RELATED_MAX]] });

    return el("div", {}, table("Entries of the same lease, from new to old", COLUMNS, answer.entries.map(row)),
        answer.next && el("p", {}, link(search([["lease", lease]]), "All of them")));
}

function head(data) {
    return facts([
        ["Time", time(data.time)], ["Type", searchLink("type", data.type)], ["Stage", searchLink("stage", data.stage)], ["Pipeline", searchLink("pipeline", data.pipeline)],
        ["Environment", searchLink("environment", data.environment)], ["Owner", searchLink("owner", data.owner)], ["Lease", searchLink("lease", data.lease)],
        ["Decision", searchLink("decision", data.decision)], ["Issuer", searchLink("issuer", data.issuer)], ["Subject", searchLink("subject", data.subject)],
        ["Run", searchLink("run", data.ci?.run)], ["Commit", searchLink("commit", data.ci?.commit)], ["Reason", searchLink("reason", data.reason ?? data.code)],
        ["Approval", APPROVAL.test(text(data.approval)) && link(`#/approval/${data.approval}`, data.approval)], ["Policy", searchLink("policy", data.policy)],
    ]);
}

async function whole(context, index) {
    const entry = read(await context.ask(`api/v1/ledger/entries/${index}`));
    const { data } = entry;

    return el("div", {},
        entry.isPruned ? el("p", {}, "This entry was pruned: its hash is kept, so that the rest can be proven, and nothing of what stood in it.") : head(data),
        entry.isUnreadable && el("p", { class: "bad" }, "Its text does not parse."),
        credentials(data), personalPanel(context, entry), proofPanel(context, entry),
        text(data.lease) !== "" && panel("The lease", part(context, () => related(context, data.lease), "reader")),
        !entry.isPruned && panel("All that is in it", facts(allRows(data))),
        !entry.isPruned && panel("As it was hashed", block(entry.text), el("details", {}, el("summary", {}, "Indented"), indented(data))));
}

// Indented by this page, not what was hashed; line ends are its own.
function indented(data) {
    return el("pre", { tabindex: "0" }, el("bdi", {}, pretty(data)));
}

export const title = "Entry";

export function show(context) {
    const index = Number(context.id);

    return [
        el("nav", { class: "row", "aria-label": "Entries beside it" },
            index > 0 && entryLink(index - 1, "← entry ", String(index - 1)), entryLink(index + 1, "entry ", String(index + 1), " →")),
        part(context, () => whole(context, index), "reader"),
        command("audit show", [["--ledger", context.broker]], [index]),
    ];
}
