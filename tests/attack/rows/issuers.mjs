// Issuers' servers that redirect, hang, trickle, bomb or lie: each row has one of its own. A kept
// answer is whole, of status 200, from the issuer's own host, and says that it is this issuer's.

import net from "node:net";
import zlib from "node:zlib";

import { ISSUED, NO_KEYS, UNACCEPTABLE } from "../answers.mjs";
import { makeKey, token } from "../forge.mjs";
import { sendJson } from "../lab.mjs";

export const concurrency = 16;
export const issuers = {};
export const rows = [];

const EC = makeKey("ES256");
const OTHER = makeKey("ES256");
const STEP_MS = 200;
const BOMB_BYTES = 64 * 1024 * 1024;

/** A row whose issuer is defined by `make` (see Lab.addIssuer), where nothing else is said. */
function row(name, make, answer = NO_KEYS, cause = "", more = {}) {
    const issuer = `i${rows.length}`;

    issuers[issuer] = (lab) => ({ key: EC, ...make(lab, issuer) });
    rows.push({
        name,
        answer,
        cause,
        send: async (lab) => lab.exchange(await token(lab.issuers.get(issuer), more.token)),
        after: more.after && ((lab, result) => more.after(lab, lab.issuers.get(issuer), result)),
    });
}

/** The same trick at both steps: discovery and key set. */
function both(name, trick, answer, cause) {
    row(`discovery ${name}`, (lab) => ({ discovery: trick(lab, discoveryOf) }), answer, cause);
    row(`key set ${name}`, (lab) => ({ keys: trick(lab, keysOf) }), answer, cause);
}

const discoveryOf = (issuer) => ({ issuer: issuer.url, jwks_uri: `${issuer.url}/jwks` });
const keysOf = (issuer) => ({ keys: [issuer.key.jwk] });

// --- what discovery says -----------------------------------------------------------------------

row("an issuer as it should be", () => ({}), ISSUED);
const MEMBERS = [
    ["another issuer", () => ({ issuer: "https://other.example" })],
    ["no issuer", () => ({ issuer: undefined })],
    ["an issuer of null", () => ({ issuer: null })],
    ["an issuer in a list", (lab, url) => ({ issuer: [url] })],
    ["an issuer with a slash", (lab, url) => ({ issuer: `${url}/` })],
    ["an issuer in capitals", (lab, url) => ({ issuer: url.toUpperCase() })],
    ["an issuer without its path", (lab) => ({ issuer: `http://127.0.0.1:${lab.issuerPort}` })],
    ["an issuer with a space", (lab, url) => ({ issuer: `${url} ` })],
    ["an issuer that is a pattern", () => ({ issuer: "http://127.0.0.1:{port}/{tenant}" })],
];
for (const [what, members] of MEMBERS)
    row(
        `discovery says ${what}`,
        (lab, name) => ({ discovery: members(lab, `http://127.0.0.1:${lab.issuerPort}/${name}`) }),
        NO_KEYS,
        "discovery names another issuer",
    );

