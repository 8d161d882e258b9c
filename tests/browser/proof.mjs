// The page's proof of inclusion over logs of all shapes, without a browser: its tiles come from a tree that is built
// here in another way.

import { createHash } from "node:crypto";

const ROOT = "https://broker.example/";
const WIDTH = 256;

globalThis.document = { baseURI: `${ROOT}console/` };
const { base64, isIncluded, leafHash } = await import("../../broker/console/pages/proof.js");

let failures = 0;

function check(name, holds, detail = "") {
    console.log(`${holds ? "ok" : "not ok"} - ${name}`);
    if (!holds) {
        failures++;
        console.log(`    ${detail}`);
    }
}

const sha256 = (...parts) => {
    const hash = createHash("sha256");
    for (const part of parts) hash.update(part);
    return hash.digest();
};
const node = (left, right) => sha256(Buffer.of(1), left, right);
const leaf = (index) => sha256(Buffer.of(0), Buffer.from(`entry ${index}`));

// All complete subtrees: levels[k][i] is of 2^k entries.
function treeOf(size) {
    const levels = [Array.from({ length: size }, (_, i) => leaf(i))];

    while (levels.at(-1).length > 1) {
        const below = levels.at(-1);
        levels.push(Array.from({ length: Math.floor(below.length / 2) }, (_, i) => node(below[2 * i], below[2 * i + 1])));
    }
    return levels;
}

// RFC 9162 2.1.1, from the right: complete subtrees of falling size.
function rootOf(levels, size) {
    const peaks = [];
    let at = 0;

    for (let k = levels.length - 1; k >= 0; k--) {
        if (size & (1 << k)) {
            peaks.push(levels[k][at >> k]);
            at += 1 << k;
        }
    }
    return peaks.reduceRight((right, left) => node(left, right));
}

const mistakes = [];

// What a tile's path must be, and what is in it. Source: C2SP tlog-tiles
function tileAt(levels, size, url) {
    const [, level, text, width] = url.match(/^https:\/\/broker\.example\/log\/tile\/(0|[1-9][0-9]*)\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]*))?$/) ?? [];
    const number = Number(text?.replaceAll("x", "").replaceAll("/", ""));
    const row = levels[8 * Number(level)] ?? [];
    const hashes = row.slice(number * WIDTH, (number + 1) * WIDTH);
    const isWhole = hashes.length === WIDTH;

    if (level === undefined || hashes.length === 0 || (isWhole ? width !== undefined : Number(width) !== hashes.length) || (text.includes("/") && text.startsWith("x000")))
        mistakes.push(`${url} of ${size}`);
    return Buffer.concat(hashes);
}

async function holds(levels, size, index, given, root) {
    globalThis.fetch = async (url) => new Response(tileAt(levels, size, String(url)));
    return isIncluded({ size, root: base64(root) }, index, given);
}

async function tryLog(size, indices) {
    const levels = treeOf(size);
    const root = rootOf(levels, size);
    const bad = [];

    for (const index of indices) {
        if (!await holds(levels, size, index, leaf(index), root)) bad.push(`entry ${index}`);
        if (await holds(levels, size, index, leaf(size), root)) bad.push(`another entry at ${index}`);
    }
    check(`a log of ${size}: each entry is in it, and no other in its place`, bad.length === 0, bad.slice(0, 5).join(", "));
}

for (const size of [1, 2, 3, 4, 5, 7, 8, 9, 31, 255, 256, 257, 300]) await tryLog(size, Array.from({ length: size }, (_, i) => i).filter((i) => size < 10 || i % 29 === 0 || i > size - 3));
for (const size of [511, 512, 513, 65536, 256 * 1001 + 3]) await tryLog(size, [0, 256, size >> 1, size - 1].filter((index) => index < size));
check("each tile is asked for by its own name, and with its own width", mistakes.length === 0, mistakes.slice(0, 5).join(", "));
check("a leaf is hashed as one", base64(await leafHash("entry 3")) === leaf(3).toString("base64"));
process.exit(failures > 0 ? 1 : 0);
