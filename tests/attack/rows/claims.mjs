// The claims: types, ranges, audiences, issuers' spellings, and times to the second.

import { setTimeout as sleep } from "node:timers/promises";

import { DENIED, EXPIRED, ISSUED, TOO_OLD, UNACCEPTABLE, WRONG_AUDIENCE } from "../answers.mjs";
import { makeKey, now, token } from "../forge.mjs";
import { AUDIENCE } from "../lab.mjs";

const LEEWAY_S = 30;
const LIFETIME_MAX_S = 3600;

export const issuers = {
    ci: () => ({}),
    other: () => ({}),
    young: () => ({ settings: { max_age: "10m" } }),
    only: () => ({ settings: { only: { project: "p1" } } }),
    slash: () => ({ audience: `${AUDIENCE}/` }),
    github: () => ({
        key: makeKey("RS256"),
        identity: { repository_id: "4242" },
        settings: {
            profile: "github",
            only: { repository_owner_id: "918273" },
            claims: undefined,
            ids: undefined,
        },
    }),
};

function row(name, claims, answer = UNACCEPTABLE, cause = "", issuer = "ci") {
    return {
        name,
        answer,
        cause,
        send: async (lab) => {
            const whose = lab.issuers.get(issuer);
            const changes = typeof claims === "function" ? await claims(whose, lab) : claims;
            return lab.exchange(await token(whose, { claims: changes }));
        },
    };
}

/** A row whose claims are a text, for numbers that JavaScript cannot hold. */
function rawRow(name, claim, number, answer, cause) {
    return {
        name,
        answer,
        cause,
        send: async (lab) =>
            lab.exchange(
                await token(lab.issuers.get("ci"), {
                    rawPayload: (right) =>
                        right.replace(new RegExp(`"${claim}":[^,}]*`), `"${claim}":${number}`),
                }),
            ),
    };
}

// --- types -------------------------------------------------------------------------------------

const WRONG_TYPES = [
    ["absent", undefined],
    ["null", null],
    ["true", true],
    ["a list", [1]],
    ["an object", { a: 1 }],
    ["an empty list", []],
];
const TIME_TYPES = [
    ...WRONG_TYPES,
    ["a string", "1900000000"],
    ["an empty string", ""],
    ["a date", "2026-11-22T10:00:00Z"],
];
const TEXT_TYPES = [...WRONG_TYPES, ["a number", 1], ["an empty string", ""]];

const types = [
    ...["exp", "iat"].flatMap((claim) =>
        TIME_TYPES.map(([what, value]) =>
            row(
                `${claim} is ${what}`,
                { [claim]: value },
                UNACCEPTABLE,
                `${claim} is missing or no number`,
            ),
        ),
    ),
    ...TIME_TYPES.slice(1).map(([what, value]) =>
        row(
            `nbf is ${what}`,
            { nbf: value },
            UNACCEPTABLE,
            /nbf (is missing or no number|has another type)/,
        ),
    ),
    row("no nbf", { nbf: undefined }, ISSUED),
    ...TEXT_TYPES.map(([what, value]) =>
        row(`sub is ${what}`, { sub: value }, UNACCEPTABLE, "sub is missing, empty or no string"),
    ),
    ...TEXT_TYPES.slice(1).map(([what, value]) =>
        row(`jti is ${what}`, { jti: value }, UNACCEPTABLE, "jti is missing, empty or no string"),
    ),
    row("no jti, where the issuer need not give one", { jti: undefined }, ISSUED),
    ...TEXT_TYPES.filter(([what]) => what !== "an empty string").map(([what, value]) =>
        row(`iss is ${what}`, { iss: value }, UNACCEPTABLE, "iss is missing or no string"),
    ),
    ...TEXT_TYPES.slice(2, -1).map(([what, value]) =>
        row(
            `a claim of the configuration is ${what}`,
            { project: value },
            UNACCEPTABLE,
            "project has another type",
        ),
    ),
    row("a claim of the configuration is absent", { project: undefined }, DENIED),
    row("a claim of the configuration is null", { project: null }, DENIED),
    row("a claim of the configuration is empty", { project: "" }, DENIED),
    row("a claim of the configuration has another value", { project: "p2" }, DENIED),
    row("a claim of the configuration in other case", { project: "P1" }, DENIED),
    row("a claim of the configuration with a space behind it", { project: "p1 " }, DENIED),
    row(
        "a claim that `only` fixes has another value",
        { project: "p2" },
        UNACCEPTABLE,
        "project is not what `only` says",
        "only",
    ),
    row(
        "a claim that `only` fixes is a list that holds it",
        { project: ["p1"] },
        UNACCEPTABLE,
        "another type",
        "only",
    ),
];

