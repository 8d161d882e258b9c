// What the broker is asked, and what it is asked with: the only place that knows the token.

export const ROOT = new URL("../", document.baseURI);

const ANSWER_MAX = 16 * 1024 * 1024;
const TOKEN_MAX = 16 * 1024;
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

let token = null; // of this page alone: it is kept nowhere else
let ahead = 0; // how far the broker's clock is before this one's, ms

// An answer that is none; `status` 0: there was none at all.
export class Refusal extends Error {
    constructor(status, detail, retryAfter) {
        super(detail);
        this.status = status;
        this.detail = detail;
        this.retryAfter = retryAfter;
    }
}

// Take a token from now on; false for what is none.
export function hold(text) {
    const given = text.trim();

    if (given.length > TOKEN_MAX || !TOKEN.test(given)) return false;
    token = given;
    return true;
}

export function drop() {
    token = null;
}

// What time it is at the broker, as well as its answers tell: this machine's clock may be anything.
export function now() {
    return Date.now() + ahead;
}

// The bytes of an answer, as many as are expected.
export async function bytesOf(response, max) {
    const chunks = [];
    let size = 0;

    if (!response.body) return new Uint8Array();
    for (const reader = response.body.getReader(); ;) {
        const { done, value } = await reader.read();
        if (done) break;
        size += value.length;
        if (size > max) {
            await reader.cancel();
            throw new Refusal(0, "the answer is larger than any that is expected");
        }
        chunks.push(value);
    }
    const all = new Uint8Array(size);
    let at = 0;
    for (const chunk of chunks) {
        all.set(chunk, at);
        at += chunk.length;
    }
    return all;
}

export async function jsonOf(response, max = ANSWER_MAX) {
    try {
        return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(await bytesOf(response, max)));
    } catch (error) {
        if (error instanceof Refusal || error.name === "AbortError") throw error;
        throw new Refusal(0, "the answer is no JSON");
    }
}

async function send(path, options) {
    try {
        const response = await fetch(new URL(path, ROOT), {
            credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer", mode: "same-origin", ...options,
        });
        const date = Date.parse(response.headers.get("Date"));
        if (Number.isFinite(date)) ahead = date - Date.now();
        return response;
    } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new Refusal(0, "the broker does not answer");
    }
}

async function refusalOf(response) {
    const retryAfter = Number(response.headers.get("Retry-After")) || undefined;
    let detail = "";

    try {
        const body = await jsonOf(response, 64 * 1024);
        if (typeof body.detail === "string") detail = body.detail;
    } catch (error) {
        if (error.name === "AbortError") throw error;
    }
    return new Refusal(response.status, detail, retryAfter);
}

// What is for everybody: no token goes along.
export async function fetchPublic(path, signal) {
    const response = await send(path, { signal });

    if (!response.ok) throw await refusalOf(response);
    return response;
}

// Ask the API as whoever is signed in: `words` are pairs, `form` makes it a POST.
export async function ask(path, { words = [], form, signal } = {}) {
    const query = new URLSearchParams(words).toString();
    const headers = { Authorization: `Bearer ${token}` };

    if (token === null) throw new Refusal(401, "nobody is signed in");
    const response = await send(query ? `${path}?${query}` : path, form
        ? { method: "POST", headers, body: new URLSearchParams(form), signal }
        : { headers, signal });
    if (!response.ok) throw await refusalOf(response);
    return jsonOf(response);
}
