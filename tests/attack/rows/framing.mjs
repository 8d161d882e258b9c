// HTTP framing, in raw bytes. What cannot be framed is answered at most once and the connection
// closed, and nothing behind it is ever read as a request.

import * as answers from "../answers.mjs";
import { token } from "../forge.mjs";
import { EXCHANGE, JWT } from "../lab.mjs";
import { converse } from "../wire.mjs";

const {
    BAD_METHOD,
    BAD_REQUEST,
    BAD_TYPE,
    BODY_TOO_LARGE,
    CHUNK_TOO_LARGE,
    FIELDS_TOO_LARGE,
    HEAD_TOO_LARGE,
    ISSUED,
    LINE_TOO_LONG,
    MALFORMED,
    NO_HTTP,
    NO_SUCH_CODING,
    NO_SUCH_VERSION,
    NOT_FOUND,
    TARGET_TOO_LONG,
} = answers;

export const issuers = { ci: () => ({}) };
export const rows = [];

const POST = "POST /token HTTP/1.1\r\n";
const HOST = "Host: broker.acme.example\r\n";
const FORM = "Content-Type: application/x-www-form-urlencoded\r\n";
/** What a smuggler hides: were it read as a request, there would be a second answer. */
const HIDDEN = `GET /livez HTTP/1.1\r\n${HOST}\r\n`;

/** A row that sends these bytes (`pieces` may be a function of a good form). */
function row(name, pieces, answer, closes = true, cause = undefined) {
    rows.push({
        name,
        answer,
        closes,
        cause,
        send: async (lab) => {
            const made = await token(lab.issuers.get("ci"));
            lab.sent.push(made);
            const form = new URLSearchParams({
                grant_type: EXCHANGE,
                subject_token: made,
                subject_token_type: JWT,
            }).toString();
            const list = [typeof pieces === "function" ? pieces(form) : pieces].flat();
            return converse(
                lab.port,
                list.map((piece) =>
                    typeof piece === "number"
                        ? piece
                        : Buffer.from(piece, typeof piece === "string" ? "latin1" : undefined),
                ),
                [answer].flat().length,
            );
        },
    });
}

/** A good request with something between its fields and its end. */
const posting =
    (fields, host = HOST) =>
    (form) =>
        `${POST}${host}${FORM}Content-Length: ${form.length}\r\n${fields}\r\n${form}`;
const chunked = (fields, body) =>
    `${POST}${HOST}${FORM}Transfer-Encoding: chunked\r\n${fields}\r\n${body}`;
const inChunks = (form, extension = "") =>
    `${form.length.toString(16)}${extension}\r\n${form}\r\n0\r\n\r\n`;

row("as it should be", posting(""), ISSUED, false);
row("as it should be, then closed", posting("Connection: close\r\n"), ISSUED, true);
row(
    "letter by letter",
    (form) =>
        [...posting("")(form)].flatMap((letter, i) => (i % 64 === 63 ? [letter, 1] : [letter])),
    ISSUED,
    false,
);
row("in chunks", (form) => chunked("", inChunks(form)), ISSUED, false);
row(
    "two requests at once",
    (form) => posting("")(form) + posting("")(form),
    [ISSUED, answers.USED],
    false,
);

// --- lengths -----------------------------------------------------------------------------------

const LENGTHS = [
    "-1",
    "+5",
    "0x5",
    "5 5",
    "5,5",
    "5, 6",
    "",
    " ",
    "1e1",
    "5.0",
    "5;x",
    "99999999999999999999",
    "18446744073709551616",
    "\u00b2",
    "five",
    "5\t5",
    "5\u000b",
];
for (const length of LENGTHS)
    row(
        `Content-Length ${JSON.stringify(length)}`,
        `${POST}${HOST}${FORM}Content-Length: ${length}\r\n\r\nstage${HIDDEN}`,
        NO_HTTP,
    );