// --- texts -------------------------------------------------------------------------------------

const BAD_TEXT = "a text is too long or holds a control character";

const texts = [
    row("sub of 1024 bytes", { sub: "s".repeat(1024) }, ISSUED),
    row("sub of 1025 bytes", { sub: "s".repeat(1025) }, UNACCEPTABLE, BAD_TEXT),
    row("any claim of 1025 bytes", { anything: "s".repeat(1025) }, UNACCEPTABLE, BAD_TEXT),
    row("any claim's name of 1025 bytes", { ["n".repeat(1025)]: 1 }, UNACCEPTABLE, BAD_TEXT),
    row(
        "a text of 1025 bytes in a list in an object",
        { a: { b: [["s".repeat(1025)]] } },
        UNACCEPTABLE,
        BAD_TEXT,
    ),
    row("512 characters of two bytes", { sub: "\u00e4".repeat(512) }, ISSUED),
    row("513 characters of two bytes", { sub: "\u00e4".repeat(513) }, UNACCEPTABLE, BAD_TEXT),
    row("a URL of 2048 bytes", { link: `https://x.example/${"p".repeat(2030)}` }, ISSUED),
    row(
        "a URL of 2049 bytes",
        { link: `https://x.example/${"p".repeat(2031)}` },
        UNACCEPTABLE,
        BAD_TEXT,
    ),
    ...[1, 7, 8, 9, 10, 13, 27, 31, 127].map((code) =>
        row(
            `the control character ${code} in sub`,
            { sub: `a${String.fromCharCode(code)}b` },
            UNACCEPTABLE,
            BAD_TEXT,
        ),
    ),
    row("a line feed in a claim's name", { "a\nb": 1 }, UNACCEPTABLE, BAD_TEXT),
    row(
        "a log line in a claim that nobody knows",
        { x: "a\nlevel=info event=exchange.issued" },
        UNACCEPTABLE,
        BAD_TEXT,
    ),
    row("quotes and back slashes in sub", { sub: '"\\" event=x' }, ISSUED),
    row("an emoji in sub", { sub: "repo:\ud83d\ude80" }, ISSUED),
];

// --- numbers -----------------------------------------------------------------------------------

