// What went wrong, and what to do, in words. No token is ever among them.

import { Refusal } from "./api.js";
import { el, foreign } from "./dom.js";
import { count } from "./format.js";

const NEEDS = {
    reader: "It is for auditors of its tenant, and for members of the owner of its pipeline: those whose groups, or verified address, are that owner.",
    auditor: "It is for auditors of all tenants.",
    operator: "It is for auditors and operators of all tenants.",
    decision: "To grant takes the group that is asked, to refuse that group or an operator.",
    approver: "It is for who is asked, for owners of the stage, and for approvers, operators and auditors of its tenant.",
};

function later(error) {
    return `Try again in ${count(error.retryAfter ?? 5, "second", "seconds")}.`;
}

function wordsOf(error, needs) {
    switch (error.status) {
    case 0: return ["The broker did not answer as it should", "Look at the network, and whether the broker runs; then try again."];
    case 400: return ["The broker does not take this question", "Change what is asked. A page of a list that has changed meanwhile begins anew."];
    case 401: return ["Your sign-in is over, or is not accepted", "Sign in again: this page stays as it is."];
    case 403: return ["None of your roles allows this", `${NEEDS[needs] ?? ""} Roles are given by the broker's configuration (people.roles), from groups at the provider.`];
    case 404: return ["There is no such thing here", "It may have been too long ago, or never have been."];
    case 414: return ["That is too much to ask at once", "Leave some of the words out."];
    case 429: return ["Too many requests came from your address", later(error)];
    case 503: return ["The broker cannot answer this now", later(error)];
    default: return ["The broker answers something unexpected", `Status ${error.status}.`];
    }
}

// A box that says it; `needs` is who may see what was asked for.
export function explain(error, needs) {
    if (!(error instanceof Refusal)) {
        return el("div", { class: "panel", "aria-label": "Failure" }, el("p", { class: "bad" }, "This page has a mistake of its own"),
            el("p", {}, "What was asked for cannot be shown. The command line shows the same."));
    }
    const [title, help] = wordsOf(error, needs);
    const isNew = error.detail && error.detail.toLowerCase() !== title.toLowerCase();

    return el("div", { class: "panel", "aria-label": "Failure" },
        el("p", {}, el("strong", { class: error.status === 403 ? "warn" : "bad" }, title), isNew && [": ", foreign(error.detail)]),
        el("p", { class: "quiet" }, help));
}
