// One token, many times: one after the other, at once, over a restart and past its end.

import { EXPIRED, ISSUED, UNACCEPTABLE, USED } from "../answers.mjs";
import { base64url, decode, makeKey, now, sign, token } from "../forge.mjs";
import { EXCHANGE, JWT } from "../lab.mjs";
import { converse, HANG_UP, request } from "../wire.mjs";

const EC = makeKey("ES256");
const RSA = makeKey("RS256");
const AT_ONCE = 24;

export const issuers = {
    es: () => ({ key: EC, keys: [EC.jwk, RSA.jwk] }),
};
export const rows = [];

/** A token is shown, changed by `change` and shown again: the second time it counts as used. */
function again(name, change, answer = USED, options = {}) {
    rows.push({
        name,
        answer: [ISSUED, answer].flat(),
        send: async (lab) => {
            const first = await token(lab.issuers.get("es"), options);
            const before = await lab.exchange(first);
            const after = await change(lab, first, before);
            return { answers: [...before.answers, ...after.answers], rest: Buffer.alloc(0) };
        },
    });
}

const ORDER = BigInt("0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

/** The other signature that ECDSA lets anybody make of a right one. */
function malleable(text) {
    const [head, payload, signature] = text.split(".");
    const raw = decode(signature);
    const s = ORDER - BigInt(`0x${raw.subarray(32).toString("hex")}`);
    const twin = Buffer.concat([
        raw.subarray(0, 32),
        Buffer.from(s.toString(16).padStart(64, "0"), "hex"),
    ]);
    return [head, payload, base64url(twin)].join(".");
}

/** A fresh signature of the same bytes. */
function resigned(text) {
    const input = text.split(".").slice(0, 2).join(".");
    return `${input}.${base64url(sign("ES256", EC.privateKey, Buffer.from(input)))}`;
}

again("the same token", (lab, text) => lab.exchange(text));
again("the same token with a line feed", (lab, text) => lab.exchange(`${text}\n`));
again("the same token as another type", (lab, text) =>
    lab.exchange(text, { subject_token_type: "urn:ietf:params:oauth:token-type:id_token" }),
);
again("the same token for another stage's name", (lab, text) =>
    lab.exchange(text, { stage: "attack/es:build" }),
);
again("the same token for less", (lab, text) => lab.exchange(text, { scope: "files", ttl: "60" }));
again("the same token with a changed signature", (lab, text) => lab.exchange(malleable(text)));
again("the same claims signed anew", (lab, text) => lab.exchange(resigned(text)));
again(
    "the same token with a broken signature",
    (lab, text) => lab.exchange(`${text.slice(0, -4)}AAAA`),
    UNACCEPTABLE,
);
again("the same token after a failed try", async (lab, text) => {
    await lab.exchange(text, { scope: "other" });
    return lab.exchange(text);
});
again(
    "the same token on a kept connection",
    async (lab, text) => {
        const body = new URLSearchParams({
            grant_type: EXCHANGE,
            subject_token: text,
            subject_token_type: JWT,
        }).toString();
        const bytes = request(
            "POST",
            "/token",
            [
                ["Host", "x"],
                ["Content-Type", "application/x-www-form-urlencoded"],
            ],
            body,
        );
        return converse(lab.port, [Buffer.concat([bytes, bytes, bytes])], 3);
    },
    [USED, USED, USED],
);

/** So many requests at once, of which one may be issued. */
function race(name, variants) {
    rows.push({
        name,
        answer: [ISSUED, ...Array.from({ length: AT_ONCE - 1 }, () => USED)],
        send: async (lab) => {
            const text = await token(lab.issuers.get("es"));
            const all = await Promise.all(
                Array.from({ length: AT_ONCE }, (_, i) => variants[i % variants.length](lab, text)),
            );
            const answers = all.flatMap((each) => each.answers).sort((a, b) => a.status - b.status);
            return { answers, rest: Buffer.alloc(0) };
        },
    });
}

const plain = (lab, text) => lab.exchange(text);
race("the same token at once", [plain]);
race("the same token at once, again", [plain]);
race("a token and its twins at once", [
    plain,
    (lab, text) => lab.exchange(malleable(text)),
    (lab, text) => lab.exchange(resigned(text)),
    (lab, text) => lab.exchange(` ${text}\n`),
]);
race("the same token at once for several things", [
    plain,
    (lab, text) => lab.exchange(text, { stage: "build" }),
    (lab, text) => lab.exchange(text, { ttl: "60" }),
    (lab, text) => lab.exchange(text, { scope: "files" }),
]);

rows.push({
    name: "many tokens at once are issued once each",
    answer: Array.from({ length: AT_ONCE }, () => ISSUED),
    send: async (lab) => {
        const all = await Promise.all(
            Array.from({ length: AT_ONCE }, async () =>
                lab.exchange(await token(lab.issuers.get("es"))),
            ),
        );
        return { answers: all.flatMap((each) => each.answers), rest: Buffer.alloc(0) };
    },
});

/** Whoever hangs up has no credential, and at most one was made of the token. */
rows.push({
    name: "a token whose bearer hangs up is issued at most once",
    answer: [],
    send: async (lab) => {
        const text = await token(lab.issuers.get("es"));
        const before = lab.issuedCount;
        const body = new URLSearchParams({
            grant_type: EXCHANGE,
            subject_token: text,
            subject_token_type: JWT,
        }).toString();
        const bytes = request(
            "POST",
            "/token",
            [
                ["Host", "x"],
                ["Content-Type", "application/x-www-form-urlencoded"],
            ],
            body,
        );
        await Promise.all(Array.from({ length: 8 }, () => converse(lab.port, [bytes, HANG_UP])));
        const from = lab.logSize();
        const last = await lab.exchange(text);
        const issued = (lab.log().match(/event=exchange\.issued /g) ?? []).length;
        lab.issuedCount = issued;
        const isRight = issued - before <= 1 && [200, 400].includes(last.answers[0]?.status);
        return {
            answers: [],
            rest: Buffer.from(isRight ? "" : `${issued - before} issued: ${lab.log(from)}`),
        };
    },
});

/** The broker is killed, or ends, and starts again: marks are as durable as what was issued. */
for (const signal of ["SIGTERM", "SIGKILL"])
    again(`the same token after ${signal}`, async (lab, text) => {
        await lab.stopBroker(signal);
        await lab.startBroker();
        return lab.exchange(text);
    });

// The clock only goes forward: what comes behind these has its own.
again("the same token in the last second of leeway", async (lab, text) => {
    await lab.advanceClock(327);
    return lab.exchange(text);
});
again(
    "the same token past its end",
    async (lab, text) => {
        await lab.advanceClock(331);
        return lab.exchange(text);
    },
    EXPIRED,
    { claims: { iat: now() + 327, exp: now() + 330 + 297 } },
);
