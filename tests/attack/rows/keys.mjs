// Key sets: each row has an issuer of its own with a set of its own.

import crypto from "node:crypto";

import { ISSUED, NO_KEYS, UNACCEPTABLE } from "../answers.mjs";
import { base64url, decode, makeKey, token } from "../forge.mjs";
import { sendJson } from "../lab.mjs";

export const concurrency = 8;
export const issuers = {};
export const rows = [];

const RSA = makeKey("RS256");
const EC = makeKey("ES256");
const EDWARDS = makeKey("EdDSA");
const SPARE = makeKey("ES256");
const ALL = ["RS256", "ES256", "EdDSA"];

const NO_USABLE_KEY = "key set has no key that we can use";
const UNKNOWN_KID = "no key of its kid";

/**
 * The issuer publishes `keys` (or answers as that function does); its token is signed by `key`.
 * `options` are of token(); `more` are members of the row.
 */
function row(name, keys, key, answer, cause = "", options = {}, more = {}) {
    const issuer = `k${rows.length}`;

    issuers[issuer] = () => ({ key, keys, settings: { algorithms: ALL, ...more.settings } });
    rows.push({
        name,
        answer,
        cause,
        send: async (lab) => {
            const whose = lab.issuers.get(issuer);
            return lab.exchange(await token(whose, options));
        },
    });
}

/** A key that must not serve: alone (503), and beside another, of which a token is issued. */
function unusable(name, jwk, key) {
    const raw = { signature: (right) => right }; // jose would not sign with each of them
    row(`${name}: alone`, [jwk], key, NO_KEYS, NO_USABLE_KEY, raw);
    row(`${name}: beside another`, [jwk, SPARE.jwk], key, UNACCEPTABLE, UNKNOWN_KID, raw);
    row(`${name}: does not spoil another`, [jwk, SPARE.jwk], SPARE, ISSUED);
}

/** The public JWK of a key with other members; undefined takes one away. */
const changed = (key, members) => JSON.parse(JSON.stringify({ ...key.jwk, ...members }));
const privately = (key) => ({ ...key.privateKey.export({ format: "jwk" }), ...key.jwk });
const padded = (text, count = 1) => base64url(Buffer.concat([Buffer.alloc(count), decode(text)]));
const cut = (text) => base64url(decode(text).subarray(1));

// --- purpose -----------------------------------------------------------------------------------

row("a set as it should be", [RSA.jwk, EC.jwk, EDWARDS.jwk], RSA, ISSUED);
row("use jwt-svid, as SPIFFE's bundles say", [changed(EC, { use: "jwt-svid" })], EC, ISSUED);
for (const use of ["enc", "SIG", "x509-svid", "JWT-SVID", "", null, 1, ["sig"]])
    unusable(`use ${JSON.stringify(use)}`, changed(EC, { use }), EC);
for (const operations of [
    ["sign"],
    ["encrypt"],
    ["Verify"],
    [],
    "verify",
    null,
    [1],
    { 0: "verify" },
])
    unusable(
        `key_ops ${JSON.stringify(operations)}`,
        changed(EC, { use: undefined, key_ops: operations }),
        EC,
    );
row("key_ops with verify", [changed(EC, { use: undefined, key_ops: ["verify"] })], EC, ISSUED);
row(
    "neither use nor key_ops nor alg",
    [changed(EC, { use: undefined, alg: undefined })],
    EC,
    ISSUED,
);
for (const alg of ["ES384", "RS256", "HS256", "none", "es256", "", null, 256])
    unusable(`a P-256 key with alg ${JSON.stringify(alg)}`, changed(EC, { alg }), EC);
unusable("an RSA key with alg RSA-OAEP", changed(RSA, { alg: "RSA-OAEP" }), RSA);
unusable("an RSA key with alg HS256", changed(RSA, { alg: "HS256" }), RSA);
row(
    "an RSA key with alg PS256 does not verify RS256",
    [changed(RSA, { alg: "PS256" }), SPARE.jwk],
    RSA,
    UNACCEPTABLE,
    /no key of its kid|another algorithm/,
);
unusable("an algorithm that the issuer does not have", makeKey("ES384").jwk, makeKey("ES256"));

// --- kinds -------------------------------------------------------------------------------------

for (const kty of ["oct", "ec", "", null, 1, undefined])
    unusable(`kty ${JSON.stringify(kty)}`, changed(EC, { kty }), EC);
unusable("a P-256 key that says it is RSA", changed(EC, { kty: "RSA" }), EC);
unusable("a P-256 key that says it is OKP", changed(EC, { kty: "OKP" }), EC);
for (const crv of ["P-384", "secp256k1", "p-256", "prime256v1", "", null, undefined])
    unusable(`a P-256 key with crv ${JSON.stringify(crv)}`, changed(EC, { crv }), EC);
