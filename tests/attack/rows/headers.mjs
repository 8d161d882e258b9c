// Members of the envelope's header: addresses, keys, extensions, types and key ids.

import { ISSUED, UNACCEPTABLE } from "../answers.mjs";
import { base64url, honestClaims, makeKey, sign, token } from "../forge.mjs";

const RSA = makeKey("RS256");
const EC = makeKey("ES256");
const STRANGER_EC = makeKey("ES256");

export const issuers = {
    es: () => ({ key: EC, settings: { algorithms: ["ES256"] } }),
    all: () => ({
        key: EC,
        keys: [RSA.jwk, EC.jwk],
        settings: { algorithms: ["RS256", "ES256", "EdDSA"] },
    }),
    two: () => ({
        key: EC,
        keys: [EC.jwk, makeKey("ES256").jwk],
        settings: { algorithms: ["ES256"] },
    }),
};

/** A row: the token that `make` gives for the named issuer, or that its options make. */
function row(name, issuer, make, answer = UNACCEPTABLE, cause = "") {
    return {
        name,
        answer,
        cause,
        send: async (lab) => {
            const whose = lab.issuers.get(issuer);
            const options = typeof make === "function" ? await make(whose, lab) : make;
            return lab.exchange(
                typeof options === "string" ? options : await token(whose, options),
            );
        },
    };
}

const NO_VERIFY = /signature: /;

/** The same member with the right signature (ignored, so issued) and with a stranger's key. */
function pointers(name, value) {
    return [
        row(
            `${name} beside a good signature is never used`,
            "es",
            (whose, lab) => ({ header: { [name]: value(lab) } }),
            ISSUED,
        ),
        row(
            `${name} with the key that it names`,
            "es",
            (whose, lab) => ({ key: STRANGER_EC, header: { [name]: value(lab), kid: undefined } }),
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(
            `${name} with the key that it names, under our kid`,
            "es",
            (whose, lab) => ({ key: STRANGER_EC, header: { [name]: value(lab), kid: EC.kid } }),
            UNACCEPTABLE,
            NO_VERIFY,
        ),
    ];
}

const NO_TYPE = /typ is (not|missing)/;
const NO_KID = "kid is no string";
const UNKNOWN_KID = "no key of its kid";

const headers = [
    ...pointers("jku", (lab) => `${lab.canaryUrl}/jwks`),
    ...pointers("x5u", (lab) => `${lab.canaryUrl}/chain.pem`),
    ...pointers("jwk", () => STRANGER_EC.jwk),
    ...pointers("x5c", () => [
        STRANGER_EC.publicKey.export({ type: "spki", format: "der" }).toString("base64"),
    ]),
    ...pointers("x5t#S256", () => base64url(Buffer.alloc(32))),
    ...pointers("iss", (lab) => lab.canaryUrl),
    row(
        "jku of the issuer's own host with another key",
        "es",
        (whose) => ({ key: STRANGER_EC, header: { jku: `${whose.url}/other`, kid: EC.kid } }),
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "jwk with its private part",
        "es",
        { header: { jwk: EC.privateKey.export({ format: "jwk" }) } },
        ISSUED,
    ),
    ...[
        ["empty", []],
        ["of exp", ["exp"]],
        ["of b64", ["b64"]],
        ["of an unknown", ["x"]],
        ["a string", "exp"],
        ["null", null],
        ["an object", {}],
        ["false", false],
    ].map(([what, crit]) =>
        row(
            `crit is ${what}`,
            "es",
            { header: { crit, exp: 9999999999 } },
            UNACCEPTABLE,
            "the header has crit",
        ),
    ),
    ...[true, false, null].map((b64) =>
        row(`b64 is ${b64}`, "es", { header: { b64 } }, UNACCEPTABLE, "the header has b64"),
    ),
    row(
        "b64 false, as crit asks for, with a raw payload",
        "es",
        async (whose) => {
            const head = base64url(
                JSON.stringify({ alg: "ES256", kid: EC.kid, b64: false, crit: ["b64"] }),
            );
            const input = `${head}.${JSON.stringify(honestClaims(whose)).replaceAll(".", "")}`;
            return `${input}.${base64url(sign("ES256", EC.privateKey, Buffer.from(input)))}`;
        },
        UNACCEPTABLE,
        "base64url",
    ),
    ...["DEF", "", null, 1].map((zip) =>
        row(
            `zip is ${JSON.stringify(zip)}`,
            "es",
            { header: { zip } },
            UNACCEPTABLE,
            "the header has zip",
        ),
    ),
    ...["A256GCM", null].map((enc) =>
        row(
            `enc is ${JSON.stringify(enc)}`,
            "es",
            { header: { enc } },
            UNACCEPTABLE,
            "the header has enc",
        ),
    ),
    ...["JWT", "json", ""].map((cty) =>
        row(
            `cty is ${JSON.stringify(cty)}`,
            "es",
            { header: { cty } },
            UNACCEPTABLE,
            "the header has cty",
        ),
    ),
    ...["jwt", "JwT", undefined].map((typ) =>
        row(`typ is ${JSON.stringify(typ)}`, "es", { header: { typ } }, ISSUED),
    ),
    ...[
        "at+jwt",
        "dpop+jwt",
        "application/jwt",
        "JOSE",
        "JWT ",
        "JW\u0422",
        "",
        "logout+jwt",
        "wimse+jwt",
        null,
        1,
        ["JWT"],
        true,
    ].map((typ) =>
        row(`typ is ${JSON.stringify(typ)}`, "es", { header: { typ } }, UNACCEPTABLE, NO_TYPE),
    ),
    ...[
        ["a number", 1],
        ["null", null],
        ["a list", [EC.kid]],
        ["an object", {}],
        ["true", true],
        ["of 257 bytes", "k".repeat(257)],
    ].map(([what, kid]) => row(`kid is ${what}`, "es", { header: { kid } }, UNACCEPTABLE, NO_KID)),
    ...[
        ["of 256 bytes", "k".repeat(256)],
        ["empty", ""],
        ["a path", "../../../../etc/passwd"],
        ["a file", "file:///dev/null"],
        ["SQL", "x' UNION SELECT 'key' --"],
        ["a command", "|whoami"],
        ["__proto__", "__proto__"],
        ["another's", RSA.kid],
        ["in other case", EC.kid.toUpperCase()],
        ["with a space behind it", `${EC.kid} `],
        ["with a line feed", `${EC.kid}\n`],
        ["the canary's URL", "http://127.0.0.1:1/key"],
        ["a format", "%s%n%x"],
        ["a log line", "x\nlevel=info event=exchange.issued"],
    ].map(([what, kid]) =>
        row(`kid is ${what}`, "es", { header: { kid } }, UNACCEPTABLE, UNKNOWN_KID),
    ),
    row(
        "kid with a NUL behind it",
        "es",
        { rawHeader: (right) => right.replace(EC.kid, `${EC.kid}\\u0000`) },
        UNACCEPTABLE,
        "NUL",
    ),
    row("no kid, and one key fits", "es", { header: { kid: undefined } }, ISSUED),
    row("no kid, and one of its algorithm fits", "all", { header: { kid: undefined } }, ISSUED),
    row(
        "no kid, and two keys fit",
        "two",
        { header: { kid: undefined } },
        UNACCEPTABLE,
        "several keys fit",
    ),
];

export const rows = headers;