const times = [
    ...["exp", "iat"].flatMap((claim) => [
        rawRow(
            `${claim} is 2^62`,
            claim,
            "4611686018427387904",
            UNACCEPTABLE,
            `${claim} is out of range`,
        ),
        rawRow(
            `${claim} is 2^63-1`,
            claim,
            "9223372036854775807",
            UNACCEPTABLE,
            `${claim} is out of range`,
        ),
        rawRow(
            `${claim} is 2^63`,
            claim,
            "9223372036854775808",
            UNACCEPTABLE,
            "number out of range",
        ),
        rawRow(
            `${claim} is -2^63`,
            claim,
            "-9223372036854775808",
            UNACCEPTABLE,
            `${claim} is out of range`,
        ),
        rawRow(`${claim} is -1`, claim, "-1", UNACCEPTABLE, `${claim} is out of range`),
        rawRow(`${claim} is -0.5`, claim, "-0.5", UNACCEPTABLE, `${claim} is out of range`),
        rawRow(`${claim} is 1e18`, claim, "1e18", UNACCEPTABLE, `${claim} is out of range`),
        rawRow(`${claim} is 1e19`, claim, "1e19", UNACCEPTABLE, `${claim} is missing or no number`),
        rawRow(
            `${claim} is 1e308`,
            claim,
            "1e308",
            UNACCEPTABLE,
            `${claim} is missing or no number`,
        ),
        rawRow(`${claim} is 1e309`, claim, "1e309", UNACCEPTABLE, "number out of range"),
        rawRow(
            `${claim} is the year 10000`,
            claim,
            "253402300800",
            UNACCEPTABLE,
            `${claim} is out of range`,
        ),
    ]),
    row(
        "exp is in milliseconds",
        () => ({ exp: (now() + 300) * 1000 }),
        UNACCEPTABLE,
        /out of range|lifetime/,
    ),
    row(
        "iat is in milliseconds",
        () => ({ iat: now() * 1000 }),
        UNACCEPTABLE,
        /out of range|not after/,
    ),
    row(
        "both are in milliseconds",
        () => ({ iat: now() * 1000, exp: (now() + 300) * 1000 }),
        UNACCEPTABLE,
        /out of range|lifetime/,
    ),
    rawRow("exp is zero", "exp", "0", UNACCEPTABLE, "exp is not after iat"),
    rawRow("iat is zero", "iat", "0", UNACCEPTABLE, "lifetime of"),
    rawRow("nbf is -1", "jti", '"x","nbf":-1', UNACCEPTABLE, "nbf is out of range"),
    rawRow(
        "nbf is 2^62",
        "jti",
        '"x","nbf":4611686018427387904',
        UNACCEPTABLE,
        "nbf is out of range",
    ),
    rawRow(
        "nbf is 1e308",
        "jti",
        '"x","nbf":1e308',
        UNACCEPTABLE,
        /nbf is missing or no number|type/,
    ),
    rawRow("nbf is zero", "jti", '"y","nbf":0', ISSUED),
    row(
        "times with fractions",
        () => ({ iat: now() - 0.5, nbf: now() - 0.5, exp: now() + 299.5 }),
        ISSUED,
    ),
    rawRow("exp with an exponent", "exp", `${now() + 300}e0`, ISSUED),
    row("exp equals iat", () => ({ iat: now(), exp: now() }), UNACCEPTABLE, "exp is not after iat"),
    row(
        "exp before iat",
        () => ({ iat: now(), exp: now() - 1 }),
        UNACCEPTABLE,
        "exp is not after iat",
    ),
    row("the longest life", () => ({ iat: now(), exp: now() + LIFETIME_MAX_S }), ISSUED),
    row(
        "a second longer than the longest life",
        () => ({ iat: now(), exp: now() + LIFETIME_MAX_S + 1 }),
        UNACCEPTABLE,
        "lifetime of 3601 s, at most 3600",
    ),
    row(
        "a life of a hundred years",
        () => ({ exp: now() + 3155760000 }),
        UNACCEPTABLE,
        "lifetime of",
    ),
    row(
        "expired an hour ago",
        () => ({ iat: now() - 4000, exp: now() - 3600 }),
        EXPIRED,
        /expired 360[0-2] s ago/,
    ),
    row(
        "expired, and outside `only`",
        () => ({ iat: now() - 4000, exp: now() - 3600, project: "p2" }),
        UNACCEPTABLE,
        "`only`",
        "only",
    ),
    row(
        "expired, and for another audience",
        () => ({ iat: now() - 4000, exp: now() - 3600, aud: "x" }),
        EXPIRED,
    ),
    row(
        "too old, though it lives",
        () => ({ iat: now() - 900, exp: now() + 900 }),
        TOO_OLD,
        /issued 90[0-2] s ago, at most 600/,
        "young",
    ),
];

// --- to the second: the broker reads the same clock, so a row begins early in a second ---------

const MARGIN_MS = 500;

