// Times, lives and command lines.

import { UNSEEN, button, el, escaped, foreign } from "./dom.js";

// A time as the broker writes it: UTC, and the reader's own in its title.
export function time(text) {
    if (text === undefined) return undefined;
    const date = new Date(text);
    if (Number.isNaN(date.getTime())) return foreign(text);
    const shown = `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
    return el("time", { datetime: date.toISOString(), title: `${date.toLocaleString()} (your time zone)` }, shown);
}

export function day(text) {
    if (text === undefined) return undefined;
    return /^[0-9-]{10}(T[0-9:.]+Z)?$/.test(text) ? el("time", { datetime: text, title: text }, text.slice(0, 10)) : foreign(text);
}

const UNITS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

// 5401: "1h 30m 1s"
export function life(seconds) {
    const parts = [];
    let rest = Math.max(0, Math.round(seconds));

    if (!Number.isFinite(rest)) return undefined;
    for (const [unit, size] of UNITS) {
        const count = Math.floor(rest / size);
        if (count > 0) parts.push(`${count}${unit}`);
        rest -= count * size;
    }
    return parts.join(" ") || "0s";
}

export function count(number, one, many) {
    return `${number} ${number === 1 ? one : many}`;
}

// What quotes and backslashes mean differs between shells: neither stands within quotes, but in escapes of digits alone.
function quotePiece(piece) {
    if (/^['\\]/.test(piece)) return piece.replace(/./g, "\\$&");
    if (/^[\x20-\x7e]/.test(piece)) return `'${piece}'`;
    const escapes = [...piece].map((character) => {
        const point = character.codePointAt(0);
        return point < 0x80 ? `\\x${point.toString(16).padStart(2, "0")}` : `\\U${point.toString(16).padStart(8, "0")}`;
    });
    return `$'${escapes.join("")}'`;
}

// A word of a shell's command line: as it is, in quotes, or with escapes where a terminal would not show it.
export function quote(text) {
    if (text === "") return "''";
    if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(text)) return text;
    return text.match(/['\\]+|[^'\\\P{ASCII}\p{Cc}]+|[\P{ASCII}\p{Cc}]+/gu).map(quotePiece).join("");
}

// The command that shows the same; options are pairs, flags have no value.
export function command(words, options = [], operands = []) {
    const parts = ["stagepass", ...words.split(" ")];

    for (const [name, value] of options) {
        if (value === undefined || value === "") continue;
        if (value === true) parts.push(name);
        else if (String(value).startsWith("-")) parts.push(quote(`${name}=${value}`));
        else parts.push(name, quote(String(value)));
    }
    for (const operand of operands) parts.push(quote(String(operand)));
    const line = parts.join(" ");
    const copy = button("Copy", async () => {
        try {
            await navigator.clipboard.writeText(line);
            copy.textContent = "Copied";
        } catch {
            copy.textContent = "Select it by hand";
        }
    }, { class: "small" });
    return el("figure", { class: "command" }, el("figcaption", { class: "quiet" }, "On the command line:"), el("code", {}, line), copy);
}

// A JSON text for people: its own characters, but for those that nobody would see.
export function pretty(value) {
    return JSON.stringify(value, null, 2).replace(UNSEEN, (character) => (character === "\n" ? character : escaped(character)));
}
