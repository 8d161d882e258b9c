// The envelope: algorithms, header, base64url, and the JSON of both parts.

import crypto from "node:crypto";

import { ISSUED, UNACCEPTABLE } from "../answers.mjs";
import { base64url, decode, honestClaims, makeKey, sign, token } from "../forge.mjs";

const RSA = makeKey("RS256");
const EC = makeKey("ES256");
const EDWARDS = makeKey("EdDSA");
const STRANGER_RSA = makeKey("RS256");
const STRANGER_EC = makeKey("ES256");
const SECP256K1 = makeKey("ES256K");
const P384 = makeKey("ES384");
const ED448 = makeKey("Ed448");

export const issuers = {
    rs: () => ({ key: RSA, settings: { algorithms: ["RS256"] } }),
    es: () => ({ key: EC, settings: { algorithms: ["ES256"] } }),
    ed: () => ({ key: EDWARDS, settings: { algorithms: ["EdDSA"] } }),
    all: () => ({ key: EC, keys: [RSA.jwk, EC.jwk, EDWARDS.jwk],
        settings: { algorithms: ["RS256", "ES256", "EdDSA"] } }),
    two: () => ({ key: EC, keys: [EC.jwk, makeKey("ES256").jwk], settings: { algorithms: ["ES256"] } }),
};

/** A row: the token that `make` gives for the named issuer, or that its options make. */
function row(name, issuer, make, answer = UNACCEPTABLE, cause = "") {
    return {
        name, answer, cause,
        send: async (lab) => {
            const whose = lab.issuers.get(issuer);
            const options = typeof make === "function" ? await make(whose, lab) : make;
            return lab.exchange(typeof options === "string" ? options : await token(whose, options));
        },
    };
}

const spki = (key) => key.publicKey.export({ type: "spki", format: "pem" });
const NO_ALGORITHM = /alg is none/;
const NO_VERIFY = /signature: /;

// --- algorithms ---------------------------------------------------------------------------------

/** HMAC with something that the issuer publishes. */
function hmac(algorithm, secret) {
    return { algorithm, key: { secret, kid: RSA.kid }, header: { alg: algorithm } };
}

