// DPoP proofs (RFC 9449) beside a good token.

import crypto from "node:crypto";

import { BAD_PROOF, HEAD_TOO_LARGE, ISSUED, PROOF_USED } from "../answers.mjs";
import { base64url, decode, jose, makeKey, now, sign, token } from "../forge.mjs";
import { AUDIENCE, EXCHANGE, JWT } from "../lab.mjs";

export const issuers = { ci: () => ({}) };

/** The fields of a good exchange, as a text. */
async function goodForm(lab) {
    const made = await token(lab.issuers.get("ci"));
    lab.sent.push(made);
    return new URLSearchParams({
        grant_type: EXCHANGE,
        subject_token: made,
        subject_token_type: JWT,
    }).toString();
}

const PROVER = makeKey("ES256");
const publicPart = ({ kty, crv, x, y }) => ({ kty, crv, x, y });

/** A proof; `header` and `claims` change members, `key` and `algorithm` sign. */
async function proof({ header = {}, claims = {}, key = PROVER, algorithm, signature } = {}) {
    const head = { typ: "dpop+jwt", alg: key.algorithm, jwk: publicPart(key.jwk), ...header };
    const body = {
        jti: crypto.randomUUID(),
        htm: "POST",
        htu: `${AUDIENCE}/token`,
        iat: now(),
        ...claims,
    };
    if (
        algorithm === undefined &&
        signature === undefined &&
        head.alg === key.algorithm &&
        head.crit === undefined &&
        head.b64 === undefined &&
        key.privateKey !== undefined
    )
        return new jose.CompactSign(Buffer.from(JSON.stringify(body)))
            .setProtectedHeader(JSON.parse(JSON.stringify(head)))
            .sign(key.privateKey);
    const input = `${base64url(JSON.stringify(head))}.${base64url(JSON.stringify(body))}`;
    const made = sign(algorithm ?? key.algorithm, key.secret ?? key.privateKey, Buffer.from(input));
    return `${input}.${base64url(signature === undefined ? made : signature(made))}`;
}

function proofRow(name, options, answer = BAD_PROOF, cause = "") {
    return {
        name: name,
        answer,
        cause,
        send: async (lab) => {
            const proofs = [
                typeof options === "function" ? await options(lab) : await proof(options),
            ].flat();
            return lab.post(
                await goodForm(lab),
                proofs.map((each) => ["DPoP", each]),
            );
        },
    };
}

let shown = null;

/** The proof of an earlier row: one at a time, in order. */
async function shownBefore() {
    shown ??= await proof();
    return shown;
}

const STRANGER = makeKey("ES256");
const OF_RSA = makeKey("RS256");
const SECRET = { secret: "x", algorithm: "HS256", jwk: { kty: "oct", k: "eA" } };

