// A client that sends exactly the bytes it is given and reads answers byte for byte.

import net from "node:net";

const READ_TIMEOUT_MS = 20000;
const QUIET_MS = 40;

/** Read answers off the front: {answers, rest}. The broker frames them by Content-Length alone. */
export function parseAnswers(bytes) {
    const answers = [];
    for (;;) {
        const end = bytes.indexOf("\r\n\r\n");
        if (end < 0) return { answers, rest: bytes };
        const [statusLine, ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
        const headers = lines.map((line) => {
            const colon = line.indexOf(":");
            return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
        });
        const status = Number(statusLine.split(" ")[1]);
        const length = Number(headers.find(([name]) => name === "content-length")?.[1] ?? 0);
        if (bytes.length < end + 4 + length) return { answers, rest: bytes };
        const body = bytes.subarray(end + 4, end + 4 + length).toString("utf8");
        answers.push({ status, version: statusLine.split(" ")[0], headers, body });
        bytes = bytes.subarray(end + 4 + length);
    }
}

/** All values of a header field. */
export function header(answer, name) {
    return answer.headers.filter(([each]) => each === name).map(([, value]) => value);
}

/** A piece that ends the connection without reading. */
export const HANG_UP = Symbol("hang up");

/**
 * Send pieces (bytes, a number of milliseconds to wait, or HANG_UP) on a connection of its own, and
 * read until the broker closes it, or, where it does not, until `count` answers came and nothing
 * follows.
 * Gives {answers, rest, isClosed}.
 */
export function converse(port, pieces, count = 1) {
    return new Promise((resolve, reject) => {
        const socket = net.connect(port, "127.0.0.1");
        let received = Buffer.alloc(0);
        let quiet = null;
        const timer = setTimeout(() => end(false), READ_TIMEOUT_MS);

        function end(isClosed) {
            clearTimeout(timer);
            clearTimeout(quiet);
            socket.destroy();
            resolve({ ...parseAnswers(received), isClosed });
        }
        socket.on("data", (chunk) => {
            received = Buffer.concat([received, chunk]);
            clearTimeout(quiet);
            if (count > 0 && parseAnswers(received).answers.length >= count)
                quiet = setTimeout(() => end(false), QUIET_MS);
        });
        socket.on("end", () => end(true));
        socket.on("close", () => end(true));
        socket.on("error", (error) => {
            if (error.code === "ECONNREFUSED") reject(error);
            else end(true); // the broker has closed it while we were still writing
        });
        send(socket, pieces).catch(reject);
    });
}

async function send(socket, pieces) {
    for (const piece of pieces) {
        if (typeof piece === "number") await new Promise((resolve) => setTimeout(resolve, piece));
        else if (piece === HANG_UP) socket.end();
        else if (!socket.destroyed) socket.write(piece);
    }
}

/** The bytes of a request: `headers` as [name, value] pairs, nothing added but Content-Length. */
export function request(method, target, headers, body) {
    const lines = [`${method} ${target} HTTP/1.1`];
    for (const [name, value] of headers) lines.push(`${name}: ${value}`);
    if (body !== undefined) lines.push(`Content-Length: ${Buffer.byteLength(body)}`);
    return Buffer.concat([
        Buffer.from(lines.join("\r\n") + "\r\n\r\n", "latin1"),
        Buffer.from(body ?? ""),
    ]);
}
