// Entries of the ledger, as the API gives them.

import { el, foreign, link } from "./dom.js";
import { time } from "./format.js";

// An entry with what is in it: `data` is its object, `text` the bytes that are hashed.
export function read(item) {
    const entry = { index: item.index, text: item.entry, isPruned: item.pruned === true, isErased: item.erased === true,
        leaf: item.leaf_hash, personal: item.private, data: {} };

    if (entry.isPruned) return entry;
    try {
        const data = JSON.parse(item.entry);
        if (data && typeof data === "object" && !Array.isArray(data)) entry.data = data;
    } catch {
        entry.isUnreadable = true;
    }
    return entry;
}

export function text(value) {
    return typeof value === "string" ? value : "";
}

function list(value) {
    return Array.isArray(value) ? value : [];
}

export function search(words) {
    return `#/search?${new URLSearchParams(words)}`;
}

export function entryLink(index, ...children) {
    return link(`#/entry/${Number(index)}`, ...(children.length > 0 ? children : [String(Number(index))]));
}

// A value with a link to all entries that have it.
export function searchLink(word, value) {
    return text(value) === "" ? undefined : link(search([[word, value]]), foreign(value));
}

// What a line says of an entry besides its time and type.
function summary({ data, isPruned, isUnreadable }) {
    const failed = list(data.failed).map(text).filter(Boolean);
    const grants = list(data.credentials).map((credential) => text(credential?.grant)).filter(Boolean);
    const parts = [
        ["", text(data.reason) || text(data.code)], ["outcome ", text(data.outcome)], ["grants ", grants.join(", ")],
        ["failed ", failed.join(", ")], ["target ", text(data.target)], ["issuer ", text(data.issuer)], ["", text(data.kind && data.value)],
    ].filter(([, value]) => value !== "");

    if (isPruned) return el("span", { class: "quiet" }, "pruned: only its hash is kept");
    if (isUnreadable) return el("span", { class: "bad" }, "does not parse");
    return parts.map(([name, value], i) => [i > 0 && "; ", name, foreign(value)]);
}

export const COLUMNS = ["Entry", "Time", "Type", "Stage or pipeline", "Lease", "What"];

export function row(item) {
    const entry = read(item);
    const { data } = entry;

    return [entryLink(entry.index), time(data.time) ?? "", foreign(text(data.type)),
        searchLink("stage", data.stage) ?? searchLink("pipeline", data.pipeline) ?? "", searchLink("lease", data.lease) ?? "", summary(entry)];
}