row(
    "Content-Length twice, different",
    `${POST}${HOST}${FORM}Content-Length: 5\r\nContent-Length: 6\r\n\r\n` + `stage${HIDDEN}`,
    NO_HTTP,
);
row(
    "Content-Length twice, the same",
    `${POST}${HOST}${FORM}Content-Length: 5\r\nContent-Length: 5\r\n\r\n` + `stage${HIDDEN}`,
    NO_HTTP,
);
row(
    "Content-Length of 2^63",
    `${POST}${HOST}${FORM}Content-Length: 9223372036854775808\r\n\r\nx`,
    BAD_REQUEST,
);
row(
    "Content-Length of 2^62",
    `${POST}${HOST}${FORM}Content-Length: 4611686018427387904\r\n\r\nx`,
    BODY_TOO_LARGE,
);
row(
    "Content-Length of a byte too many",
    `${POST}${HOST}${FORM}Content-Length: 65537\r\n\r\n` + "x".repeat(65537),
    BODY_TOO_LARGE,
);
row("no length, so no body", `${POST}${HOST}${FORM}\r\n`, MALFORMED, false, "no grant_type");
row(
    "Content-Length 0 and a body, which is another request",
    `${POST}${HOST}${FORM}Content-Length: 0\r\n\r\n` + `${HIDDEN}`,
    [MALFORMED, NOT_FOUND],
    false,
);
row(
    "Content-Length with leading zeros",
    (form) => `${POST}${HOST}${FORM}Content-Length: 000${form.length}\r\n\r\n${form}`,
    BAD_REQUEST,
);

// --- transfer codings --------------------------------------------------------------------------

row(
    "Content-Length and Transfer-Encoding",
    (form) => chunked(`Content-Length: ${form.length}\r\n`, inChunks(form) + HIDDEN),
    NO_HTTP,
);
row(
    "Transfer-Encoding and Content-Length",
    (form) =>
        `${POST}${HOST}${FORM}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n` +
        `0\r\n\r\n${HIDDEN}`,
    NO_HTTP,
);
for (const coding of [
    "identity",
    "gzip",
    "gzip, chunked",
    "chunked, gzip",
    "chunked, chunked",
    "xchunked",
    "chunked x",
    "chunked;x=y",
    '"chunked"',
    "chunkedx",
    "",
    "cow",
    "chunked\u000b",
    "\u000bchunked",
    "identity, chunked",
    ", chunked",
    "chunked,",
])
    row(
        `Transfer-Encoding ${JSON.stringify(coding)}`,
        `${POST}${HOST}${FORM}Transfer-Encoding: ${coding}\r\n\r\n0\r\n\r\n${HIDDEN}`,
        NO_SUCH_CODING,
    );
row(
    "Transfer-Encoding twice",
    (form) => chunked("Transfer-Encoding: chunked\r\n", inChunks(form) + HIDDEN),
    NO_HTTP,
);
row(
    "Transfer-Encoding and identity",
    (form) => chunked("Transfer-Encoding: identity\r\n", inChunks(form) + HIDDEN),
    NO_HTTP,
);
row(
    "Transfer-Encoding in HTTP/1.0",
    (form) => chunked("", inChunks(form) + HIDDEN).replace("HTTP/1.1", "HTTP/1.0"),
    NO_HTTP,
);
row(
    "a space before the colon of Transfer-Encoding",
    (form) => `${POST}${HOST}${FORM}Transfer-Encoding : chunked\r\n\r\n${inChunks(form)}${HIDDEN}`,
    NO_HTTP,
);
for (const size of [
    "",
    "x",
    "-1",
    "+1",
    "0x1",
    "1 ",
    " 1",
    "g",
    "1 1",
    "1\u000b",
    "00000000000000000000000000000001z",
])
    row(
        `a chunk of size ${JSON.stringify(size)}`,
        chunked("", `${size}\r\nx\r\n0\r\n\r\n${HIDDEN}`),
        NO_HTTP,
    );