const ELSEWHERE = "jwks_uri is on another host than the issuer";
const own = (lab) => `127.0.0.1:${lab.issuerPort}`;
const ADDRESSES = [
    ["the canary", (lab) => `${lab.canaryUrl}/jwks`, ELSEWHERE],
    ["the canary's port with our path", (lab, name) => `${lab.canaryUrl}/${name}/jwks`, ELSEWHERE],
    [
        "the canary behind our host as a user",
        (lab) => lab.canaryUrl.replace("http://", `http://${own(lab)}@`),
        "no user name",
    ],
    [
        "our host behind the canary as a user",
        (lab) => `${lab.canaryUrl.replace("http://", "http://")}@${own(lab)}/jwks`,
        /no user name|jwks_uri/,
    ],
    ["the canary behind a back slash", (lab) => `${lab.canaryUrl}\\@${own(lab)}/jwks`, "jwks_uri"],
    ["the canary behind a fragment", (lab) => `${lab.canaryUrl}#@${own(lab)}/jwks`, "jwks_uri"],
    [
        "the canary in another case of scheme",
        (lab) => lab.canaryUrl.replace("http", "HTTP"),
        "jwks_uri",
    ],
    ["the canary without a scheme", (lab) => lab.canaryUrl.replace("http:", ""), "jwks_uri"],
    [
        "our host by name",
        (lab, name) => `http://localhost:${lab.issuerPort}/${name}/jwks`,
        ELSEWHERE,
    ],
    [
        "our host as a number",
        (lab, name) => `http://2130706433:${lab.issuerPort}/${name}/jwks`,
        ELSEWHERE,
    ],
    [
        "our host in octal",
        (lab, name) => `http://0177.0.0.1:${lab.issuerPort}/${name}/jwks`,
        ELSEWHERE,
    ],
    [
        "our host with a dot",
        (lab, name) => `http://127.0.0.1.:${lab.issuerPort}/${name}/jwks`,
        ELSEWHERE,
    ],
    [
        "our host over IPv6",
        (lab, name) => `http://[::ffff:127.0.0.1]:${lab.issuerPort}/${name}/jwks`,
        ELSEWHERE,
    ],
    ["our host without its port", (lab, name) => `http://127.0.0.1/${name}/jwks`, ELSEWHERE],
    ["our host over https", (lab, name) => `https://${own(lab)}/${name}/jwks`, ELSEWHERE],
    ["a neighbour of our host", (lab, name) => `http://${own(lab)}1/${name}/jwks`, /jwks_uri/],
    ["metadata", () => "http://169.254.169.254/latest/meta-data/", ELSEWHERE],
    ["a private address", () => "http://10.0.0.1/jwks", ELSEWHERE],
    ["the unspecified address", (lab) => `http://0.0.0.0:${lab.issuerPort}/jwks`, ELSEWHERE],
    ["a file", () => "file:///etc/passwd", "jwks_uri"],
    ["gopher", () => "gopher://127.0.0.1:70/_x", "jwks_uri"],
    ["data", () => 'data:application/json,{"keys":[]}', "jwks_uri"],
    ["a path alone", (lab, name) => `/${name}/jwks`, "jwks_uri"],
    ["a word", () => "jwks", "jwks_uri"],
    ["nothing", () => "", "jwks_uri"],
    ["a line feed", (lab, name) => `http://${own(lab)}/${name}/jwks\r\nX: y`, "jwks_uri"],
    ["a space", (lab, name) => `http://${own(lab)}/${name}/jwks x`, "jwks_uri"],
    ["a letter past ASCII", (lab, name) => `http://${own(lab)}/${name}/jwk\u017f`, "jwks_uri"],
    [
        "a URL of 2049 bytes",
        (lab, name) => `http://${own(lab)}/${name}/`.padEnd(2049, "x"),
        "jwks_uri",
    ],
    ["port 0", (lab, name) => `http://127.0.0.1:0/${name}/jwks`, "jwks_uri"],
    ["port 65536", (lab, name) => `http://127.0.0.1:65536/${name}/jwks`, "jwks_uri"],
    ["null", () => null, "no jwks_uri"],
    ["a list", (lab, name) => [`http://${own(lab)}/${name}/jwks`], "no jwks_uri"],
    ["nowhere", () => undefined, "no jwks_uri"],
    [
        "a path of another issuer, whose keys differ",
        (lab) => `http://${own(lab)}/neighbour/jwks`,
        "no key of its kid",
        UNACCEPTABLE,
    ],
    [
        "a path with dots, sent as it is",
        (lab, name) => `http://${own(lab)}/neighbour/../${name}/jwks`,
        "no key of its kid",
        UNACCEPTABLE,
    ],
];
for (const [what, uri, cause, answer] of ADDRESSES)
    row(
        `jwks_uri is ${what}`,
        (lab, name) => ({ discovery: { jwks_uri: uri(lab, name) } }),
        answer ?? NO_KEYS,
        cause,
    );
issuers.neighbour = () => ({
    key: OTHER,
    // Whatever path: what matters is that nobody has normalised it on the way.
    keys: (query, answer) => sendJson(answer, { keys: [OTHER.jwk] }),
});

for (const [what, text] of [
    ["a list", "[]"],
    ["a page", "<html></html>"],
    ["empty", ""],
    ["a text", '"x"'],
    ["cut short", '{"issuer":'],
])
    row(
        `discovery is ${what}`,
        () => ({ discovery: (query, answer) => answer.end(text) }),
        NO_KEYS,
        "discovery: JSON",
    );