function atSecond(name, claims, answer, cause = "", issuer = "ci") {
    return {
        name,
        answer,
        cause,
        send: async (lab) => {
            const whose = lab.issuers.get(issuer);
            for (;;) {
                if (Date.now() % 1000 > MARGIN_MS) await sleep(1001 - (Date.now() % 1000));
                const second = now();
                const changes = claims(second);
                const result = await lab.exchange(await token(whose, { claims: changes }));
                if (now() === second) return result;
                lab.issuedCount += result.answers[0]?.status === 200 ? 1 : 0;
            }
        },
    };
}

const seconds = [
    atSecond(
        "the last second of leeway behind exp",
        (at) => ({ iat: at - 100, exp: at - LEEWAY_S + 1 }),
        ISSUED,
    ),
    atSecond(
        "the first second past it",
        (at) => ({ iat: at - 100, exp: at - LEEWAY_S }),
        EXPIRED,
        "expired 30 s ago",
    ),
    atSecond(
        "exp with a fraction is rounded down",
        (at) => ({ iat: at - 100, exp: at - LEEWAY_S + 0.9 }),
        EXPIRED,
        "expired 30 s ago",
    ),
    atSecond("iat ahead by the leeway", (at) => ({ iat: at + LEEWAY_S, exp: at + 300 }), ISSUED),
    atSecond(
        "iat ahead by a second more",
        (at) => ({ iat: at + LEEWAY_S + 1, exp: at + 300 }),
        UNACCEPTABLE,
        "iat is 31 s ahead",
    ),
    atSecond("nbf ahead by the leeway", (at) => ({ nbf: at + LEEWAY_S }), ISSUED),
    atSecond(
        "nbf ahead by a second more",
        (at) => ({ nbf: at + LEEWAY_S + 1 }),
        UNACCEPTABLE,
        "nbf is 31 s ahead",
    ),
    atSecond(
        "as old as it may be",
        (at) => ({ iat: at - 600 - LEEWAY_S, exp: at + 60 }),
        ISSUED,
        "",
        "young",
    ),
    atSecond(
        "a second older",
        (at) => ({ iat: at - 600 - LEEWAY_S - 1, exp: at + 60 }),
        TOO_OLD,
        "issued 631 s ago",
        "young",
    ),
];

// --- audiences ---------------------------------------------------------------------------------

const NO_AUDIENCE = "aud is missing, empty or no string";

const audiences = [
    row("ours in a list", { aud: [AUDIENCE] }, ISSUED),
    row("ours twice in a list", { aud: [AUDIENCE, AUDIENCE] }, ISSUED),
    ...[
        ["ours and another", [AUDIENCE, "https://other.example"]],
        ["another and ours", ["https://other.example", AUDIENCE]],
        ["ours and an empty one", [AUDIENCE, ""]],
        ["another", "https://other.example"],
        ["with a slash behind it", `${AUDIENCE}/`],
        ["in capitals", AUDIENCE.toUpperCase()],
        ["without its scheme", "broker.acme.example"],
        ["with another scheme", AUDIENCE.replace("https", "http")],
        ["with its port", `${AUDIENCE}:443`],
        ["with a path", `${AUDIENCE}/token`],
        ["with a query", `${AUDIENCE}?x`],
        ["with a fragment", `${AUDIENCE}#jkt=x`],
        ["a prefix", AUDIENCE.slice(0, -1)],
        ["with a letter behind it", `${AUDIENCE}x`],
        ["with a space behind it", `${AUDIENCE} `],
        ["with a space in front", ` ${AUDIENCE}`],
        ["two in a string", `${AUDIENCE} https://other.example`],
        ["two and a comma", `${AUDIENCE},https://other.example`],
        ["a star", "*"],
        ["a pattern", "https://*.acme.example"],
        ["an empty string", ""],
        ["with a dot behind its host", `${AUDIENCE}.`],
        ["with a Cyrillic letter", AUDIENCE.replace("acme", "\u0430cme")],
        ["with a zero-width space", `${AUDIENCE}\u200b`],
        ["with an escape", AUDIENCE.replace("acme", "%61cme")],
        ["with a user", AUDIENCE.replace("https://", "https://x@")],
    ].map(([what, aud]) => row(`aud: ${what}`, { aud }, WRONG_AUDIENCE, "an audience is not ours")),
    ...[
        ["absent", undefined],
        ["null", null],
        ["a number", 1],
        ["true", true],
        ["an object", {}],
        ["an empty list", []],
        ["a list in a list", [[AUDIENCE]]],
        ["ours and a number", [AUDIENCE, 1]],
        ["ours and null", [AUDIENCE, null]],
        ["an object with it", { 0: AUDIENCE }],
    ].map(([what, aud]) => row(`aud: ${what}`, { aud }, UNACCEPTABLE, NO_AUDIENCE)),
    row(
        "aud: ours at an issuer whose audience has a slash",
        { aud: AUDIENCE },
        WRONG_AUDIENCE,
        "",
        "slash",
    ),
    row("aud: with the slash that is configured", { aud: `${AUDIENCE}/` }, ISSUED, "", "slash"),
    row(
        "aud: our own name for another issuer's token, outside `only`",
        { aud: "https://other.example", project: "p2" },
        UNACCEPTABLE,
        "`only`",
        "only",
    ),
];

