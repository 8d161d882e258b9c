// Whether an entry is in the published log: its hash, and the tiles' hashes beside its way, up to the checkpoint's
// root (RFC 9162 2.1, C2SP tlog-tiles and tlog-checkpoint).

import { bytesOf, fetchPublic } from "./api.js";

const HASH = 32;
const WIDTH = 256; // hashes of a full tile
const TILE_MAX = WIDTH * HASH;
const NOTE_MAX = 64 * 1024;

async function hash(prefix, ...parts) {
    const size = parts.reduce((sum, part) => sum + part.length, 1);
    const bytes = new Uint8Array(size);
    let at = 1;

    bytes[0] = prefix;
    for (const part of parts) {
        bytes.set(part, at);
        at += part.length;
    }
    return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

export function leafHash(text) {
    return hash(0, new TextEncoder().encode(text));
}

const nodeHash = (left, right) => hash(1, left, right);

export function base64(bytes) {
    return btoa(String.fromCharCode(...bytes));
}

function fromBase64(text) {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

// A cosignature has a time in front of its 64 bytes, behind the 4 of its key's id.
function signature(line) {
    const [, name, data] = line.match(/^\u2014 (\S+) (\S+)$/) ?? [];
    let at;

    try {
        const bytes = fromBase64(data);
        if (bytes.length === 4 + 8 + 64) at = Number(new DataView(bytes.buffer).getBigUint64(4)) * 1000;
    } catch {
        return null;
    }
    return { name, at: at > 0 && at < 8.64e15 ? new Date(at).toISOString() : undefined };
}

// The newest checkpoint: its origin, size, root and who signed it; that they did is for `audit verify` to say.
export async function checkpoint(signal) {
    const note = new TextDecoder().decode(await bytesOf(await fetchPublic("log/checkpoint", signal), NOTE_MAX));
    const [head, tail = ""] = note.split("\n\n");
    const [origin, size, root] = head.split("\n");

    if (!/^(0|[1-9][0-9]{0,15})$/.test(size) || fromBase64(root).length !== HASH) throw new Error("no checkpoint");
    return { note, origin, size: Number(size), root, signatures: tail.split("\n").map(signature).filter(Boolean) };
}

// 1234067: "x001/x234/067"
function numberPath(number) {
    const parts = [];

    do {
        parts.unshift(String(number % 1000).padStart(3, "0"));
        number = Math.floor(number / 1000);
    } while (number > 0);
    return parts.map((part, i) => (i < parts.length - 1 ? `x${part}` : part)).join("/");
}

class Tree {
    constructor(size, signal) {
        this.size = size;
        this.signal = signal;
        this.tiles = new Map();
    }

    async fetchTile(level, number) {
        const whole = Math.floor(this.size / WIDTH ** level);
        const width = Math.min(WIDTH, whole - number * WIDTH);
        const path = `log/tile/${level}/${numberPath(number)}${width < WIDTH ? `.p/${width}` : ""}`;
        const bytes = await bytesOf(await fetchPublic(path, this.signal), TILE_MAX);

        if (bytes.length !== width * HASH) throw new Error("a tile of another size");
        return bytes;
    }

    tile(level, number) {
        const key = `${level}/${number}`;

        if (!this.tiles.has(key)) this.tiles.set(key, this.fetchTile(level, number));
        return this.tiles.get(key);
    }

    // Of a subtree of 2^depth entries that begins at a multiple of that.
    async perfect(start, depth) {
        if (depth % 8 === 0) {
            const level = depth / 8;
            const position = start / 2 ** depth;
            const at = (position % WIDTH) * HASH;
            return (await this.tile(level, Math.floor(position / WIDTH))).slice(at, at + HASH);
        }
        const [left, right] = await Promise.all([this.perfect(start, depth - 1), this.perfect(start + 2 ** (depth - 1), depth - 1)]);
        return nodeHash(left, right);
    }

    // Of entries from `start` up to `end`, with `leaf` in the place of the one at `index`, if that is among them.
    async range(start, end, index, leaf) {
        const count = end - start;

        if (count === 1 && start === index) return leaf;
        const depth = Math.ceil(Math.log2(count));
        if (count === 2 ** depth && (index < start || index >= end)) return this.perfect(start, depth);
        const middle = start + 2 ** (depth - 1);
        const [left, right] = await Promise.all([this.range(start, middle, index, leaf), this.range(middle, end, index, leaf)]);
        return nodeHash(left, right);
    }
}

// Whether the leaf at `index` and the tiles come to the checkpoint's root.
export async function isIncluded(point, index, leaf, signal) {
    const root = await new Tree(point.size, signal).range(0, point.size, index, leaf);

    return base64(root) === point.root;
}