row(
    "discovery says its issuer twice",
    () => ({
        discovery: (query, answer, issuer) =>
            answer.end(`{"issuer":"x","issuer":"${issuer.url}","jwks_uri":"${issuer.url}/jwks"}`),
    }),
    NO_KEYS,
    "duplicate member",
);
row(
    "discovery names keys and other endpoints of the canary",
    (lab) => ({
        discovery: {
            token_endpoint: lab.canaryUrl,
            userinfo_endpoint: lab.canaryUrl,
            jwks: { keys: [OTHER.jwk] },
            issuer_metadata: lab.canaryUrl,
            signed_metadata: "x.y.z",
            frontchannel_logout_uri: lab.canaryUrl,
        },
    }),
    ISSUED,
);

// --- statuses ----------------------------------------------------------------------------------

for (const status of [300, 301, 302, 303, 307, 308])
    both(
        `redirects with ${status}`,
        (lab, document) => (query, answer, issuer) => {
            answer.writeHead(status, {
                Location: `${lab.canaryUrl}${query.url}`,
                "Content-Type": "application/json",
            });
            answer.end(JSON.stringify(document(issuer)));
        },
        NO_KEYS,
        `status ${status}`,
    );
for (const status of [201, 202, 203, 204, 206, 226, 400, 401, 403, 404, 407, 410, 429, 500, 503])
    both(
        `answers with ${status}`,
        (lab, document) => (query, answer, issuer) => {
            answer.writeHead(status, { "Content-Type": "application/json" });
            answer.end(status === 204 ? undefined : JSON.stringify(document(issuer)));
        },
        NO_KEYS,
        `status ${status}`,
    );
both(
    "says 200 and points elsewhere all the same",
    (lab, document) => (query, answer, issuer) =>
        sendJson(answer, document(issuer), {
            Location: lab.canaryUrl,
            Refresh: `0; url=${lab.canaryUrl}`,
            "Alt-Svc": `h3="127.0.0.1:${new URL(lab.canaryUrl).port}"`,
            Link: `<${lab.canaryUrl}>; rel=x`,
            "Set-Cookie": "a=b",
        }),
    ISSUED,
);
both(
    "asks for a password",
    (lab, document) => (query, answer, issuer) => {
        answer.writeHead(401, { "WWW-Authenticate": 'Basic realm="x"' });
        answer.end(JSON.stringify(document(issuer)));
    },
    NO_KEYS,
    "status 401",
);

// --- bytes -------------------------------------------------------------------------------------

/** Write to the connection itself, behind Node's back. */
const raw = (write) => (lab, document) => (query, answer, issuer) => {
    const body = JSON.stringify(document(issuer));
    query.socket.on("error", () => {});
    write(query.socket, body, issuer);
};
const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
const of = (body) => `Content-Length: ${body.length}\r\n\r\n${body}`;
const every = (socket, what) => {
    const timer = setInterval(
        () => (socket.destroyed ? clearInterval(timer) : socket.write(what)),
        STEP_MS,
    );
};