const algorithms = [
    row("RS256 as it should be", "rs", {}, ISSUED),
    row("ES256 as it should be", "es", {}, ISSUED),
    row("EdDSA as it should be", "ed", {}, ISSUED),
    row("RS256 among several", "all", { key: RSA }, ISSUED),
    row("EdDSA among several", "all", { key: EDWARDS }, ISSUED),
    ...["none", "None", "NONE", "nOnE", "none ", ""].map((alg) =>
        row(`alg ${JSON.stringify(alg)} with the right signature`, "rs",
            { header: { alg }, signature: (right) => right }, UNACCEPTABLE, NO_ALGORITHM)),
    row("alg none without a signature", "rs", { header: { alg: "none" }, signature: () => "" },
        UNACCEPTABLE, "a segment is empty"),
    row("alg none with a signature of one byte", "rs", { header: { alg: "none" }, signature: () => "x" },
        UNACCEPTABLE, NO_ALGORITHM),
    row("HS256 with the public key's PEM", "rs", hmac("HS256", spki(RSA)), UNACCEPTABLE, NO_ALGORITHM),
    row("HS384 with the public key's PEM", "rs", hmac("HS384", spki(RSA)), UNACCEPTABLE, NO_ALGORITHM),
    row("HS512 with the public key's PEM", "rs", hmac("HS512", spki(RSA)), UNACCEPTABLE, NO_ALGORITHM),
    row("HS256 with the PEM but its last line feed", "rs", hmac("HS256", spki(RSA).trimEnd()),
        UNACCEPTABLE, NO_ALGORITHM),
    row("HS256 with the public key's DER", "rs",
        hmac("HS256", RSA.publicKey.export({ type: "spki", format: "der" })), UNACCEPTABLE, NO_ALGORITHM),
    row("HS256 with the modulus", "rs", hmac("HS256", decode(RSA.jwk.n)), UNACCEPTABLE, NO_ALGORITHM),
    row("HS256 with the JWK's text", "rs", hmac("HS256", JSON.stringify(RSA.jwk)), UNACCEPTABLE,
        NO_ALGORITHM),
    row("HS256 with an empty key", "rs", hmac("HS256", ""), UNACCEPTABLE, NO_ALGORITHM),
    row("HS256 with the EC point's x", "es", hmac("HS256", decode(EC.jwk.x)), UNACCEPTABLE, NO_ALGORITHM),
    row("HS256 with the Ed25519 point", "ed", hmac("HS256", decode(EDWARDS.jwk.x)), UNACCEPTABLE,
        NO_ALGORITHM),
    row("HMAC under the name RS256", "rs",
        { algorithm: "HS256", key: { secret: spki(RSA), kid: RSA.kid }, header: { alg: "RS256" } },
        UNACCEPTABLE, NO_VERIFY),
    row("HMAC of 64 bytes under the name ES256", "es",
        { algorithm: "HS512", key: { secret: spki(EC), kid: EC.kid }, header: { alg: "ES256" } },
        UNACCEPTABLE, NO_VERIFY),
    ...["rs256", "Rs256", " RS256", "RS256 ", "RS256\n", "RS256,none", "RS-256", "R\u017f256"].map((alg) =>
        row(`alg ${JSON.stringify(alg)}`, "rs", { header: { alg } }, UNACCEPTABLE, NO_ALGORITHM)),
    row("alg with a NUL behind it", "rs", { rawHeader: (right) => right.replace("RS256", "RS256\\u0000") },
        UNACCEPTABLE, "NUL"),
    ...[["a number", 256], ["null", null], ["a list", ["RS256"]], ["an object", { name: "RS256" }],
        ["true", true]].map(([what, alg]) =>
        row(`alg is ${what}`, "rs", { header: { alg } }, UNACCEPTABLE, "alg is missing or no string")),
    row("no alg", "rs", { header: { alg: undefined } }, UNACCEPTABLE, "alg is missing"),
    row("alg of 10 KB", "rs", { header: { alg: "R".repeat(10000) } }, UNACCEPTABLE, NO_ALGORITHM),
    row("ES256 at an issuer of RS256", "rs", { key: STRANGER_EC }, UNACCEPTABLE, NO_ALGORITHM),
    row("RS256 at an issuer of ES256", "es", { key: STRANGER_RSA }, UNACCEPTABLE, NO_ALGORITHM),
    row("EdDSA at an issuer of ES256", "es", { key: EDWARDS }, UNACCEPTABLE, NO_ALGORITHM),
    ...["RS384", "RS512", "PS256", "PS384", "PS512"].map((algorithm) =>
        row(`${algorithm} with the key of RS256`, "rs", { algorithm }, UNACCEPTABLE, NO_ALGORITHM)),
    row("a PSS signature under the name RS256", "rs", { algorithm: "PS256", header: { alg: "RS256" } },
        UNACCEPTABLE, NO_VERIFY),
    row("an RS512 signature under the name RS256", "rs",
        { algorithm: "RS512", header: { alg: "RS256" } }, UNACCEPTABLE, NO_VERIFY),
    row("ES256K", "es", { key: SECP256K1, header: { kid: EC.kid } }, UNACCEPTABLE, NO_ALGORITHM),
    row("secp256k1 under the name ES256", "es",
        { key: SECP256K1, header: { alg: "ES256", kid: EC.kid } }, UNACCEPTABLE, NO_VERIFY),
    row("ES384", "es", { key: P384, header: { kid: EC.kid } }, UNACCEPTABLE, NO_ALGORITHM),
    row("P-384 under the name ES256", "es", { key: P384, header: { alg: "ES256", kid: EC.kid } },
        UNACCEPTABLE, NO_VERIFY),
    row("Ed448 under the name EdDSA", "ed",
        { key: ED448, header: { alg: "EdDSA", kid: EDWARDS.kid } }, UNACCEPTABLE, NO_VERIFY),
    ...["RSA1_5", "RSA-OAEP", "dir", "A128KW", "ECDH-ES", "PBES2-HS256+A128KW", "A256GCM"].map((alg) =>
        row(`the encryption ${alg}`, "rs", { header: { alg }, signature: (right) => right }, UNACCEPTABLE,
            NO_ALGORITHM)),
    row("RS256 with the kid of the EC key", "all", { key: RSA, header: { kid: EC.kid } }, UNACCEPTABLE,
        /another algorithm|several/),
    row("ES256 with the kid of the RSA key", "all", { key: EC, header: { kid: RSA.kid } }, UNACCEPTABLE,
        "another algorithm"),
    row("EdDSA with the kid of the EC key", "all", { key: EDWARDS, header: { kid: EC.kid } },
        UNACCEPTABLE, "another algorithm"),
];

// --- signatures ---------------------------------------------------------------------------------

