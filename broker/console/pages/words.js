// The words that searches go by, as fields of a form.

import { button, el } from "./dom.js";

const VALUES_MAX = 16;
const VALUE_MAX = 1024;
const TIME = "\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}:\\d{2}Z)?|\\d{1,5}[smhd]";
const TIME_HINT = "2026-11-22T10:00:00Z, 2026-11-22, or 90d before now";

export const TYPES = [
    "credential.issued", "credential.failed", "credential.unknown", "credential.revoked", "exchange.denied", "exchange.observed",
    "lease.requested", "lease.renewed", "lease.released", "lease.revoked", "lease.expired", "renewal.requested", "renewal.failed",
    "approval.requested", "approval.granted", "approval.rejected", "approval.refused", "policy.activated", "keys.rotated", "issuer.keys_changed",
    "broker.started", "orphan.found", "admin.read", "admin.reviewed", "admin.blocked", "admin.unblocked", "admin.revoked",
    "admin.erased", "admin.pruned",
];

// The words of a search; `many`: more than one value is an alternative.
export const SEARCH = [
    { name: "type", label: "Type", options: TYPES, many: true, first: true },
    { name: "stage", label: "Stage", hint: "pipeline:stage", many: true, first: true },
    { name: "pipeline", label: "Pipeline", many: true, first: true },
    { name: "target", label: "Target", many: true, first: true },
    { name: "environment", label: "Environment", many: true, first: true },
    { name: "actor", label: "Actor", hint: "name, id or address of a person", many: true, first: true },
    { name: "since", label: "Since", kind: "time", first: true },
    { name: "until", label: "Until (before)", kind: "time", first: true },
    { name: "run", label: "Run", many: true },
    { name: "commit", label: "Commit", hint: "the whole hash", many: true },
    { name: "repository", label: "Repository", hint: "name or id", many: true },
    { name: "lease", label: "Lease", many: true },
    { name: "decision", label: "Decision", many: true },
    { name: "credential", label: "Credential", hint: "jti, serial, access key id", many: true },
    { name: "reason", label: "Reason", many: true },
    { name: "grant", label: "Grant", many: true },
    { name: "tenant", label: "Tenant", many: true },
    { name: "owner", label: "Owner", many: true },
    { name: "issuer", label: "Issuer", many: true },
    { name: "subject", label: "Subject", hint: "the token's sub", many: true },
    { name: "address", label: "Address", hint: "10.1.2.3 or 10.0.0.0/8", many: true },
    { name: "policy", label: "Policy", hint: "sha256:…", many: true },
    { name: "kid", label: "Key id", many: true },
    { name: "proof-key", label: "Proof key", hint: "thumbprint", many: true },
];

export const LEASES = SEARCH.filter(({ name }) => !["type", "reason", "decision", "credential", "grant", "policy", "subject"].includes(name));

export const INVENTORY = [
    { name: "environment", label: "Environment", first: true },
    { name: "target", label: "Target", first: true },
    { name: "owner", label: "Owner", first: true },
    { name: "tenant", label: "Tenant", first: true },
    { name: "pipeline", label: "Pipeline", first: true },
    { name: "stage", label: "Stage", hint: "pipeline:stage", first: true },
    { name: "unused", label: "Allowed, and not used since", kind: "time", first: true },
];

let lastId = 0;

function input(field, value, id) {
    const list = field.options && `${id}-options`;

    return [
        el("input", {
            type: "text", id, name: field.name, value, maxlength: VALUE_MAX, autocomplete: "off", spellcheck: "false", list,
            pattern: field.kind === "time" ? TIME : undefined, placeholder: field.kind === "time" ? "90d" : field.hint,
            title: field.kind === "time" ? TIME_HINT : field.hint,
        }),
        list && el("datalist", { id: list }, field.options.map((option) => el("option", { value: option }))),
    ];
}

function fieldOf(field, values) {
    const id = `word-${++lastId}`;
    const box = el("div", { class: "values" });
    const add = (value) => {
        const isFirst = box.children.length === 0;
        const made = input(field, value, isFirst ? id : `word-${++lastId}`);

        if (!isFirst) made[0].setAttribute("aria-label", `${field.label}, or`);
        box.append(el("div", { class: "value" }, made, isFirst && field.many && button("or", () => {
            if (box.children.length < VALUES_MAX) add("").focus();
        }, { class: "small", title: "Another value: either fits", "aria-label": `or another value for ${field.label}` })));
        return made[0];
    };

    for (const value of values.length > 0 ? values : [""]) add(value);
    return el("div", { class: "field" }, el("label", { for: id }, field.label), box);
}

// A form of these fields, filled by `words`; what is entered goes into the address of `route`, and so to the page.
export function wordForm(route, fields, words, { submit, extra = [] } = {}) {
    const isSet = (field) => !field.first && words.getAll(field.name).length > 0;
    const rest = fields.filter((field) => !field.first);
    const form = el("form", { class: "words", on: { submit: (event) => {
        event.preventDefault();
        const given = [...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value !== "");
        const to = `#${route}?${new URLSearchParams(given)}`;
        if (location.hash === to) dispatchEvent(new HashChangeEvent("hashchange"));
        else location.hash = to;
    } } },
    fields.filter((field) => field.first).map((field) => fieldOf(field, words.getAll(field.name))),
    extra,
    rest.length > 0 && el("details", { class: "wide", open: rest.some(isSet) }, el("summary", {}, "More fields"),
        el("div", { class: "panels" }, rest.map((field) => fieldOf(field, words.getAll(field.name))))),
    el("div", { class: "row wide" }, el("button", { class: "main", type: "submit" }, submit), el("a", { to: `#${route}` }, "Clear")));

    return form;
}

// The words of an address that a request takes: only those that it knows, and no more of them than it takes.
export function wordsFor(fields, words, others = []) {
    const known = new Map(fields.map((field) => [field.name, field.many ? VALUES_MAX : 1]));

    for (const name of others) known.set(name, 1);
    return [...known].flatMap(([name, max]) => words.getAll(name).slice(0, max).filter((value) => value !== "").map((value) => [name, value]));
}