for (const kind of ["ES256K", "Ed448", "X25519"]) {
    const pair = makeKey(kind, { alg: undefined });
    unusable(`a key of ${kind}`, pair.jwk, makeKey("ES256", { kid: pair.kid }));
}
for (const alg of ["HS256", "ES256", undefined]) {
    const secret = crypto.randomBytes(32);
    const jwk = { kty: "oct", k: base64url(secret), kid: "shared", use: "sig", alg };
    const key = { secret, kid: "shared", algorithm: "HS256", jwk };
    row(
        `a shared secret with alg ${alg}, and a token of it`,
        [jwk, SPARE.jwk],
        key,
        UNACCEPTABLE,
        "alg is none",
    );
    row(`a shared secret with alg ${alg}, alone`, [jwk], EC, NO_KEYS, NO_USABLE_KEY);
}

// --- private parts -----------------------------------------------------------------------------

for (const key of [RSA, EC, EDWARDS])
    unusable(`a private key of ${key.algorithm}`, privately(key), key);
unusable("d that is empty", changed(EC, { d: "" }), EC);
unusable("d that is null", changed(EC, { d: null }), EC);
for (const name of ["p", "q", "dp", "dq", "qi", "oth"])
    unusable(`a private member ${name}`, changed(RSA, { [name]: "AQAB" }), RSA);
unusable("a secret's member k", changed(EC, { k: "AQAB" }), EC);

// --- RSA ---------------------------------------------------------------------------------------

/** An RSA JWK of so many bits that nobody has the private key of. */
function modulus(bits, kid) {
    const bytes = crypto.randomBytes(Math.ceil(bits / 8));
    bytes[0] = (bytes[0] | 0x80) >> (bytes.length * 8 - bits);
    bytes[bytes.length - 1] |= 1;
    return { kty: "RSA", n: base64url(bytes), e: "AQAB", kid, alg: "RS256", use: "sig" };
}

const small = (bits) =>
    makeKey("RS256", {}, crypto.generateKeyPairSync("rsa", { modulusLength: bits }));
for (const bits of [1024, 2047]) {
    const key = small(bits);
    unusable(`an RSA key of ${bits} bits`, key.jwk, key);
}
for (const bits of [8193, 16384])
    unusable(`an RSA key of ${bits} bits`, modulus(bits, RSA.kid), RSA);
row("an RSA key of 8192 bits is one", [modulus(8192, RSA.kid)], RSA, UNACCEPTABLE, "signature: ");
const EXPONENTS = {
    zero: "AA",
    one: "AQ",
    three: "Aw",
    even: "AQAA",
    65535: "__8",
    "2^32+1": "AQAAAAE",
    empty: "",
    huge: base64url(crypto.randomBytes(256).fill(1, 255)),
};
for (const [what, e] of Object.entries(EXPONENTS))
    unusable(`an RSA exponent that is ${what}`, changed(RSA, { e }), RSA);
row(
    "an RSA exponent of another value",
    [changed(RSA, { e: "AQAD" })],
    RSA,
    UNACCEPTABLE,
    "signature: ",
);
row(
    "leading zeros in an RSA key",
    [changed(RSA, { n: padded(RSA.jwk.n), e: padded("AQAB", 3) })],
    RSA,
    ISSUED,
);
const evenModulus = decode(RSA.jwk.n);
evenModulus[255] &= 0xfe;
unusable("an even RSA modulus", changed(RSA, { n: base64url(evenModulus) }), RSA);
for (const [what, members] of [
    ["no modulus", { n: undefined }],
    ["no exponent", { e: undefined }],
    ["a modulus of null", { n: null }],
    ["a modulus in a list", { n: [RSA.jwk.n] }],
    ["an exponent that is a number", { e: 65537 }],
    ["a padded modulus", { n: `${RSA.jwk.n}==` }],
    ["a modulus with a space", { n: ` ${RSA.jwk.n}` }],
    ["an empty modulus", { n: "" }],
    ["a modulus of zeros", { n: base64url(Buffer.alloc(256)) }],
])
    unusable(`RSA: ${what}`, changed(RSA, members), RSA);
row(
    "an RSA key that has only its certificate",
    [
        {
            kty: "RSA",
            kid: RSA.kid,
            alg: "RS256",
            x5c: [RSA.publicKey.export({ type: "spki", format: "der" }).toString("base64")],
        },
    ],
    RSA,
    NO_KEYS,
    NO_USABLE_KEY,
);