const ORDER = BigInt("0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
const scalar = (number) => Buffer.from(number.toString(16).padStart(64, "0"), "hex");
const number = (bytes) => BigInt(`0x${bytes.toString("hex")}`);
const halves = (raw) => [raw.subarray(0, 32), raw.subarray(32)];
const zeros = (count) => Buffer.alloc(count);

/** A signature with its r and s replaced. */
function withScalars(change) {
    return { signature: (raw) => Buffer.concat(change(...halves(raw).map(number)).map(scalar)) };
}

const EDWARDS_ORDER = (1n << 252n) + 27742317777372353535851937790883648493n;
const little = (bytes) => number(Buffer.from(bytes).reverse());
const toLittle = (value) => Buffer.from(scalar(value)).reverse();

function flip(at) {
    return (raw) => {
        const changed = Buffer.from(raw);
        changed[at < 0 ? raw.length + at : at] ^= 1;
        return changed;
    };
}

const signatures = [
    ...["rs", "es", "ed"].flatMap((issuer) => [
        row(`${issuer}: the first bit flipped`, issuer, { signature: flip(0) }, UNACCEPTABLE, NO_VERIFY),
        row(`${issuer}: the last bit flipped`, issuer, { signature: flip(-1) }, UNACCEPTABLE, NO_VERIFY),
        row(`${issuer}: all zeros`, issuer, { signature: (raw) => zeros(raw.length) }, UNACCEPTABLE,
            NO_VERIFY),
        row(`${issuer}: all ones`, issuer, { signature: (raw) => Buffer.alloc(raw.length, 0xff) },
            UNACCEPTABLE, NO_VERIFY),
        row(`${issuer}: the last byte missing`, issuer, { signature: (raw) => raw.subarray(0, -1) },
            UNACCEPTABLE, NO_VERIFY),
        row(`${issuer}: the first byte missing`, issuer, { signature: (raw) => raw.subarray(1) },
            UNACCEPTABLE, NO_VERIFY),
        row(`${issuer}: a zero behind it`, issuer, { signature: (raw) => Buffer.concat([raw, zeros(1)]) },
            UNACCEPTABLE, NO_VERIFY),
        row(`${issuer}: a zero in front`, issuer, { signature: (raw) => Buffer.concat([zeros(1), raw]) },
            UNACCEPTABLE, NO_VERIFY),
        row(`${issuer}: twice`, issuer, { signature: (raw) => Buffer.concat([raw, raw]) }, UNACCEPTABLE,
            NO_VERIFY),
        row(`${issuer}: one byte`, issuer, { signature: () => zeros(1) }, UNACCEPTABLE, NO_VERIFY),
        row(`${issuer}: eight thousand bytes`, issuer, { signature: () => zeros(8000) }, UNACCEPTABLE,
            NO_VERIFY),
        row(`${issuer}: none`, issuer, { signature: () => "" }, UNACCEPTABLE, "a segment is empty"),
        row(`${issuer}: of another key of the kind`, issuer, async (whose) =>
            ({ key: { ...makeKey(whose.key.algorithm), kid: whose.key.kid } }), UNACCEPTABLE, NO_VERIFY),
        row(`${issuer}: of other claims`, issuer, async (whose) => {
            const [head, , tail] = (await token(whose)).split(".");
            const claims = { ...honestClaims(whose), sub: "project:p2" };
            return [head, base64url(JSON.stringify(claims)), tail].join(".");
        }, UNACCEPTABLE, NO_VERIFY),
        row(`${issuer}: of another header`, issuer, async (whose) => {
            const [, body, tail] = (await token(whose)).split(".");
            const header = { alg: whose.key.algorithm, kid: whose.key.kid };
            return [base64url(JSON.stringify(header)), body, tail].join(".");
        }, UNACCEPTABLE, NO_VERIFY),
    ]),
    row("RSA: the signature plus the modulus", "rs", { signature: (raw) => {
        const sum = number(raw) + number(decode(RSA.jwk.n));
        return Buffer.from(sum.toString(16).padStart(514, "0"), "hex");
    } }, UNACCEPTABLE, NO_VERIFY),
    row("RSA: one", "rs", { signature: (raw) => Buffer.concat([zeros(raw.length - 1), Buffer.from([1])]) },
        UNACCEPTABLE, NO_VERIFY),
    row("RSA: the modulus less one", "rs", { signature: () =>
        Buffer.from((number(decode(RSA.jwk.n)) - 1n).toString(16), "hex") }, UNACCEPTABLE, NO_VERIFY),
    row("RSA: PKCS #1 of SHA-1", "rs", { signature: (raw, input) =>
        crypto.sign("sha1", Buffer.from(input), RSA.privateKey) }, UNACCEPTABLE, NO_VERIFY),
    row("RSA: PKCS #1 of the bare digest", "rs", { signature: (raw, input) =>
        crypto.privateEncrypt(RSA.privateKey, crypto.createHash("sha256").update(input).digest()) },
    UNACCEPTABLE, NO_VERIFY),
    row("RSA: a digest with garbage behind it in the padding", "rs", { signature: (raw, input) =>
        withGarbage(input) }, UNACCEPTABLE, NO_VERIFY),
    row("ECDSA: DER", "es", { signature: (raw, input) =>
        crypto.sign("sha256", Buffer.from(input), EC.privateKey) }, UNACCEPTABLE, NO_VERIFY),
    row("ECDSA: r is zero", "es", withScalars((r, s) => [0n, s]), UNACCEPTABLE, NO_VERIFY),
    row("ECDSA: s is zero", "es", withScalars((r) => [r, 0n]), UNACCEPTABLE, NO_VERIFY),
    row("ECDSA: r is the order", "es", withScalars((r, s) => [ORDER, s]), UNACCEPTABLE, NO_VERIFY),
    row("ECDSA: s is the order", "es", withScalars((r) => [r, ORDER]), UNACCEPTABLE, NO_VERIFY),
    row("ECDSA: both are the order", "es", withScalars(() => [ORDER, ORDER]), UNACCEPTABLE, NO_VERIFY),
    row("ECDSA: r and s change places", "es", withScalars((r, s) => [s, r]), UNACCEPTABLE, NO_VERIFY),
    row("ECDSA: r is one, s is one", "es", withScalars(() => [1n, 1n]), UNACCEPTABLE, NO_VERIFY),
    row("ECDSA: r negated", "es", withScalars((r, s) => [ORDER - r, s]), UNACCEPTABLE, NO_VERIFY),
    row("ECDSA: the halves of 33 bytes with leading zeros", "es", { signature: (raw) =>
        Buffer.concat(halves(raw).flatMap((half) => [zeros(1), half])) }, UNACCEPTABLE, NO_VERIFY),
    row("EdDSA: s plus the order", "ed", { signature: (raw) =>
        Buffer.concat([raw.subarray(0, 32), toLittle(little(raw.subarray(32)) + EDWARDS_ORDER)]) },
    UNACCEPTABLE, NO_VERIFY),
    row("EdDSA: R is the neutral element, s is zero", "ed", { signature: () =>
        Buffer.concat([Buffer.from([1]), zeros(63)]) }, UNACCEPTABLE, NO_VERIFY),
    row("EdDSA: of the digest (Ed25519ph)", "ed", { signature: (raw, input) =>
        sign("EdDSA", EDWARDS.privateKey, crypto.createHash("sha512").update(input).digest()) },
    UNACCEPTABLE, NO_VERIFY),
];

/** Bleichenbacher's form: short padding, the digest, then garbage; under the real private key. */
function withGarbage(input) {
    const prefix = Buffer.from("3031300d060960864801650304020105000420", "hex");
    const digest = crypto.createHash("sha256").update(input).digest();
    const head = Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(8, 0xff), zeros(1), prefix, digest]);
    const block = Buffer.concat([head, Buffer.alloc(256 - head.length, 7)]);
    return crypto.privateEncrypt({ key: RSA.privateKey, padding: crypto.constants.RSA_NO_PADDING }, block);
}

