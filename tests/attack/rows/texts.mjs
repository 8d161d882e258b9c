// The envelope's texts: segments, base64url, and the JSON of both parts.

import { ISSUED, UNACCEPTABLE } from "../answers.mjs";
import { base64url, honestClaims, makeKey, token } from "../forge.mjs";

const EC = makeKey("ES256");

export const issuers = {
    es: () => ({ key: EC, settings: { algorithms: ["ES256"] } }),
};

/** A row: the token that `make` gives for the issuer, or that its options make. */
function row(name, make, answer = UNACCEPTABLE, cause = "") {
    return {
        name,
        answer,
        cause,
        send: async (lab) => {
            const whose = lab.issuers.get("es");
            const options = typeof make === "function" ? await make(whose) : make;
            return lab.exchange(
                typeof options === "string" ? options : await token(whose, options),
            );
        },
    };
}

// --- base64url and segments --------------------------------------------------------------------

/** The honest token, changed as a text. */
function textRow(name, change, answer = UNACCEPTABLE, cause = "") {
    return row(name, async (whose) => change(await token(whose), whose), answer, cause);
}

/** The token with one of its segments changed. */
function segment(at, change) {
    return (text) =>
        text
            .split(".")
            .map((each, i) => (i === at ? change(each) : each))
            .join(".");
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
        if (made.split(".")[at].length % 4 !== 0) return made;
    }
}

const PARTS = ["header", "payload", "signature"];

const encodings = [
    ...PARTS.flatMap((part, at) => [
        textRow(
            `${part}: padding behind it`,
            segment(at, (each) => `${each}=`),
            UNACCEPTABLE,
            `the ${part} is not strict base64url`,
        ),
        textRow(
            `${part}: a character that makes it too long by one`,
            segment(at, (each) => each + "A".repeat((5 - (each.length % 4)) % 4 || 1)),
            UNACCEPTABLE,
            /strict base64url|signature|JSON/,
        ),
        textRow(
            `${part}: a line feed within`,
            segment(at, (each) => `${each.slice(0, 8)}\n${each.slice(8)}`),
            UNACCEPTABLE,
            `the ${part} is not strict base64url`,
        ),
        textRow(
            `${part}: a space within`,
            segment(at, (each) => `${each.slice(0, 8)} ${each.slice(8)}`),
            UNACCEPTABLE,
            `the ${part} is not strict base64url`,
        ),
        textRow(
            `${part}: an escape within`,
            segment(at, (each) => `${each.slice(0, 8)}%41${each.slice(8)}`),
            UNACCEPTABLE,
            `the ${part} is not strict base64url`,
        ),
        textRow(
            `${part}: a letter of another alphabet`,
            segment(at, (each) => `${each.slice(0, -2)}/+`),
            UNACCEPTABLE,
            `the ${part} is not strict base64url`,
        ),
        textRow(
            `${part}: a fullwidth letter`,
            segment(at, (each) => `\uff41${each.slice(1)}`),
            UNACCEPTABLE,
            `the ${part} is not strict base64url`,
        ),
        textRow(
            `${part}: empty`,
            segment(at, () => ""),
            UNACCEPTABLE,
            "a segment is empty",
        ),
        row(
            `${part}: spare bits set`,
            async (whose) => segment(at, withSpareBits)(await unpadded(whose, at)),
            UNACCEPTABLE,
            `the ${part} is not strict base64url`,
        ),
    ]),
    textRow("one segment", (text) => text.replaceAll(".", ""), UNACCEPTABLE, "three segments"),
    textRow(
        "two segments",
        (text) => text.split(".").slice(0, 2).join("."),
        UNACCEPTABLE,
        "three segments",
    ),
    textRow(
        "two segments and a dot",
        (text) => `${text.split(".").slice(0, 2).join(".")}.`,
        UNACCEPTABLE,
        "a segment is empty",
    ),
    textRow("four segments", (text) => `${text}.AAAA`, UNACCEPTABLE, "three segments"),
    textRow(
        "five segments, as encrypted tokens have",
        (text) => `${text}.AAAA.AAAA`,
        UNACCEPTABLE,
        "three segments",
    ),
    textRow("a dot behind it", (text) => `${text}.`, UNACCEPTABLE, "three segments"),
    textRow("a dot in front", (text) => `.${text}`, UNACCEPTABLE, "three segments"),
    textRow("dots alone", () => "..", UNACCEPTABLE, "a segment is empty"),
    textRow(
        "a fullwidth dot",
        (text) => text.replace(".", "\uff0e"),
        UNACCEPTABLE,
        "three segments",
    ),
    textRow("a scheme in front", (text) => `Bearer ${text}`, UNACCEPTABLE, "base64url"),
    textRow("quotes around it", (text) => `"${text}"`, UNACCEPTABLE, "base64url"),
    textRow("two tokens and a comma", (text) => `${text},${text}`, UNACCEPTABLE, "three segments"),
    textRow(
        "the JSON serialization, flattened",
        (text) => {
            const [head, payload, signature] = text.split(".");
            return JSON.stringify({ payload, protected: head, signature });
        },
        UNACCEPTABLE,
        "three segments",
    ),
    textRow(
        "a token in a token",
        (text) => `${base64url(text)}.${base64url(text)}.${base64url(text)}`,
        UNACCEPTABLE,
        "header: JSON",
    ),
    textRow("white space around it, as files have", (text) => `${text}\n`, ISSUED),
    textRow(
        "a NUL escape within",
        (text) => text.replace(".", "\\u0000."),
        UNACCEPTABLE,
        "base64url",
    ),
    row("16 KiB", async (whose) => ofLength(whose, 16384), ISSUED),
    row(
        "16 KiB and a byte",
        async (whose) => `${await ofLength(whose, 16384)}A`,
        UNACCEPTABLE,
        "longer than 16384",
    ),
    row("60 KB", { claims: { filler: "x".repeat(45000) } }, UNACCEPTABLE, "longer than 16384"),
    textRow("one letter", () => "A", UNACCEPTABLE, "three segments"),
];