row("a chunk of 2^64-1", chunked("", `ffffffffffffffff\r\nx\r\n0\r\n\r\n${HIDDEN}`), []);
row(
    "a chunk of 2^64",
    chunked("", `10000000000000000\r\nx\r\n0\r\n\r\n${HIDDEN}`),
    CHUNK_TOO_LARGE,
);
row("a chunk that is longer than it says", chunked("", `1\r\nxy\r\n0\r\n\r\n${HIDDEN}`), NO_HTTP);
row("a chunk that ends in a bare line feed", chunked("", `1\r\nx\n0\r\n\r\n${HIDDEN}`), NO_HTTP);
row("a size that ends in a bare line feed", chunked("", `1\nx\r\n0\r\n\r\n${HIDDEN}`), NO_HTTP);
row("a chunk's extension", (form) => chunked("", inChunks(form, ";x=y")), ISSUED, false);
row(
    "a chunk's extension with a bare line feed",
    (form) => chunked("", inChunks(form, ";x\n") + HIDDEN),
    NO_HTTP,
);
row(
    "chunks past 64 KiB",
    chunked("", `${"8000\r\n".concat("x".repeat(0x8000), "\r\n").repeat(3)}0\r\n\r\n`),
    BODY_TOO_LARGE,
);
row(
    "a trailer",
    (form) => chunked("", `${inChunks(form).slice(0, -2)}X: y\r\n\r\n`),
    ISSUED,
    false,
);
row(
    "a trailer with a length",
    (form) => chunked("", `${inChunks(form).slice(0, -2)}Content-Length: 5\r\n\r\n`),
    ISSUED,
    false,
);

// --- Host --------------------------------------------------------------------------------------

row("no Host", posting("", ""), NO_HTTP);
row("Host twice", posting(HOST), NO_HTTP);
row("Host twice, different", posting("Host: other.example\r\n"), NO_HTTP);
row(
    "no Host in HTTP/1.0",
    (form) => posting("", "")(form).replace("HTTP/1.1", "HTTP/1.0"),
    ISSUED,
    true,
);
for (const host of [
    "a b",
    "a,b",
    "a/b",
    "x@y",
    "a:b",
    "a:123456",
    "[::1",
    "::1",
    "[x]",
    "a#b",
    "a?b",
    "a\\b",
    "a%00b",
    "a\u00e9",
    "http://a",
    "[::1]x",
    "a:1:2",
    "<a>",
])
    row(`Host ${JSON.stringify(host)}`, posting("", `Host: ${host}\r\n`), BAD_REQUEST);
for (const host of ["", "other.example", "127.0.0.1:1", "[::1]:8443", "evil.example:443"])
    row(
        `Host ${JSON.stringify(host)}, which nobody trusts, changes nothing`,
        posting("", `Host: ${host}\r\n`),
        ISSUED,
        false,
    );

// --- lines -------------------------------------------------------------------------------------

row("bare line feeds", (form) => posting("")(form).replaceAll("\r\n", "\n"), NO_HTTP);
row("a bare line feed between fields", posting("X: y\nZ: w\r\n"), NO_HTTP);
row(
    "a bare line feed at the head's end",
    (form) => posting("")(form).replace("\r\n\r\n", "\r\n\n"),
    NO_HTTP,
);
row("a bare carriage return in a field", posting("X: y\rZ: w\r\n"), NO_HTTP);
row(
    "a bare carriage return in the request line",
    (form) => posting("")(form).replace("/token", "/token\r"),
    NO_HTTP,
);
row("a NUL in a field", posting("X: a\0b\r\n"), NO_HTTP);
row("a NUL in a field's name", posting("X\0: a\r\n"), NO_HTTP);
row("a NUL in the target", (form) => posting("")(form).replace("/token", "/token\0x"), []);
row("a NUL in the method", (form) => posting("")(form).replace("POST", "PO\0ST"), []);
row("a folded field", posting("X: a\r\n b\r\n"), NO_HTTP);
row("a folded field with a tab", posting("X: a\r\n\tb\r\n"), NO_HTTP);
row("a folded Host", posting("", "Host: a\r\n b\r\n"), NO_HTTP);
row(
    "a field in front of which is a space",
    (form) => posting("", ` X: y\r\n${HOST}`)(form),
    NO_HTTP,
);
row("a space before a colon", posting("X : y\r\n"), NO_HTTP);
row("a tab before a colon", posting("X\t: y\r\n"), NO_HTTP);
row("a field without a colon", posting("X\r\n"), NO_HTTP);
row("a field without a name", posting(": y\r\n"), NO_HTTP);
for (const name of ["X Y", "X(Y)", "X,Y", "X/Y", "X@Y", "X\u00e4", "X\u0001", '"X"', "X;Y", "{X}"])
    row(`a field named ${JSON.stringify(name)}`, posting(`${name}: z\r\n`), NO_HTTP);