// --- header members -----------------------------------------------------------------------------

/** The same member with the right signature (ignored, so issued) and with a stranger's key. */
function pointers(name, value) {
    return [
        row(`${name} beside a good signature is never used`, "es", (whose, lab) =>
            ({ header: { [name]: value(lab) } }), ISSUED),
        row(`${name} with the key that it names`, "es", (whose, lab) =>
            ({ key: STRANGER_EC, header: { [name]: value(lab), kid: undefined } }), UNACCEPTABLE,
        NO_VERIFY),
        row(`${name} with the key that it names, under our kid`, "es", (whose, lab) =>
            ({ key: STRANGER_EC, header: { [name]: value(lab), kid: EC.kid } }), UNACCEPTABLE,
        NO_VERIFY),
    ];
}

const NO_TYPE = /typ is (not|missing)/;
const NO_KID = "kid is no string";
const UNKNOWN_KID = "no key of its kid";

const headers = [
    ...pointers("jku", (lab) => `${lab.canaryUrl}/jwks`),
    ...pointers("x5u", (lab) => `${lab.canaryUrl}/chain.pem`),
    ...pointers("jwk", () => STRANGER_EC.jwk),
    ...pointers("x5c", () => [STRANGER_EC.publicKey.export({ type: "spki", format: "der" })
        .toString("base64")]),
    ...pointers("x5t#S256", () => base64url(zeros(32))),
    ...pointers("iss", (lab) => lab.canaryUrl),
    row("jku of the issuer's own host with another key", "es", (whose) =>
        ({ key: STRANGER_EC, header: { jku: `${whose.url}/other`, kid: EC.kid } }), UNACCEPTABLE, NO_VERIFY),
    row("jwk with its private part", "es", { header: { jwk: EC.privateKey.export({ format: "jwk" }) } },
        ISSUED),
    ...[["empty", []], ["of exp", ["exp"]], ["of b64", ["b64"]], ["of an unknown", ["x"]],
        ["a string", "exp"], ["null", null], ["an object", {}], ["false", false]].map(([what, crit]) =>
        row(`crit is ${what}`, "es", { header: { crit, exp: 9999999999 } }, UNACCEPTABLE,
            "the header has crit")),
    ...[true, false, null].map((b64) =>
        row(`b64 is ${b64}`, "es", { header: { b64 } }, UNACCEPTABLE, "the header has b64")),
    row("b64 false, as crit asks for, with a raw payload", "es", async (whose) => {
        const head = base64url(JSON.stringify({ alg: "ES256", kid: EC.kid, b64: false, crit: ["b64"] }));
        const input = `${head}.${JSON.stringify(honestClaims(whose)).replaceAll(".", "")}`;
        return `${input}.${base64url(sign("ES256", EC.privateKey, Buffer.from(input)))}`;
    }, UNACCEPTABLE, "base64url"),
    ...["DEF", "", null, 1].map((zip) =>
        row(`zip is ${JSON.stringify(zip)}`, "es", { header: { zip } }, UNACCEPTABLE, "the header has zip")),
    ...["A256GCM", null].map((enc) =>
        row(`enc is ${JSON.stringify(enc)}`, "es", { header: { enc } }, UNACCEPTABLE,
            "the header has enc")),
    ...["JWT", "json", ""].map((cty) =>
        row(`cty is ${JSON.stringify(cty)}`, "es", { header: { cty } }, UNACCEPTABLE,
            "the header has cty")),
    ...["jwt", "JwT", undefined].map((typ) =>
        row(`typ is ${JSON.stringify(typ)}`, "es", { header: { typ } }, ISSUED)),
    ...["at+jwt", "dpop+jwt", "application/jwt", "JOSE", "JWT ", "JW\u0422", "", "logout+jwt", "wimse+jwt",
        null, 1, ["JWT"], true].map((typ) =>
        row(`typ is ${JSON.stringify(typ)}`, "es", { header: { typ } }, UNACCEPTABLE, NO_TYPE)),
    ...[["a number", 1], ["null", null], ["a list", [EC.kid]], ["an object", {}], ["true", true],
        ["of 257 bytes", "k".repeat(257)]].map(([what, kid]) =>
        row(`kid is ${what}`, "es", { header: { kid } }, UNACCEPTABLE, NO_KID)),
    ...[["of 256 bytes", "k".repeat(256)], ["empty", ""], ["a path", "../../../../etc/passwd"],
        ["a file", "file:///dev/null"], ["SQL", "x' UNION SELECT 'key' --"], ["a command", "|whoami"],
        ["__proto__", "__proto__"], ["another's", RSA.kid], ["in other case", EC.kid.toUpperCase()],
        ["with a space behind it", `${EC.kid} `], ["with a line feed", `${EC.kid}\n`],
        ["the canary's URL", "http://127.0.0.1:1/key"], ["a format", "%s%n%x"],
        ["a log line", "x\nlevel=info event=exchange.issued"]].map(([what, kid]) =>
        row(`kid is ${what}`, "es", { header: { kid } }, UNACCEPTABLE, UNKNOWN_KID)),
    row("kid with a NUL behind it", "es", { rawHeader: (right) => right.replace(EC.kid, `${EC.kid}\\u0000`) },
        UNACCEPTABLE, "NUL"),
    row("no kid, and one key fits", "es", { header: { kid: undefined } }, ISSUED),
    row("no kid, and one of its algorithm fits", "all", { header: { kid: undefined } }, ISSUED),
    row("no kid, and two keys fit", "two", { header: { kid: undefined } }, UNACCEPTABLE,
        "several keys fit"),
];

