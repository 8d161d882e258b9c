// Keys, and tokens good and bad, made by jose where it does what is wanted, else from raw bytes.

import crypto from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.STAGEPASS_NODE_MODULES}/../package.json`);
export const jose = await import(pathToFileURL(require.resolve("jose")));

export const SECOND = 1000;

/** The seconds of now, which the broker on this machine reads off the same clock. */
export function now() {
    return Math.floor(Date.now() / SECOND);
}

export function base64url(bytes) {
    return Buffer.from(bytes).toString("base64url");
}

export function decode(text) {
    return Buffer.from(text, "base64url");
}

const KINDS = {
    RS256: () => crypto.generateKeyPairSync("rsa", { modulusLength: 2048 }),
    ES256: () => crypto.generateKeyPairSync("ec", { namedCurve: "P-256" }),
    ES384: () => crypto.generateKeyPairSync("ec", { namedCurve: "P-384" }),
    ES256K: () => crypto.generateKeyPairSync("ec", { namedCurve: "secp256k1" }),
    EdDSA: () => crypto.generateKeyPairSync("ed25519"),
    Ed448: () => crypto.generateKeyPairSync("ed448"),
    X25519: () => crypto.generateKeyPairSync("x25519"),
};

/** A key pair with its public JWK; `members` are added to that (undefined takes one away). */
export function makeKey(algorithm, members = {}, pair = KINDS[algorithm]()) {
    const jwk = pair.publicKey.export({ format: "jwk" });
    const kid = members.kid ?? crypto.randomUUID();
    return {
        ...pair,
        algorithm,
        kid,
        jwk: { ...jwk, kid, alg: algorithm, use: "sig", ...members },
    };
}

/** The signature of raw bytes, without any look at what they say. */
export function sign(algorithm, key, input) {
    const hash = `sha${algorithm.slice(2)}`;
    switch (algorithm.slice(0, 2)) {
        case "RS":
            return crypto.sign(hash, input, key);
        case "PS":
            return crypto.sign(hash, input, {
                key,
                padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
                saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST,
            });
        case "ES":
            return crypto.sign(algorithm === "ES256K" ? "sha256" : hash, input, {
                key,
                dsaEncoding: "ieee-p1363",
            });
        case "HS":
            return crypto.createHmac(hash, key).update(input).digest();
        default:
            return crypto.sign(null, input, key);
    }
}

/** The claims of an honest token of an issuer. */
export function honestClaims(issuer) {
    return {
        iss: issuer.url,
        aud: issuer.audience,
        sub: "project:p1",
        iat: now(),
        exp: now() + 300,
        jti: crypto.randomUUID(),
        project: "p1",
    };
}

/**
 * A token of an issuer. `header` and `claims` change single members (undefined takes one away);
 * `rawHeader` and `rawPayload` replace the JSON text (or, as functions, change it); `key` and
 * `algorithm` sign instead of the issuer's; `signature` maps the right one to what is sent.
 */
export async function token(issuer, options = {}) {
    const key = options.key ?? issuer.key;
    const algorithm = options.algorithm ?? key.algorithm;
    const header = { alg: algorithm, typ: "JWT", kid: key.kid, ...options.header };
    const claims = { ...honestClaims(issuer), ...options.claims };
    const payload = text(options.rawPayload, JSON.stringify(claims));
    const isPlain =
        options.rawHeader === undefined &&
        options.signature === undefined &&
        header.alg === algorithm &&
        header.crit === undefined &&
        header.b64 === undefined &&
        ["RS256", "ES256", "EdDSA"].includes(algorithm) &&
        key.privateKey !== undefined;

    if (isPlain)
        return new jose.CompactSign(payload)
            .setProtectedHeader(JSON.parse(JSON.stringify(header)))
            .sign(key.privateKey);
    const headerText = text(options.rawHeader, JSON.stringify(header));
    const input = `${base64url(headerText)}.${base64url(payload)}`;
    const signature = sign(algorithm, key.privateKey ?? key.secret, Buffer.from(input));
    const sent = options.signature === undefined ? signature : options.signature(signature, input);
    return `${input}.${base64url(sent)}`;
}

/** Bytes of a replacement: none, a text, bytes, or a function of the right text. */
function text(replacement, right) {
    if (replacement === undefined) return Buffer.from(right);
    return Buffer.from(typeof replacement === "function" ? replacement(right) : replacement);
}