// --- EC ----------------------------------------------------------------------------------------

const PRIME = Buffer.from(
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    "hex",
);
const otherY = decode(EC.jwk.y);
otherY[31] ^= 1;
for (const [what, members] of [
    ["off the curve", { y: base64url(otherY) }],
    ["(0, 0)", { x: base64url(Buffer.alloc(32)), y: base64url(Buffer.alloc(32)) }],
    ["x is the prime", { x: base64url(PRIME) }],
    ["x and y change places", { x: EC.jwk.y, y: EC.jwk.x }],
    ["x with a leading zero", { x: padded(EC.jwk.x) }],
    ["x cut", { x: cut(EC.jwk.x) }],
    ["no y", { y: undefined }],
    ["y is empty", { y: "" }],
    ["y is a number", { y: 1 }],
    [
        "x compressed",
        { x: base64url(Buffer.concat([Buffer.from([2]), decode(EC.jwk.x)])), y: undefined },
    ],
    ["x padded", { x: `${EC.jwk.x}=` }],
])
    unusable(`EC: ${what}`, changed(EC, members), EC);

// --- Ed25519 -----------------------------------------------------------------------------------

const LOW_ORDER = [
    "00".repeat(32),
    `01${"00".repeat(31)}`,
    `ec${"ff".repeat(30)}7f`,
    `${"00".repeat(31)}80`,
    `01${"00".repeat(30)}80`,
    `ec${"ff".repeat(31)}`,
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];
/** R is the neutral element and s is zero: where the key is taken, it verifies nearly anything. */
const NEUTRAL = Buffer.concat([Buffer.from([1]), Buffer.alloc(63)]);
for (const [i, hex] of LOW_ORDER.entries()) {
    const jwk = changed(EDWARDS, { x: base64url(Buffer.from(hex, "hex")) });
    row(`Ed25519: low order ${i}: alone`, [jwk], EDWARDS, NO_KEYS, NO_USABLE_KEY, {
        signature: () => NEUTRAL,
    });
    row(
        `Ed25519: low order ${i}: beside another`,
        [jwk, SPARE.jwk],
        EDWARDS,
        UNACCEPTABLE,
        UNKNOWN_KID,
        { signature: () => NEUTRAL },
    );
}
for (const [what, x] of [
    ["y is not below the prime", base64url(Buffer.alloc(32, 0xff))],
    ["y is the prime", base64url(Buffer.from(`ed${"ff".repeat(30)}7f`, "hex"))],
    ["y is the prime and one", base64url(Buffer.from(`ee${"ff".repeat(30)}7f`, "hex"))],
    ["no point has this y", base64url(Buffer.from(`02${"00".repeat(31)}`, "hex"))],
    ["31 bytes", cut(EDWARDS.jwk.x)],
    ["33 bytes", padded(EDWARDS.jwk.x)],
    ["empty", ""],
    ["absent", undefined],
    ["a number", 1],
])
    unusable(`Ed25519: ${what}`, changed(EDWARDS, { x }), EDWARDS);

// --- names -------------------------------------------------------------------------------------

const NAMED = [makeKey("ES256", { kid: "same" }), makeKey("ES256", { kid: "same" })];
const jwks = (keys) => keys.map((key) => key.jwk);
row("two keys of one kid: the first", jwks(NAMED), NAMED[0], UNACCEPTABLE, "two keys have its kid");
row(
    "two keys of one kid: the second",
    jwks(NAMED),
    NAMED[1],
    UNACCEPTABLE,
    "two keys have its kid",
);
row("two keys of one kid do not spoil a third", [...jwks(NAMED), SPARE.jwk], SPARE, ISSUED);
row("the same key twice", [EC.jwk, EC.jwk], EC, UNACCEPTABLE, "two keys have its kid");
const NAMED_RSA = makeKey("RS256", { kid: "same" });
row(
    "one kid for two algorithms",
    [NAMED[0].jwk, NAMED_RSA.jwk],
    NAMED_RSA,
    UNACCEPTABLE,
    /two keys have its kid|another algorithm/,
);
row(
    "one kid for a key that we use and one that we do not",
    [changed(NAMED[1], { use: "enc" }), NAMED[0].jwk],
    NAMED[0],
    ISSUED,
);
row("no kid anywhere, and one key", [changed(EC, { kid: undefined })], EC, ISSUED, "", {
    header: { kid: undefined },
});
row(
    "no kid in the set, but in the token",
    [changed(EC, { kid: undefined })],
    EC,
    UNACCEPTABLE,
    UNKNOWN_KID,
);
row("no kid in the token, one key of its algorithm", [EC.jwk, RSA.jwk], EC, ISSUED, "", {
    header: { kid: undefined },
});
row(
    "no kid in the token, two keys of its algorithm",
    [EC.jwk, SPARE.jwk],
    EC,
    UNACCEPTABLE,
    "several keys fit",
    { header: { kid: undefined } },
);
for (const kid of [1, null, ["x"], {}, true, "k".repeat(257)])
    unusable(`a key whose kid is ${JSON.stringify(kid).slice(0, 8)}`, changed(EC, { kid }), EC);