// --- base64url and segments ---------------------------------------------------------------------

/** The honest token, changed as a text. */
function textRow(name, change, answer = UNACCEPTABLE, cause = "") {
    return row(name, "es", async (whose) => change(await token(whose), whose), answer, cause);
}

/** The token with one of its segments changed. */
function segment(at, change) {
    return (text) => text.split(".").map((each, i) => (i === at ? change(each) : each)).join(".");
}

/** Bits that stand for nothing set: decoders that do not look take it for the same bytes. */
function withSpareBits(text) {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    return text.slice(0, -1) + alphabet[alphabet.indexOf(text.at(-1)) + 1];
}

/** A payload whose length leaves spare bits. */
async function unpadded(whose, at) {
    const claims = honestClaims(whose);
    for (let filler = ""; ; filler += "x") {
        const made = await token(whose, { claims: { ...claims, filler }, header: { filler } });
        if (made.split(".")[at].length % 4 !== 0)
            return made;
    }
}

const PARTS = ["header", "payload", "signature"];

const encodings = [
    ...PARTS.flatMap((part, at) => [
        textRow(`${part}: padding behind it`, segment(at, (each) => `${each}=`), UNACCEPTABLE,
            `the ${part} is not strict base64url`),
        textRow(`${part}: a character that makes it too long by one`, segment(at, (each) =>
            each + "A".repeat((5 - each.length % 4) % 4 || 1)), UNACCEPTABLE,
        /strict base64url|signature|JSON/),
        textRow(`${part}: a line feed within`, segment(at, (each) => `${each.slice(0, 8)}\n${each.slice(8)}`),
            UNACCEPTABLE, `the ${part} is not strict base64url`),
        textRow(`${part}: a space within`, segment(at, (each) => `${each.slice(0, 8)} ${each.slice(8)}`),
            UNACCEPTABLE, `the ${part} is not strict base64url`),
        textRow(`${part}: an escape within`, segment(at, (each) => `${each.slice(0, 8)}%41${each.slice(8)}`),
            UNACCEPTABLE, `the ${part} is not strict base64url`),
        textRow(`${part}: a letter of another alphabet`, segment(at, (each) => `${each.slice(0, -2)}/+`),
            UNACCEPTABLE, `the ${part} is not strict base64url`),
        textRow(`${part}: a fullwidth letter`, segment(at, (each) => `\uff41${each.slice(1)}`), UNACCEPTABLE,
            `the ${part} is not strict base64url`),
        textRow(`${part}: empty`, segment(at, () => ""), UNACCEPTABLE, "a segment is empty"),
        row(`${part}: spare bits set`, "es", async (whose) =>
            segment(at, withSpareBits)(await unpadded(whose, at)), UNACCEPTABLE,
        `the ${part} is not strict base64url`),
    ]),
    textRow("one segment", (text) => text.replaceAll(".", ""), UNACCEPTABLE, "three segments"),
    textRow("two segments", (text) => text.split(".").slice(0, 2).join("."), UNACCEPTABLE,
        "three segments"),
    textRow("two segments and a dot", (text) => `${text.split(".").slice(0, 2).join(".")}.`, UNACCEPTABLE,
        "a segment is empty"),
    textRow("four segments", (text) => `${text}.AAAA`, UNACCEPTABLE, "three segments"),
    textRow("five segments, as encrypted tokens have", (text) => `${text}.AAAA.AAAA`, UNACCEPTABLE,
        "three segments"),
    textRow("a dot behind it", (text) => `${text}.`, UNACCEPTABLE, "three segments"),
    textRow("a dot in front", (text) => `.${text}`, UNACCEPTABLE, "three segments"),
    textRow("dots alone", () => "..", UNACCEPTABLE, "a segment is empty"),
    textRow("a fullwidth dot", (text) => text.replace(".", "\uff0e"), UNACCEPTABLE, "three segments"),
    textRow("a scheme in front", (text) => `Bearer ${text}`, UNACCEPTABLE, "base64url"),
    textRow("quotes around it", (text) => `"${text}"`, UNACCEPTABLE, "base64url"),
    textRow("two tokens and a comma", (text) => `${text},${text}`, UNACCEPTABLE, "three segments"),
    textRow("the JSON serialization, flattened", (text) => {
        const [head, payload, signature] = text.split(".");
        return JSON.stringify({ payload, protected: head, signature });
    }, UNACCEPTABLE, "three segments"),
    textRow("a token in a token", (text) => `${base64url(text)}.${base64url(text)}.${base64url(text)}`,
        UNACCEPTABLE, "header: JSON"),
    textRow("white space around it, as files have", (text) => `${text}\n`, ISSUED),
    textRow("a NUL escape within", (text) => text.replace(".", "\\u0000."), UNACCEPTABLE, "base64url"),
    row("16 KiB", "es", async (whose) => ofLength(whose, 16384), ISSUED),
    row("16 KiB and a byte", "es", async (whose) => `${await ofLength(whose, 16384)}A`, UNACCEPTABLE,
        "longer than 16384"),
    row("60 KB", "es", { claims: { filler: "x".repeat(45000) } }, UNACCEPTABLE, "longer than 16384"),
    textRow("one letter", () => "A", UNACCEPTABLE, "three segments"),
];