const proofs = [
    proofRow("as it should be", {}, ISSUED),
    proofRow("EdDSA", { key: makeKey("EdDSA") }, ISSUED),
    proofRow("shown once", shownBefore, ISSUED),
    proofRow("shown again with another token", shownBefore, PROOF_USED),
    proofRow("two", async () => [await proof(), await proof()], BAD_PROOF, "2 DPoP header fields"),
    proofRow("empty", () => "", BAD_PROOF),
    proofRow("a word", () => "x", BAD_PROOF, "three segments"),
    proofRow("two and a comma", async () => `${await proof()}, ${await proof()}`, BAD_PROOF),
    proofRow("the subject token", async (lab) => token(lab.issuers.get("ci")), BAD_PROOF, "typ"),
    ...[undefined, "JWT", "DPoP+jwt", "dpop+JWT", "application/dpop+jwt", null, ""].map((typ) =>
        proofRow(`typ ${JSON.stringify(typ)}`, { header: { typ } }, BAD_PROOF, "typ"),
    ),
    ...["none", "HS256", "es256", "", null].map((alg) =>
        proofRow(
            `alg ${JSON.stringify(alg)}`,
            { header: { alg }, signature: (right) => right },
            BAD_PROOF,
            "alg",
        ),
    ),
    proofRow(
        "a shared secret in jwk",
        { key: SECRET, header: { jwk: SECRET.jwk } },
        BAD_PROOF,
        "alg",
    ),
    proofRow("RS256", { key: OF_RSA, header: { jwk: OF_RSA.jwk } }, BAD_PROOF, "alg"),
    proofRow(
        "jwk with its private part",
        { header: { jwk: PROVER.privateKey.export({ format: "jwk" }) } },
        BAD_PROOF,
        "jwk",
    ),
    ...[undefined, null, "x", [], {}].map((jwk) =>
        proofRow(`jwk ${JSON.stringify(jwk)}`, { header: { jwk } }, BAD_PROOF, "jwk"),
    ),
    proofRow(
        "jwk of another key",
        { header: { jwk: publicPart(STRANGER.jwk) } },
        BAD_PROOF,
        "signature",
    ),
    proofRow("jwk of another kind", { header: { jwk: OF_RSA.jwk } }, BAD_PROOF, "jwk"),
    proofRow(
        "jwk off the curve",
        { header: { jwk: { ...publicPart(PROVER.jwk), y: PROVER.jwk.x } } },
        BAD_PROOF,
        "jwk",
    ),
    proofRow(
        "jwk for encryption",
        { header: { jwk: { ...publicPart(PROVER.jwk), use: "enc" } } },
        BAD_PROOF,
        "jwk",
    ),
    proofRow(
        "the key at the canary",
        async (lab) =>
            proof({
                header: {
                    jwk: undefined,
                    jku: `${lab.canaryUrl}/jwks`,
                    x5u: lab.canaryUrl,
                    kid: "x",
                },
            }),
        BAD_PROOF,
        "jwk",
    ),
    proofRow(
        "jwk and the canary",
        async (lab) => proof({ header: { jku: `${lab.canaryUrl}/jwks` } }),
        ISSUED,
    ),
    ...[
        ["crit", ["exp"]],
        ["b64", false],
        ["zip", "DEF"],
        ["enc", "A256GCM"],
        ["cty", "x"],
    ].map(([name, value]) =>
        proofRow(name, { header: { [name]: value } }, BAD_PROOF, `the header has ${name}`),
    ),
    proofRow(
        "a DER signature",
        { signature: (raw) => Buffer.concat([Buffer.from("3044022000", "hex"), raw]) },
        BAD_PROOF,
        "signature",
    ),
    proofRow("a signature of zeros", { signature: () => Buffer.alloc(64) }, BAD_PROOF, "signature"),
    ...["GET", "post", "POST ", "", null, 1, undefined, ["POST"]].map((htm) =>
        proofRow(`htm ${JSON.stringify(htm)}`, { claims: { htm } }, BAD_PROOF, "htm"),
    ),
    ...[
        "https://other.example/token",
        `${AUDIENCE}/revoke`,
        `${AUDIENCE}/`,
        AUDIENCE,
        "/token",
        `${AUDIENCE}/token/`,
        `${AUDIENCE}//token`,
        `${AUDIENCE}/TOKEN`,
        AUDIENCE.replace("https", "http") + "/token",
        `${AUDIENCE}:444/token`,
        `${AUDIENCE}.evil.example/token`,
        AUDIENCE.replace("://", "://x@") + "/token",
        "",
        null,
        1,
        undefined,
    ].map((htu) => proofRow(`htu ${JSON.stringify(htu)}`, { claims: { htu } }, BAD_PROOF, "htu")),
    ...[
        `${AUDIENCE}/x/../token`,
        `${AUDIENCE}:443/token`,
        `${AUDIENCE}/token?x`,
        `${AUDIENCE.toUpperCase().replace("HTTPS", "https")}/token`,
    ].map((htu) => proofRow(`htu ${htu}`, { claims: { htu } }, ISSUED)),
    proofRow("made 61 s ago", () => proof({ claims: { iat: now() - 62 } }), BAD_PROOF, "s ago"),
    proofRow(
        "made an hour ahead",
        () => proof({ claims: { iat: now() + 3600 } }),
        BAD_PROOF,
        "ahead",
    ),
    ...[undefined, null, "1", true, 1e300, -1, 4611686018427387904, []].map((iat) =>
        proofRow(`iat ${JSON.stringify(iat)}`, { claims: { iat } }, BAD_PROOF, "iat"),
    ),
    ...[undefined, null, "", 1, "j".repeat(257), ["x"]].map((jti) =>
        proofRow(`jti ${JSON.stringify(jti)?.slice(0, 8)}`, { claims: { jti } }, BAD_PROOF, "jti"),
    ),
    proofRow(
        "jti of 256 bytes",
        { claims: { jti: crypto.randomBytes(128).toString("hex") } },
        ISSUED,
    ),
    proofRow(
        "a line feed in jti",
        { claims: { jti: `x\n${crypto.randomUUID()}` } },
        BAD_PROOF,
        "jti",
    ),
    proofRow(
        "ath, which a token request does not have",
        { claims: { ath: base64url(decode("eA")) } },
        ISSUED,
    ),
    proofRow("of 17 KB", { claims: { filler: "x".repeat(17000) } }, HEAD_TOO_LARGE),
];

export const rows = proofs;