// --- issuers -----------------------------------------------------------------------------------

const NO_ISSUER = "iss is none that is configured";
const spelling = (change) => (whose, lab) => ({ iss: change(whose.url, lab) });

const spellings = [
    ...[
        ["with a slash behind it", (url) => `${url}/`],
        ["without its path", (url) => url.replace(/\/ci$/, "")],
        ["a prefix", (url) => url.slice(0, -1)],
        ["with a letter behind it", (url) => `${url}x`],
        ["in capitals", (url) => url.toUpperCase()],
        ["with its path in capitals", (url) => url.replace("/ci", "/CI")],
        ["with the scheme in capitals", (url) => url.replace("http", "HTTP")],
        ["with https", (url) => url.replace("http", "https")],
        ["without a scheme", (url) => url.replace("http://", "")],
        ["with a user", (url) => url.replace("http://", "http://x@")],
        ["behind a user", (url, lab) => `${lab.canaryUrl}@${url.replace("http://", "")}`],
        ["with a leading zero in its port", (url) => url.replace(/:(\d+)\//, ":0$1/")],
        ["without its port", (url) => url.replace(/:\d+/, "")],
        ["with localhost", (url) => url.replace("127.0.0.1", "localhost")],
        ["with the address as a number", (url) => url.replace("127.0.0.1", "2130706433")],
        ["with the address shortened", (url) => url.replace("127.0.0.1", "127.1")],
        ["with the address as IPv6", (url) => url.replace("127.0.0.1", "[::ffff:127.0.0.1]")],
        ["with a dot behind its host", (url) => url.replace("127.0.0.1", "127.0.0.1.")],
        ["with a path to itself", (url) => url.replace("/ci", "/./ci")],
        ["by way of another", (url) => url.replace("/ci", "/other/../ci")],
        ["with two slashes", (url) => url.replace("/ci", "//ci")],
        ["with an escape", (url) => url.replace("/ci", "/%63i")],
        ["with a back slash", (url) => url.replace("/ci", "\\ci")],
        ["with a query", (url) => `${url}?`],
        ["with a fragment", (url) => `${url}#`],
        ["with a space behind it", (url) => `${url} `],
        ["with a line feed behind it", (url) => `${url}\n`],
        ["with a tab in front", (url) => `\t${url}`],
        ["with a zero-width space", (url) => `${url}\u200b`],
        ["with a Cyrillic letter", (url) => url.replace("ci", "\u0441i")],
        ["with a fullwidth letter", (url) => url.replace("ci", "\uff43i")],
        ["with a combining mark", (url) => `${url}\u0301`],
        ["the canary", (url, lab) => lab.canaryUrl],
        ["the canary's path", (url, lab) => `${lab.canaryUrl}/ci`],
        ["its discovery document", (url) => `${url}/.well-known/openid-configuration`],
        ["our own", () => AUDIENCE],
        ["a file", () => "file:///etc/passwd"],
        ["metadata", () => "http://169.254.169.254/latest"],
        ["empty", () => ""],
        ["a thousand bytes", (url) => url + "/x".repeat(500)],
    ].map(([what, change]) => row(`iss: ${what}`, spelling(change), UNACCEPTABLE, NO_ISSUER)),
    rawRow("iss: with a NUL behind it", "iss", '"http://127.0.0.1/ci\\u0000"', UNACCEPTABLE, "NUL"),
    rawRow(
        "iss: escaped, and so another",
        "iss",
        '"http:\\/\\/127.0.0.1:1\\/ci"',
        UNACCEPTABLE,
        NO_ISSUER,
    ),
    row(
        "iss: another issuer that we trust",
        (whose, lab) => ({ iss: lab.issuers.get("other").url }),
        UNACCEPTABLE,
        "no key of its kid",
    ),
];

// --- a profile with claims of its own ----------------------------------------------------------

/** What GitHub's documentation shows of a push to main. */
function githubClaims(changes) {
    return {
        sub: "repo:acme/payments:ref:refs/heads/main",
        project: undefined,
        ref: "refs/heads/main",
        sha: "0123456789abcdef0123456789abcdef01234567",
        repository: "acme/payments",
        repository_owner: "acme",
        repository_id: "4242",
        repository_owner_id: "918273",
        repository_visibility: "private",
        actor: "octo",
        actor_id: "77",
        workflow: "deploy",
        workflow_ref: "acme/payments/.github/workflows/deploy.yml@refs/heads/main",
        workflow_sha: "0123456789abcdef0123456789abcdef01234567",
        job_workflow_ref: "acme/payments/.github/workflows/deploy.yml@refs/heads/main",
        job_workflow_sha: "0123456789abcdef0123456789abcdef01234567",
        event_name: "push",
        ref_type: "branch",
        ref_protected: "true",
        run_id: "1",
        run_number: "1",
        run_attempt: "1",
        runner_environment: "github-hosted",
        head_ref: "",
        base_ref: "",
        ...changes,
    };
}

const OUTSIDE = "repository_owner_id is not what `only` says";
const hub = (name, changes, answer, cause) =>
    row(`github: ${name}`, githubClaims(changes), answer, cause, "github");

const profiles = [
    hub("as it should be", {}, ISSUED, ""),
    hub("another owner's id", { repository_owner_id: "918274" }, UNACCEPTABLE, OUTSIDE),
    hub(
        "another owner's id, expired",
        { repository_owner_id: "1", iat: 1700000000, exp: 1700000300 },
        UNACCEPTABLE,
        OUTSIDE,
    ),
    hub("the owner's id with a space", { repository_owner_id: "918273 " }, UNACCEPTABLE, OUTSIDE),
    hub("the owner's id with a zero", { repository_owner_id: "0918273" }, UNACCEPTABLE, OUTSIDE),
    hub(
        "the owner's id as a number",
        { repository_owner_id: 918273 },
        UNACCEPTABLE,
        "another type",
    ),
    hub(
        "the owner's id in a list",
        { repository_owner_id: ["918273"] },
        UNACCEPTABLE,
        "another type",
    ),
    hub("no owner's id", { repository_owner_id: undefined }, UNACCEPTABLE, "repository_owner_id"),
    hub("the owner's id null", { repository_owner_id: null }, UNACCEPTABLE, "repository_owner_id"),
    hub("the repository's id as a number", { repository_id: 4242 }, UNACCEPTABLE, "another type"),
    hub("another repository with our name", { repository_id: "4243" }, DENIED, ""),
    hub("no jti", { jti: undefined }, UNACCEPTABLE, "jti"),
    hub("an empty jti", { jti: "" }, UNACCEPTABLE, "jti"),
    hub("a boolean where GitHub has a text", { ref_protected: true }, UNACCEPTABLE, "another type"),
];

export const rows = [
    ...types,
    ...texts,
    ...times,
    ...seconds,
    ...audiences,
    ...spellings,
    ...profiles,
];