/** A good token of exactly so many bytes, of claims of at most 1,000 each. */
async function ofLength(whose, length) {
    const claims = honestClaims(whose);
    for (let i = 0; i < 11; i++)
        claims[`filler${i}`] = "x".repeat(1000);
    for (let last = 0; last < 1400; last++) {
        for (const pad of ["", "x", "xx", "xxx"]) {
            const header = { filler: pad };
            const options = { claims: { ...claims, last: "x".repeat(last % 1000),
                more: "x".repeat(last < 1000 ? 0 : last - 999) }, header };
            const size = sizeOf(whose, options);
            if (size === length)
                return token(whose, options);
        }
    }
    throw new Error(`no token of ${length} bytes`);
}

function sizeOf(whose, options) {
    const header = { alg: whose.key.algorithm, typ: "JWT", kid: whose.key.kid, ...options.header };
    const size = (value) => base64url(JSON.stringify(value)).length;
    return size(header) + 1 + size(options.claims) + 1 + 86;
}

// --- the header's and the payload's JSON --------------------------------------------------------

/** A JSON text with something put in front of its last brace. */
const adding = (more) => (right) => `${right.slice(0, -1)},${more}}`;
const bytes = (...list) => Buffer.from(list);
const nested = (depth) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
const membersUpTo = (count) => (right) => {
    const members = { ...JSON.parse(right) };
    for (let i = Object.keys(members).length; i < count; i++)
        members[`m${i}`] = i;
    return JSON.stringify(members);
};