row(
    "control characters in a field that nobody reads",
    posting("X: \u0001\u0002\u007f\r\n"),
    ISSUED,
    false,
);
row("an empty field", posting("X:\r\n"), ISSUED, false);
row("empty lines in front", (form) => `\r\n\r\n${posting("")(form)}`, []);

// --- request lines -----------------------------------------------------------------------------

const line = (text) => (form) => posting("")(form).replace("POST /token HTTP/1.1", text);
for (const version of ["HTTP/0.9", "HTTP/2.0"])
    row(`the version ${version}`, line(`POST /token ${version}`), NO_SUCH_VERSION);
row("the version HTTP/1.2 counts as 1.1", line("POST /token HTTP/1.2"), ISSUED, false);
for (const version of [
    "HTTP/3",
    "HTTP/11.1",
    "HTTP/1.1.1",
    "HTTP/1.",
    "HTTP/",
    "http/1.1",
    "HTTPS/1.1",
    "ICY/1.1",
    "HTTP/1.1x",
    "HTTP/+1.1",
    "HTTP/1,1",
    "x",
])
    row(`the version ${version}`, line(`POST /token ${version}`), NO_HTTP);
row("no version", line("POST /token"), NO_HTTP);
row("nothing but a method", line("POST"), []);
row("two spaces", line("POST  /token HTTP/1.1"), NO_HTTP);
row("two spaces before the version", line("POST /token  HTTP/1.1"), NO_HTTP);
row("a tab", line("POST\t/token\tHTTP/1.1"), []);
row("a space in the target", line("POST /to ken HTTP/1.1"), NO_HTTP);
row("a space in front", line(" POST /token HTTP/1.1"), []);
row("a space behind", line("POST /token HTTP/1.1 "), NO_HTTP);
row("the absolute form", line("POST http://broker.acme.example/token HTTP/1.1"), BAD_REQUEST);
row(
    "the absolute form of another host",
    line("POST http://other.example/token HTTP/1.1"),
    BAD_REQUEST,
);
row("the absolute form of the canary", line("POST http://127.0.0.1:1/token HTTP/1.1"), BAD_REQUEST);
row("the authority form", line("CONNECT 127.0.0.1:1 HTTP/1.1"), BAD_REQUEST);
row("the asterisk form", line("OPTIONS * HTTP/1.1"), BAD_REQUEST);
row("a target without a slash", line("POST token HTTP/1.1"), BAD_REQUEST);
row("a target with a fragment", line("POST /token#x HTTP/1.1"), NOT_FOUND, false);
row("a target with a control character", line("POST /tok\u0001en HTTP/1.1"), BAD_REQUEST);
row("a target with DEL", line("POST /tok\u007fen HTTP/1.1"), BAD_REQUEST);
row("a target past ASCII", line("POST /tok\u00e9n HTTP/1.1"), NOT_FOUND, false);
for (const method of ["post", "Post", "POSTX", "P0ST", "PO-ST", "P\u00d6ST", "{", "POST,GET"])
    row(
        `the method ${method}`,
        line(`${method} /token HTTP/1.1`),
        method === "POSTX" ? BAD_METHOD : BAD_REQUEST,
        method !== "POSTX",
    );