const TOO_LATE = /Timeout was reached/;
const BROKEN = /discovery|key set/;
both(
    "hangs before its first byte",
    raw(() => {}),
    NO_KEYS,
    TOO_LATE,
);
both(
    "hangs behind its head",
    raw((socket, body) => socket.write(`${HEAD}Content-Length: ${body.length}\r\n\r\n`)),
    NO_KEYS,
    TOO_LATE,
);
both(
    "hangs before its last byte",
    raw((socket, body) => socket.write((HEAD + of(body)).slice(0, -1))),
    NO_KEYS,
    TOO_LATE,
);
both(
    "trickles header fields",
    raw((socket) => {
        socket.write(HEAD);
        every(socket, "X: y\r\n");
    }),
    NO_KEYS,
    TOO_LATE,
);
both(
    "trickles its body",
    raw((socket, body) => {
        socket.write(`${HEAD}Content-Length: ${body.length + 1000}\r\n\r\n`);
        every(socket, " ");
    }),
    NO_KEYS,
    TOO_LATE,
);
both(
    "trickles chunks",
    raw((socket) => {
        socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
        every(socket, "1\r\n \r\n");
    }),
    NO_KEYS,
    TOO_LATE,
);
both(
    "trickles interim answers",
    raw((socket) => every(socket, "HTTP/1.1 100 Continue\r\n\r\n")),
    NO_KEYS,
    TOO_LATE,
);
both(
    "resets the connection",
    raw((socket) => socket.resetAndDestroy()),
    NO_KEYS,
    BROKEN,
);
both(
    "closes without a word",
    raw((socket) => socket.destroy()),
    NO_KEYS,
    BROKEN,
);
both(
    "says more than it sends",
    raw((socket, body) => socket.end(`${HEAD}Content-Length: ${body.length + 10}\r\n\r\n${body}`)),
    NO_KEYS,
    BROKEN,
);
both(
    "says less than it sends",
    raw((socket, body) => socket.end(`${HEAD}Content-Length: ${body.length - 2}\r\n\r\n${body}`)),
    NO_KEYS,
    BROKEN,
);
both(
    "answers as HTTP/0.9",
    raw((socket, body) => socket.end(body)),
    NO_KEYS,
    BROKEN,
);
both(
    "answers as HTTP/2",
    raw((socket) => socket.end(Buffer.from("000012040000000000000300000064", "hex"))),
    NO_KEYS,
    BROKEN,
);
both(
    "answers with garbage",
    raw((socket) => socket.end(Buffer.alloc(4096, 0xa5))),
    NO_KEYS,
    BROKEN,
);
both(
    "answers with two lengths",
    raw((socket, body) => socket.end(`${HEAD}Content-Length: 2\r\n${of(body)}`)),
    NO_KEYS,
    BROKEN,
);
both(
    "answers with a negative length",
    raw((socket, body) => socket.end(`${HEAD}Content-Length: -1\r\n\r\n${body}`)),
    NO_KEYS,
    BROKEN,
);
both(
    "answers with broken chunks",
    raw((socket, body) => socket.end(`${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n${body}`)),
    NO_KEYS,
    BROKEN,
);
both(
    "ends before its last chunk",
    raw((socket, body) =>
        socket.end(
            `${HEAD}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n`,
        ),
    ),
    NO_KEYS,
    BROKEN,
);
both(
    "announces 2^62 bytes",
    raw((socket, body) =>
        socket.write(`${HEAD}Content-Length: 4611686018427387904\r\n\r\n${body}`),
    ),
    NO_KEYS,
    BROKEN,
);
both(
    "sends a head of 128 KiB",
    raw((socket, body) =>
        socket.end(`${HEAD}${`X: ${"y".repeat(1000)}\r\n`.repeat(128)}${of(body)}`),
    ),
    NO_KEYS,
    BROKEN,
);
both(
    "sends 20000 header fields",
    raw((socket, body) => socket.end(`${HEAD}${"X: y\r\n".repeat(20000)}${of(body)}`)),
    NO_KEYS,
    BROKEN,
);
both(
    "sends bytes without end",
    raw((socket) => {
        socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
        const chunk = `10000\r\n${" ".repeat(65536)}\r\n`;
        let sent = 0;
        const more = () => {
            while (!socket.destroyed && sent < BOMB_BYTES && socket.write(chunk)) sent += 65536;
        };
        socket.on("drain", more);
        more();
    }),
    NO_KEYS,
    "larger than 524288 bytes",
);
for (const [encoding, pack] of [
    ["gzip", zlib.gzipSync],
    ["deflate", zlib.deflateSync],
]) {
    const bomb = pack(Buffer.alloc(BOMB_BYTES / 4, " "));
    both(
        `is a ${encoding} bomb`,
        () => (query, answer) => {
            answer.writeHead(200, {
                "Content-Encoding": encoding,
                "Content-Type": "application/json",
            });
            answer.end(bomb);
        },
        NO_KEYS,
        "JSON",
    );
}
both(
    "comes in two pieces",
    raw((socket, body) => {
        const text = HEAD + of(body);
        socket.write(text.slice(0, 60));
        setTimeout(() => socket.end(text.slice(60)), STEP_MS);
    }),
    ISSUED,
);
both(
    "comes in chunks",
    (lab, document) => (query, answer, issuer) => {
        answer.writeHead(200, { "Content-Type": "application/json" });
        for (const letter of JSON.stringify(document(issuer))) answer.write(letter);
        answer.end();
    },
    ISSUED,
);
both(
    "comes as another type",
    (lab, document) => (query, answer, issuer) => {
        answer.writeHead(200, { "Content-Type": "text/html" });
        answer.end(JSON.stringify(document(issuer)));
    },
    ISSUED,
);