/** A text with bytes in the place of the letters that a filler holds. */
const withBytes = (raw) => (right) => {
    const [before, after] = `${right.slice(0, -1)},"filler":"|"}`.split("|");
    return Buffer.concat([Buffer.from(before), raw, Buffer.from(after)]);
};

/** [what, the text, what the log says], for both parts. */
const brokenTexts = [
    ["a list", () => "[]", "an array"],
    ["a string", () => '"x"', "JSON"],
    ["a number", () => "1", "JSON"],
    ["null", () => "null", "JSON"],
    ["true", () => "true", "JSON"],
    ["a space", () => " ", "JSON"],
    ["garbage", () => "x", "JSON"],
    ["cut short", (right) => right.slice(0, -1), "ends too early"],
    ["with a byte behind it", (right) => `${right}x`, "behind the end"],
    ["with a second object behind it", (right) => `${right}${right}`, "behind the end"],
    ["with a NUL behind it", (right) => `${right}\0`, /behind the end|JSON/],
    ["with a byte order mark", (right) => `\ufeff${right}`, "JSON"],
    ["UTF-16", (right) => Buffer.from(right, "utf16le"), "JSON"],
    ["with a comma behind the last member", (right) => `${right.slice(0, -1)},}`, "JSON"],
    ["with a comment", (right) => `/* x */${right}`, "JSON"],
    ["with single quotes", (right) => right.replaceAll('"', "'"), "JSON"],
    ["with a name without quotes", adding("x:1"), "JSON"],
    ["with a member twice", adding('"x":1,"x":1'), "duplicate member"],
    ["with a member twice, once escaped", adding('"x":1,"\\u0078":1'), "duplicate member"],
    ["with a member twice, nested", adding('"n":{"x":1,"x":1}'), "duplicate member"],
    ["with a NUL in a string", adding('"x":"a\\u0000b"'), "NUL in a string"],
    ["with a NUL in a name", adding('"a\\u0000b":1'), "NUL in a name"],
    ["with a raw control character", adding('"x":"a\u0001b"'), "JSON"],
    ["with a raw line feed in a string", adding('"x":"a\nb"'), "JSON"],
    ["with a lone high surrogate", adding('"x":"\\ud800"'), "JSON"],
    ["with a lone low surrogate", adding('"x":"\\udc00"'), "JSON"],
    ["with surrogates the wrong way round", adding('"x":"\\udc00\\ud800"'), "JSON"],
    ["with an escape of three digits", adding('"x":"\\u123"'), "JSON"],
    ["with an unknown escape", adding('"x":"\\x41"'), "JSON"],
    ["with the byte ff", withBytes(bytes(0xff)), "JSON: not UTF-8"],
    ["with an overlong slash", withBytes(bytes(0xc0, 0xaf)), "JSON: not UTF-8"],
    ["with an overlong NUL", withBytes(bytes(0xc0, 0x80)), "JSON: not UTF-8"],
    ["with a surrogate in UTF-8", withBytes(bytes(0xed, 0xa0, 0x80)), "JSON: not UTF-8"],
    ["with a point past U+10FFFF", withBytes(bytes(0xf4, 0x90, 0x80, 0x80)), "JSON: not UTF-8"],
    ["with a cut sequence", withBytes(bytes(0xe2, 0x82)), "JSON: not UTF-8"],
    ["with NaN", adding('"x":NaN'), "JSON"],
    ["with Infinity", adding('"x":Infinity'), "JSON"],
    ["with a plus sign", adding('"x":+1'), "JSON"],
    ["with a leading zero", adding('"x":01'), "JSON"],
    ["with a bare fraction", adding('"x":.5'), "JSON"],
    ["with a bare point", adding('"x":1.'), "JSON"],
    ["with a hexadecimal number", adding('"x":0x10'), "JSON"],
    ["with 1e400", adding('"x":1e400'), "number out of range"],
    ["with 2^63", adding('"x":9223372036854775808'), "number out of range"],
    ["with -2^63-1", adding('"x":-9223372036854775809'), "number out of range"],
    ["with a number of 5000 digits", adding(`"x":${"9".repeat(5000)}`), "number out of range"],
    ["nested 5000 deep", adding(`"x":${"[".repeat(5000)}${"]".repeat(5000)}`), "nested deeper"],
];