row("a kid of 256 bytes", [changed(EC, { kid: "k".repeat(256) })], EC, ISSUED, "", {
    header: { kid: "k".repeat(256) },
});
row("an empty kid", [changed(EC, { kid: "" })], EC, ISSUED, "", { header: { kid: "" } });

// --- addresses in keys -------------------------------------------------------------------------

for (const name of ["x5u", "jku", "jwks_uri"]) issuersWithPointer(name);

function issuersWithPointer(name) {
    const issuer = `k${rows.length}`;
    issuers[issuer] = (lab) => ({
        key: EC,
        keys: [changed(EC, { [name]: `${lab.canaryUrl}/key` })],
    });
    rows.push({
        name: `a key with ${name} is used as it is`,
        answer: ISSUED,
        send: async (lab) => lab.exchange(await token(lab.issuers.get(issuer))),
    });
}

// --- sets --------------------------------------------------------------------------------------

const filler = (count) => Array.from({ length: count }, (_, i) => changed(SPARE, { kid: `f${i}` }));
/** Answer with this text for the key set. */
const says = (text) => (query, answer) => {
    answer.writeHead(200, { "Content-Type": "application/json" });
    answer.end(text);
};
const SET = JSON.stringify({ keys: [EC.jwk] });

row("100 keys", [...filler(99), EC.jwk], EC, ISSUED);
row("101 keys", [...filler(100), EC.jwk], EC, NO_KEYS, "more than 100 keys");
row("no keys", [], EC, NO_KEYS, NO_USABLE_KEY);
row("keys that are none", [null, 1, "x", [], true], EC, NO_KEYS, NO_USABLE_KEY);
row("a key in a list in the list", [[EC.jwk]], EC, NO_KEYS, NO_USABLE_KEY);
for (const [what, text, cause] of [
    ["no member keys", "{}", "no array of keys"],
    ["keys is an object", JSON.stringify({ keys: { 0: EC.jwk } }), "no array of keys"],
    ["keys is null", '{"keys":null}', "no array of keys"],
    ["keys is a text", JSON.stringify({ keys: JSON.stringify([EC.jwk]) }), "no array of keys"],
    ["Keys", SET.replace('"keys"', '"Keys"'), "no array of keys"],
    ["a key alone", JSON.stringify(EC.jwk), "no array of keys"],
    ["a list", JSON.stringify([EC.jwk]), "JSON"],
    ["empty", "", "JSON"],
    ["a page", "<html>sign in</html>", "JSON"],
    ["cut short", SET.slice(0, -1), "JSON: ends too early"],
    ["text behind it", `${SET}x`, "JSON: text behind the end"],
    ["a byte order mark", `\ufeff${SET}`, "JSON"],
    ["keys twice", `{"keys":[],${SET.slice(1)}`, "JSON: duplicate member"],
    ["a member of a key twice", SET.replace('"kty"', '"kid":"x","kty"'), "JSON: duplicate member"],
    [
        "not UTF-8",
        Buffer.concat([
            Buffer.from(`${SET.slice(0, -1)},"x":"`),
            Buffer.from([0xff]),
            Buffer.from('"}'),
        ]),
        "JSON: not UTF-8",
    ],
    [
        "nested 1000 deep",
        `${SET.slice(0, -1)},"x":${"[".repeat(1000)}${"]".repeat(1000)}}`,
        "nested deeper",
    ],
    ["a PEM", EC.publicKey.export({ type: "spki", format: "pem" }), "JSON"],
])
    row(`a set: ${what}`, says(text), EC, NO_KEYS, cause);
row(
    "a set with members of its own",
    (query, answer) => sendJson(answer, { issuer: "x", keys: [EC.jwk], exp: 1 }),
    EC,
    ISSUED,
);
row("a set of 512 KiB", says(`${SET}${" ".repeat(512 * 1024 - SET.length)}`), EC, ISSUED);
row(
    "a set of 512 KiB and a byte",
    says(`${SET}${" ".repeat(512 * 1024 - SET.length + 1)}`),
    EC,
    NO_KEYS,
    "larger than 524288 bytes",
);