// --- addresses ---------------------------------------------------------------------------------

const NOT_PUBLIC = "its address is not public and not in allow_networks";
const strict = { allow_http: undefined, allow_networks: undefined };
/** An issuer at an https address that nobody allowed. */
function atAddress(name, host, cause = NOT_PUBLIC) {
    const issuer = `i${rows.length}`;
    issuers[issuer] = (lab) => ({
        key: EC,
        url: `https://${host}:${new URL(lab.canaryUrl).port}/${issuer}`,
        settings: strict,
    });
    rows.push({
        name,
        answer: NO_KEYS,
        cause,
        send: async (lab) => lab.exchange(await token(lab.issuers.get(issuer))),
    });
}
for (const host of [
    "127.0.0.1",
    "localhost",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "[fe80::1]",
    "[fc00::1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "224.0.0.1",
    "255.255.255.255",
])
    atAddress(`an issuer at ${host}, which nobody allowed`, host);

// --- behaviour over time -----------------------------------------------------------------------

row(
    "twenty tokens at once cause one fetch",
    () => ({
        keys: (query, answer, issuer) =>
            setTimeout(() => sendJson(answer, { keys: [issuer.key.jwk] }), 300),
    }),
    ISSUED,
    "",
    {
        after: async (lab, issuer) => {
            const results = await Promise.all(
                Array.from({ length: 20 }, async () => lab.exchange(await token(issuer))),
            );
            const issued = results.filter(({ answers }) => answers[0]?.status === 200).length;
            lab.issuedCount += issued;
            return issued === 20 && issuer.requests.length === 2
                ? []
                : [`${issued} issued, requests ${issuer.requests}`];
        },
    },
);

row("unknown kids cause one fetch more in ten seconds", () => ({}), ISSUED, "", {
    after: async (lab, issuer) => {
        for (let i = 0; i < 20; i++)
            await lab.exchange(await token(issuer, { header: { kid: `unknown-${i}` } }));
        return issuer.requests.length <= 4 ? [] : [`requests ${issuer.requests}`];
    },
});

row(
    "a set that shrinks to nothing keeps the old keys",
    () => ({
        keys: (query, answer, issuer) => {
            issuer.rounds = (issuer.rounds ?? 0) + 1;
            sendJson(answer, { keys: issuer.rounds === 1 ? [issuer.key.jwk] : [] });
        },
    }),
    ISSUED,
    "",
    {
        after: async (lab, issuer) => {
            await lab.exchange(await token(issuer, { header: { kid: "unknown" } }));
            const { answers } = await lab.exchange(await token(issuer));
            lab.issuedCount += answers[0]?.status === 200 ? 1 : 0;
            return answers[0]?.status === 200 ? [] : [answers[0]?.body];
        },
    },
);

row(
    "a hanging issuer delays no other",
    () => ({ discovery: raw(() => {})(null, discoveryOf) }),
    NO_KEYS,
    TOO_LATE,
    {
        after: async (lab, issuer) => {
            const slow = Promise.all(
                Array.from({ length: 30 }, async () =>
                    lab.exchange(await token(issuer, { claims: { sub: "project:slow" } })),
                ),
            );
            const started = Date.now();
            const { answers } = await lab.exchange(await token(lab.issuers.get("i0")));
            const took = Date.now() - started;
            lab.issuedCount += answers[0]?.status === 200 ? 1 : 0;
            await slow;
            return answers[0]?.status === 200 && took < 1000
                ? []
                : [`${took} ms: ${answers[0]?.body}`];
        },
    },
);

/** A port where nobody listens. */
const closed = await new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
        const { port } = server.address();
        server.close(() => resolve(port));
    });
});
row("nobody is there", () => ({ url: `http://127.0.0.1:${closed}` }), NO_KEYS, /discovery/);