/** A good token of exactly so many bytes, of claims of at most 1,000 each. */
async function ofLength(whose, length) {
    const claims = honestClaims(whose);
    for (let i = 0; i < 11; i++) claims[`filler${i}`] = "x".repeat(1000);
    for (let last = 0; last < 1400; last++) {
        for (const pad of ["", "x", "xx", "xxx"]) {
            const header = { filler: pad };
            const options = {
                claims: {
                    ...claims,
                    last: "x".repeat(last % 1000),
                    more: "x".repeat(last < 1000 ? 0 : last - 999),
                },
                header,
            };
            const size = sizeOf(whose, options);
            if (size === length) return token(whose, options);
        }
    }
    throw new Error(`no token of ${length} bytes`);
}

function sizeOf(whose, options) {
    const header = { alg: whose.key.algorithm, typ: "JWT", kid: whose.key.kid, ...options.header };
    const size = (value) => base64url(JSON.stringify(value)).length;
    return size(header) + 1 + size(options.claims) + 1 + 86;
}

// --- the header's and the payload's JSON -------------------------------------------------------

/** A JSON text with something put in front of its last brace. */
const adding = (more) => (right) => `${right.slice(0, -1)},${more}}`;
const bytes = (...list) => Buffer.from(list);
const nested = (depth) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
const membersUpTo = (count) => (right) => {
    const members = { ...JSON.parse(right) };
    for (let i = Object.keys(members).length; i < count; i++) members[`m${i}`] = i;
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
        row(`a header: ${what}`, { rawHeader: change }, UNACCEPTABLE, cause),
    ),
    ...brokenTexts.map(([what, change, cause]) =>
        row(`a payload: ${what}`, { rawPayload: change }, UNACCEPTABLE, cause),
    ),
    row("a header nested as deep as it may", { rawHeader: adding(`"x":${nested(7)}`) }, ISSUED),
    row(
        "a header nested deeper",
        { rawHeader: adding(`"x":${nested(8)}`) },
        UNACCEPTABLE,
        "nested deeper than 8",
    ),
    row("a header of 100 members", { rawHeader: membersUpTo(100) }, ISSUED),
    row(
        "a header of 101 members",
        { rawHeader: membersUpTo(101) },
        UNACCEPTABLE,
        "more than 100 members",
    ),
    row("a payload nested as deep as it may", { rawPayload: adding(`"x":${nested(31)}`) }, ISSUED),
    row(
        "a payload nested deeper",
        { rawPayload: adding(`"x":${nested(32)}`) },
        UNACCEPTABLE,
        "nested deeper than 32",
    ),
    row("a payload of 1000 members", { rawPayload: membersUpTo(1000) }, ISSUED),
    row(
        "a payload of 1001 members",
        { rawPayload: membersUpTo(1001) },
        UNACCEPTABLE,
        "more than 1000 members",
    ),
    row("alg twice", { rawHeader: adding('"alg":"none"') }, UNACCEPTABLE, "duplicate member"),
    row("kid twice", { rawHeader: adding(`"kid":"${EC.kid}"`) }, UNACCEPTABLE, "duplicate member"),
    row("alg in other case besides", { rawHeader: adding('"Alg":"none","ALG":"none"') }, ISSUED),
    row("alg escaped", { rawHeader: (right) => right.replace('"alg"', '"\\u0061lg"') }, ISSUED),
    row("a header without members", { rawHeader: "{}" }, UNACCEPTABLE, "alg is missing"),
    row(
        "white space about everything",
        {
            rawHeader: (right) => ` \n${right.replaceAll(",", " ,\t")} \r\n`,
            rawPayload: (right) => ` \n${right.replaceAll(",", " ,\t")} \r\n`,
        },
        ISSUED,
    ),
    row(
        "iss twice",
        { rawPayload: adding('"iss":"https://other.example"') },
        UNACCEPTABLE,
        "duplicate member",
    ),
    row("exp twice", { rawPayload: adding('"exp":9999999999') }, UNACCEPTABLE, "duplicate member"),
    row(
        "aud twice, once escaped",
        { rawPayload: adding('"\\u0061ud":"x"') },
        UNACCEPTABLE,
        "duplicate member",
    ),
    row(
        "names that other languages trip over",
        { rawPayload: adding('"__proto__":{"project":"p9"},"constructor":{"prototype":{}},"":1') },
        ISSUED,
    ),
];

export const rows = [...encodings, ...texts];
