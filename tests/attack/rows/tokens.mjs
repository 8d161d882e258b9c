// The envelope: algorithms and signatures. Its header members are in headers.mjs, its texts in
// texts.mjs.

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
    all: () => ({
        key: EC,
        keys: [RSA.jwk, EC.jwk, EDWARDS.jwk],
        settings: { algorithms: ["RS256", "ES256", "EdDSA"] },
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

const spki = (key) => key.publicKey.export({ type: "spki", format: "pem" });
const NO_ALGORITHM = /alg is none/;
const NO_VERIFY = /signature: /;

// --- algorithms --------------------------------------------------------------------------------

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
        row(
            `alg ${JSON.stringify(alg)} with the right signature`,
            "rs",
            { header: { alg }, signature: (right) => right },
            UNACCEPTABLE,
            NO_ALGORITHM,
        ),
    ),
    row(
        "alg none without a signature",
        "rs",
        { header: { alg: "none" }, signature: () => "" },
        UNACCEPTABLE,
        "a segment is empty",
    ),
    row(
        "alg none with a signature of one byte",
        "rs",
        { header: { alg: "none" }, signature: () => "x" },
        UNACCEPTABLE,
        NO_ALGORITHM,
    ),
    row(
        "HS256 with the public key's PEM",
        "rs",
        hmac("HS256", spki(RSA)),
        UNACCEPTABLE,
        NO_ALGORITHM,
    ),
    row(
        "HS384 with the public key's PEM",
        "rs",
        hmac("HS384", spki(RSA)),
        UNACCEPTABLE,
        NO_ALGORITHM,
    ),
    row(
        "HS512 with the public key's PEM",
        "rs",
        hmac("HS512", spki(RSA)),
        UNACCEPTABLE,
        NO_ALGORITHM,
    ),
    row(
        "HS256 with the PEM but its last line feed",
        "rs",
        hmac("HS256", spki(RSA).trimEnd()),
        UNACCEPTABLE,
        NO_ALGORITHM,
    ),
    row(
        "HS256 with the public key's DER",
        "rs",
        hmac("HS256", RSA.publicKey.export({ type: "spki", format: "der" })),
        UNACCEPTABLE,
        NO_ALGORITHM,
    ),
    row(
        "HS256 with the modulus",
        "rs",
        hmac("HS256", decode(RSA.jwk.n)),
        UNACCEPTABLE,
        NO_ALGORITHM,
    ),
    row(
        "HS256 with the JWK's text",
        "rs",
        hmac("HS256", JSON.stringify(RSA.jwk)),
        UNACCEPTABLE,
        NO_ALGORITHM,
    ),
    row("HS256 with an empty key", "rs", hmac("HS256", ""), UNACCEPTABLE, NO_ALGORITHM),
    row(
        "HS256 with the EC point's x",
        "es",
        hmac("HS256", decode(EC.jwk.x)),
        UNACCEPTABLE,
        NO_ALGORITHM,
    ),
    row(
        "HS256 with the Ed25519 point",
        "ed",
        hmac("HS256", decode(EDWARDS.jwk.x)),
        UNACCEPTABLE,
        NO_ALGORITHM,
    ),
    row(
        "HMAC under the name RS256",
        "rs",
        { algorithm: "HS256", key: { secret: spki(RSA), kid: RSA.kid }, header: { alg: "RS256" } },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "HMAC of 64 bytes under the name ES256",
        "es",
        { algorithm: "HS512", key: { secret: spki(EC), kid: EC.kid }, header: { alg: "ES256" } },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    ...["rs256", "Rs256", " RS256", "RS256 ", "RS256\n", "RS256,none", "RS-256", "R\u017f256"].map(
        (alg) =>
            row(
                `alg ${JSON.stringify(alg)}`,
                "rs",
                { header: { alg } },
                UNACCEPTABLE,
                NO_ALGORITHM,
            ),
    ),
    row(
        "alg with a NUL behind it",
        "rs",
        { rawHeader: (right) => right.replace("RS256", "RS256\\u0000") },
        UNACCEPTABLE,
        "NUL",
    ),
    ...[
        ["a number", 256],
        ["null", null],
        ["a list", ["RS256"]],
        ["an object", { name: "RS256" }],
        ["true", true],
    ].map(([what, alg]) =>
        row(
            `alg is ${what}`,
            "rs",
            { header: { alg } },
            UNACCEPTABLE,
            "alg is missing or no string",
        ),
    ),
    row("no alg", "rs", { header: { alg: undefined } }, UNACCEPTABLE, "alg is missing"),
    row("alg of 10 KB", "rs", { header: { alg: "R".repeat(10000) } }, UNACCEPTABLE, NO_ALGORITHM),
    row("ES256 at an issuer of RS256", "rs", { key: STRANGER_EC }, UNACCEPTABLE, NO_ALGORITHM),
    row("RS256 at an issuer of ES256", "es", { key: STRANGER_RSA }, UNACCEPTABLE, NO_ALGORITHM),
    row("EdDSA at an issuer of ES256", "es", { key: EDWARDS }, UNACCEPTABLE, NO_ALGORITHM),
    ...["RS384", "RS512", "PS256", "PS384", "PS512"].map((algorithm) =>
        row(`${algorithm} with the key of RS256`, "rs", { algorithm }, UNACCEPTABLE, NO_ALGORITHM),
    ),
    row(
        "a PSS signature under the name RS256",
        "rs",
        { algorithm: "PS256", header: { alg: "RS256" } },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "an RS512 signature under the name RS256",
        "rs",
        { algorithm: "RS512", header: { alg: "RS256" } },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row("ES256K", "es", { key: SECP256K1, header: { kid: EC.kid } }, UNACCEPTABLE, NO_ALGORITHM),
    row(
        "secp256k1 under the name ES256",
        "es",
        { key: SECP256K1, header: { alg: "ES256", kid: EC.kid } },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row("ES384", "es", { key: P384, header: { kid: EC.kid } }, UNACCEPTABLE, NO_ALGORITHM),
    row(
        "P-384 under the name ES256",
        "es",
        { key: P384, header: { alg: "ES256", kid: EC.kid } },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "Ed448 under the name EdDSA",
        "ed",
        { key: ED448, header: { alg: "EdDSA", kid: EDWARDS.kid } },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    ...["RSA1_5", "RSA-OAEP", "dir", "A128KW", "ECDH-ES", "PBES2-HS256+A128KW", "A256GCM"].map(
        (alg) =>
            row(
                `the encryption ${alg}`,
                "rs",
                { header: { alg }, signature: (right) => right },
                UNACCEPTABLE,
                NO_ALGORITHM,
            ),
    ),
    row(
        "RS256 with the kid of the EC key",
        "all",
        { key: RSA, header: { kid: EC.kid } },
        UNACCEPTABLE,
        /another algorithm|several/,
    ),
    row(
        "ES256 with the kid of the RSA key",
        "all",
        { key: EC, header: { kid: RSA.kid } },
        UNACCEPTABLE,
        "another algorithm",
    ),
    row(
        "EdDSA with the kid of the EC key",
        "all",
        { key: EDWARDS, header: { kid: EC.kid } },
        UNACCEPTABLE,
        "another algorithm",
    ),
];

// --- signatures --------------------------------------------------------------------------------

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
        row(
            `${issuer}: the first bit flipped`,
            issuer,
            { signature: flip(0) },
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(
            `${issuer}: the last bit flipped`,
            issuer,
            { signature: flip(-1) },
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(
            `${issuer}: all zeros`,
            issuer,
            { signature: (raw) => zeros(raw.length) },
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(
            `${issuer}: all ones`,
            issuer,
            { signature: (raw) => Buffer.alloc(raw.length, 0xff) },
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(
            `${issuer}: the last byte missing`,
            issuer,
            { signature: (raw) => raw.subarray(0, -1) },
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(
            `${issuer}: the first byte missing`,
            issuer,
            { signature: (raw) => raw.subarray(1) },
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(
            `${issuer}: a zero behind it`,
            issuer,
            { signature: (raw) => Buffer.concat([raw, zeros(1)]) },
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(
            `${issuer}: a zero in front`,
            issuer,
            { signature: (raw) => Buffer.concat([zeros(1), raw]) },
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(
            `${issuer}: twice`,
            issuer,
            { signature: (raw) => Buffer.concat([raw, raw]) },
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(`${issuer}: one byte`, issuer, { signature: () => zeros(1) }, UNACCEPTABLE, NO_VERIFY),
        row(
            `${issuer}: eight thousand bytes`,
            issuer,
            { signature: () => zeros(8000) },
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(`${issuer}: none`, issuer, { signature: () => "" }, UNACCEPTABLE, "a segment is empty"),
        row(
            `${issuer}: of another key of the kind`,
            issuer,
            async (whose) => ({ key: { ...makeKey(whose.key.algorithm), kid: whose.key.kid } }),
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(
            `${issuer}: of other claims`,
            issuer,
            async (whose) => {
                const [head, , tail] = (await token(whose)).split(".");
                const claims = { ...honestClaims(whose), sub: "project:p2" };
                return [head, base64url(JSON.stringify(claims)), tail].join(".");
            },
            UNACCEPTABLE,
            NO_VERIFY,
        ),
        row(
            `${issuer}: of another header`,
            issuer,
            async (whose) => {
                const [, body, tail] = (await token(whose)).split(".");
                const header = { alg: whose.key.algorithm, kid: whose.key.kid };
                return [base64url(JSON.stringify(header)), body, tail].join(".");
            },
            UNACCEPTABLE,
            NO_VERIFY,
        ),
    ]),
    row(
        "RSA: the signature plus the modulus",
        "rs",
        {
            signature: (raw) => {
                const sum = number(raw) + number(decode(RSA.jwk.n));
                return Buffer.from(sum.toString(16).padStart(514, "0"), "hex");
            },
        },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "RSA: one",
        "rs",
        { signature: (raw) => Buffer.concat([zeros(raw.length - 1), Buffer.from([1])]) },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "RSA: the modulus less one",
        "rs",
        { signature: () => Buffer.from((number(decode(RSA.jwk.n)) - 1n).toString(16), "hex") },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "RSA: PKCS #1 of SHA-1",
        "rs",
        { signature: (raw, input) => crypto.sign("sha1", Buffer.from(input), RSA.privateKey) },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "RSA: PKCS #1 of the bare digest",
        "rs",
        {
            signature: (raw, input) =>
                crypto.privateEncrypt(
                    RSA.privateKey,
                    crypto.createHash("sha256").update(input).digest(),
                ),
        },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "RSA: a digest with garbage behind it in the padding",
        "rs",
        { signature: (raw, input) => withGarbage(input) },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "ECDSA: DER",
        "es",
        { signature: (raw, input) => crypto.sign("sha256", Buffer.from(input), EC.privateKey) },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "ECDSA: r is zero",
        "es",
        withScalars((r, s) => [0n, s]),
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "ECDSA: s is zero",
        "es",
        withScalars((r) => [r, 0n]),
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "ECDSA: r is the order",
        "es",
        withScalars((r, s) => [ORDER, s]),
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "ECDSA: s is the order",
        "es",
        withScalars((r) => [r, ORDER]),
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "ECDSA: both are the order",
        "es",
        withScalars(() => [ORDER, ORDER]),
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "ECDSA: r and s change places",
        "es",
        withScalars((r, s) => [s, r]),
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "ECDSA: r is one, s is one",
        "es",
        withScalars(() => [1n, 1n]),
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "ECDSA: r negated",
        "es",
        withScalars((r, s) => [ORDER - r, s]),
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "ECDSA: the halves of 33 bytes with leading zeros",
        "es",
        { signature: (raw) => Buffer.concat(halves(raw).flatMap((half) => [zeros(1), half])) },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "EdDSA: s plus the order",
        "ed",
        {
            signature: (raw) =>
                Buffer.concat([
                    raw.subarray(0, 32),
                    toLittle(little(raw.subarray(32)) + EDWARDS_ORDER),
                ]),
        },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "EdDSA: R is the neutral element, s is zero",
        "ed",
        { signature: () => Buffer.concat([Buffer.from([1]), zeros(63)]) },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
    row(
        "EdDSA: of the digest (Ed25519ph)",
        "ed",
        {
            signature: (raw, input) =>
                sign(
                    "EdDSA",
                    EDWARDS.privateKey,
                    crypto.createHash("sha512").update(input).digest(),
                ),
        },
        UNACCEPTABLE,
        NO_VERIFY,
    ),
];

/** Bleichenbacher's form: short padding, the digest, then garbage; under the real private key. */
function withGarbage(input) {
    const prefix = Buffer.from("3031300d060960864801650304020105000420", "hex");
    const digest = crypto.createHash("sha256").update(input).digest();
    const head = Buffer.concat([
        Buffer.from([0, 1]),
        Buffer.alloc(8, 0xff),
        zeros(1),
        prefix,
        digest,
    ]);
    const block = Buffer.concat([head, Buffer.alloc(256 - head.length, 7)]);
    return crypto.privateEncrypt(
        { key: RSA.privateKey, padding: crypto.constants.RSA_NO_PADDING },
        block,
    );
}

export const rows = [...algorithms, ...signatures];