row("a method of 5000 letters", line(`${"X".repeat(5000)} /token HTTP/1.1`), BAD_METHOD, false);
// A body behind it would be read as the next answer.
const headRow = (name, path, head) =>
    rows.push({
        name,
        answer: [],
        closes: true,
        send: async (lab) => {
            const { rest, isClosed } = await converse(
                lab.port,
                [`HEAD ${path} HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`],
                0,
            );
            const isRight =
                head.test(rest.toString("latin1")) && rest.indexOf("\r\n\r\n") === rest.length - 4;
            return { answers: [], rest: isRight ? Buffer.alloc(0) : rest, isClosed };
        },
    });
headRow(
    "HEAD of a page gives its head alone",
    "/jwks.json",
    /^HTTP\/1\.1 200 [^]*\r\nContent-Length: [1-9]/,
);
headRow("HEAD of what has no page", "/token", /^HTTP\/1\.1 405 [^]*\r\nAllow: POST\r\n/);
row("HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NO_SUCH_VERSION);
row(
    "an upgrade to HTTP/2 changes nothing",
    posting(
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" +
            "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
    ),
    ISSUED,
    false,
);
row(
    "an upgrade to WebSocket changes nothing",
    posting("Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    ISSUED,
    false,
);
row(
    "TLS to a plain port",
    Buffer.from("16030100c8010000c40303", "hex").toString("latin1") + "\0".repeat(200),
    [],
);
row("SSH", "SSH-2.0-OpenSSH_9.2\r\n", []);
row("garbage", "\u00ff\u00fe\u0000\u0001".repeat(100), []);
row(
    "a GET with a body",
    (form) => posting("")(form).replace("POST /token", "GET /jwks.json"),
    BODY_TOO_LARGE,
);
row(
    "another type, with what looks like a request behind it",
    (form) =>
        `${POST}${HOST}Content-Type: text/plain\r\n` +
        `Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    BAD_TYPE,
    false,
);

// --- sizes -------------------------------------------------------------------------------------

row("a target of 8000 bytes", line(`POST /${"x".repeat(7999)} HTTP/1.1`), NOT_FOUND, false);
row("a target of 8001 bytes", line(`POST /${"x".repeat(8000)} HTTP/1.1`), TARGET_TOO_LONG);
row("a target of 100 KB", line(`POST /${"x".repeat(100000)} HTTP/1.1`), LINE_TOO_LONG);
row("100 fields", posting("X: y\r\n".repeat(97)), ISSUED, false);
row("101 fields", posting("X: y\r\n".repeat(98)), HEAD_TOO_LARGE);
row("5000 fields", posting("X: y\r\n".repeat(5000)), FIELDS_TOO_LARGE);
row("a field of 15 KB", posting(`X: ${"y".repeat(15000)}\r\n`), ISSUED, false);
row("a head of 16 KiB and more", posting(`X: ${"y".repeat(16384)}\r\n`), HEAD_TOO_LARGE);
row("a field's name of 16 KiB", posting(`${"X".repeat(16384)}: y\r\n`), HEAD_TOO_LARGE);
// It is closed while we write, and what the broker does not read any more may take its answer along.
row("a head of 1 MB", posting(`X: ${"y".repeat(1000000)}\r\n`), {
    ...FIELDS_TOO_LARGE,
    mayBeLost: true,
});

// --- expectations, and time --------------------------------------------------------------------

row(
    "Expect: 100-continue with a body too large",
    `${POST}${HOST}${FORM}Expect: 100-continue\r\n` + "Content-Length: 99999999\r\n\r\n",
    BODY_TOO_LARGE,
);
row(
    "Expect: 100-continue with another type",
    `${POST}${HOST}Content-Type: text/plain\r\n` +
        "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    BAD_TYPE,
);
row("a head that never ends is closed in its time", [`${POST}${HOST}`, 6500], [], true);
row(
    "a head that trickles is closed in its time",
    [POST, ...Array.from({ length: 14 }, () => ["X: y\r\n", 500]).flat()],
    [],
    true,
);
row(
    "a body that never comes is closed in its time",
    [`${POST}${HOST}${FORM}Content-Length: 10\r\n\r\n`, 11500],
    [],
    true,
);