const texts = [
    ...brokenTexts.map(([what, change, cause]) =>
        row(`a header: ${what}`, "es", { rawHeader: change }, UNACCEPTABLE, cause)),
    ...brokenTexts.map(([what, change, cause]) =>
        row(`a payload: ${what}`, "es", { rawPayload: change }, UNACCEPTABLE, cause)),
    row("a header nested as deep as it may", "es", { rawHeader: adding(`"x":${nested(7)}`) }, ISSUED),
    row("a header nested deeper", "es", { rawHeader: adding(`"x":${nested(8)}`) }, UNACCEPTABLE,
        "nested deeper than 8"),
    row("a header of 100 members", "es", { rawHeader: membersUpTo(100) }, ISSUED),
    row("a header of 101 members", "es", { rawHeader: membersUpTo(101) }, UNACCEPTABLE,
        "more than 100 members"),
    row("a payload nested as deep as it may", "es", { rawPayload: adding(`"x":${nested(31)}`) }, ISSUED),
    row("a payload nested deeper", "es", { rawPayload: adding(`"x":${nested(32)}`) }, UNACCEPTABLE,
        "nested deeper than 32"),
    row("a payload of 1000 members", "es", { rawPayload: membersUpTo(1000) }, ISSUED),
    row("a payload of 1001 members", "es", { rawPayload: membersUpTo(1001) }, UNACCEPTABLE,
        "more than 1000 members"),
    row("alg twice", "es", { rawHeader: adding('"alg":"none"') }, UNACCEPTABLE, "duplicate member"),
    row("kid twice", "es", { rawHeader: adding(`"kid":"${EC.kid}"`) }, UNACCEPTABLE, "duplicate member"),
    row("alg in other case besides", "es", { rawHeader: adding('"Alg":"none","ALG":"none"') }, ISSUED),
    row("alg escaped", "es", { rawHeader: (right) => right.replace('"alg"', '"\\u0061lg"') }, ISSUED),
    row("a header without members", "es", { rawHeader: "{}" }, UNACCEPTABLE,
        "alg is missing"),
    row("white space about everything", "es", {
        rawHeader: (right) => ` \n${right.replaceAll(",", " ,\t")} \r\n`,
        rawPayload: (right) => ` \n${right.replaceAll(",", " ,\t")} \r\n`,
    }, ISSUED),
    row("iss twice", "es", { rawPayload: adding('"iss":"https://other.example"') }, UNACCEPTABLE,
        "duplicate member"),
    row("exp twice", "es", { rawPayload: adding('"exp":9999999999') }, UNACCEPTABLE, "duplicate member"),
    row("aud twice, once escaped", "es", { rawPayload: adding('"\\u0061ud":"x"') }, UNACCEPTABLE,
        "duplicate member"),
    row("names that other languages trip over", "es",
        { rawPayload: adding('"__proto__":{"project":"p9"},"constructor":{"prototype":{}},"":1') }, ISSUED),
];

export const rows = [...algorithms, ...signatures, ...headers, ...encodings, ...texts];
