// The token endpoint's form and its header fields. Framing is in framing.mjs, DPoP in dpop.mjs.

import {
    BAD_REQUEST,
    BAD_TYPE,
    BODY_TOO_LARGE,
    ISSUED,
    MALFORMED,
    MALFORMED_AUDIENCE,
    MALFORMED_DETAILS,
    MALFORMED_SCOPE,
    NOT_FOUND,
    BAD_METHOD,
    NO_SUCH_AUDIENCE,
    NO_SUCH_GRANT,
    OTHER_GRANT_TYPE,
    UNACCEPTABLE,
} from "../answers.mjs";
import { token } from "../forge.mjs";
import { AUDIENCE, EXCHANGE, JWT } from "../lab.mjs";

const FORM_MAX = 64 * 1024;

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

/** A row that changes the good form's text. */
function formRow(name, change, answer = MALFORMED, cause = "", headers = []) {
    return {
        name,
        answer,
        cause,
        send: async (lab) => lab.post(await change(await goodForm(lab), lab), headers),
    };
}

const adding = (text) => (form) => `${form}&${text}`;
const REPEATED = "repeated parameter";
const BROKEN = "broken escape, NUL or not UTF-8";
const MISSPELT = "misspelt name of a known parameter";

// --- names and values --------------------------------------------------------------------------

const KNOWN = {
    grant_type: EXCHANGE,
    subject_token: "x",
    subject_token_type: JWT,
    stage: "build",
    scope: "files",
    ttl: "60",
    reason: "x",
    authorization_details: "[]",
    requested_token_type: JWT,
};

const forms = [
    formRow("as it should be", (form) => form, ISSUED),
    ...Object.entries(KNOWN).map(([name, value]) =>
        formRow(
            `${name} twice`,
            (form) =>
                `${form}&${name}=${encodeURIComponent(value)}&${name}=${encodeURIComponent(value)}`,
            MALFORMED,
            REPEATED,
        ),
    ),
    formRow(
        "a parameter twice, once escaped",
        adding("stage=build&st%61ge=build"),
        MALFORMED,
        REPEATED,
    ),
    formRow("an unknown parameter twice", adding("x=1&x=2"), MALFORMED, REPEATED),
    formRow("an unknown parameter", adding("x=1&client_id=none"), ISSUED),
    formRow("audience twice", adding("audience=a&audience=b"), MALFORMED_AUDIENCE, "more than one"),
    formRow(
        "a resource",
        adding("resource=https%3A%2F%2Fx.example"),
        MALFORMED_AUDIENCE,
        "a resource",
    ),
    ...[
        "subject_token[]",
        "subject_token[0]",
        "Subject_Token",
        "SUBJECT_TOKEN",
        "stage[]",
        "Stage",
        "AUDIENCE",
        "audience[]",
        "grant_type[]",
        "scope[1]",
        "actor_token[]",
        "Actor_Token",
    ].map((name) =>
        formRow(`the name ${name}`, adding(`${encodeURIComponent(name)}=x`), MALFORMED, MISSPELT),
    ),
    ...["%", "%4", "%zz", "%4g", "%u0041", "%-1", "% 41"].map((escape) =>
        formRow(`the escape ${escape} at the end`, adding(`x=${escape}`), MALFORMED, BROKEN),
    ),
    formRow("a broken escape in a name", adding("x%=1"), MALFORMED, BROKEN),
    formRow("an escaped NUL", adding("x=a%00b"), MALFORMED, BROKEN),
    formRow("a raw NUL", adding("x=a\0b"), MALFORMED, BROKEN),
    formRow("a NUL in a name", adding("x%00y=1"), MALFORMED, BROKEN),
    formRow(
        "a NUL behind the token",
        (form) => form.replace("&subject_token_type", "%00&subject_token_type"),
        MALFORMED,
        BROKEN,
    ),
    ...["%ff", "%c0%af", "%ed%a0%80", "%f4%90%80%80", "%e2%82", "%80"].map((text) =>
        formRow(`${text}, which is not UTF-8`, adding(`x=${text}`), MALFORMED, BROKEN),
    ),
    formRow(
        "raw bytes that are not UTF-8",
        (form) => Buffer.concat([Buffer.from(`${form}&x=`), Buffer.from([0xfe])]),
        MALFORMED,
        BROKEN,
    ),
    formRow("a value without a name", adding("=x"), MALFORMED, "parameter without a name"),
    formRow(
        "semicolons in the place of ampersands",
        (form) => form.replaceAll("&", ";"),
        OTHER_GRANT_TYPE,
        "another grant_type",
    ),
    formRow("empty parts", (form) => `&&${form}&&`, ISSUED),
    formRow("parameters without a value are left out", adding("stage=&scope&ttl="), ISSUED),
    formRow("a byte order mark in front", (form) => `\ufeff${form}`, MALFORMED, "no grant_type"),
    formRow(
        "100 parameters",
        (form) => form + Array.from({ length: 97 }, (_, i) => `&p${i}=1`).join(""),
        ISSUED,
    ),
    formRow(
        "101 parameters",
        (form) => form + Array.from({ length: 98 }, (_, i) => `&p${i}=1`).join(""),
        MALFORMED,
        "more than 100 parameters",
    ),
    formRow(
        "101 parameters without values",
        (form) => form + "&x=".repeat(98),
        MALFORMED,
        "more than 100 parameters",
    ),
    formRow("64 KiB", (form) => `${form}&x=`.padEnd(FORM_MAX, "y"), ISSUED),
    formRow("64 KiB and a byte", (form) => `${form}&x=`.padEnd(FORM_MAX + 1, "y"), BODY_TOO_LARGE),
    formRow("nothing", () => "", MALFORMED, "no grant_type"),
    formRow(
        "JSON as a form",
        () => JSON.stringify({ grant_type: EXCHANGE }),
        MALFORMED,
        "no grant_type",
    ),
    formRow(
        "no subject_token",
        (form) => form.replace(/&subject_token=[^&]*/, ""),
        MALFORMED,
        "no subject_token",
    ),
    formRow(
        "an empty subject_token",
        (form) => form.replace(/&subject_token=[^&]*/, "&subject_token="),
        MALFORMED,
        "no subject_token",
    ),
    formRow(
        "a subject_token of white space",
        (form) => form.replace(/&subject_token=[^&]*/, "&subject_token=+%0a"),
        UNACCEPTABLE,
        "three segments",
    ),
    formRow(
        "plus signs in the token",
        (form) => form.replace(".", "+."),
        UNACCEPTABLE,
        "base64url",
    ),
];

/** The good form with one parameter replaced. */
const replacing = (name, value) => (form) => {
    const fields = new URLSearchParams(form);
    fields.set(name, value);
    return fields.toString();
};

const TYPES = "urn:ietf:params:oauth:token-type:";
const parameters = [
    ...[
        "authorization_code",
        "client_credentials",
        "password",
        "refresh token",
        "Refresh_token",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        EXCHANGE.toUpperCase(),
        `${EXCHANGE} `,
        `${EXCHANGE}x`,
        "implicit",
    ].map((value) =>
        formRow(
            `grant_type ${JSON.stringify(value)}`,
            replacing("grant_type", value),
            OTHER_GRANT_TYPE,
            "another grant_type",
        ),
    ),
    formRow(
        "no grant_type",
        (form) => form.replace(/^grant_type=[^&]*&/, ""),
        MALFORMED,
        "no grant_type",
    ),
    ...["access_token", "refresh_token", "saml2", "JWT", "jwt "].map((type) =>
        formRow(
            `subject_token_type ${type}`,
            replacing("subject_token_type", TYPES + type),
            MALFORMED,
            "neither jwt nor id_token",
        ),
    ),
    formRow(
        "no subject_token_type",
        (form) => form.replace(/&subject_token_type=.*/, ""),
        MALFORMED,
        "neither jwt nor id_token",
    ),
    formRow(
        "subject_token_type id_token",
        replacing("subject_token_type", `${TYPES}id_token`),
        ISSUED,
    ),
    ...["refresh_token", "saml1", "x"].map((type) =>
        formRow(
            `requested_token_type ${type}`,
            replacing("requested_token_type", TYPES + type),
            MALFORMED,
            "another requested_token_type",
        ),
    ),
    ...[
        "0",
        "-1",
        "86401",
        "1.5",
        "1e3",
        "0x10",
        "60s",
        " 60",
        "+60",
        "060",
        "9223372036854775808",
        "NaN",
        "\u0661",
    ].map((ttl) =>
        formRow(`ttl ${JSON.stringify(ttl)}`, replacing("ttl", ttl), MALFORMED, "ttl is no number"),
    ),
    formRow("ttl 60", replacing("ttl", "60"), ISSUED),
    formRow("ttl of a day shortens nothing", replacing("ttl", "86400"), ISSUED),
    formRow("a reason of 256 bytes", replacing("reason", "r".repeat(256)), ISSUED),
    formRow("a reason of 257 bytes", replacing("reason", "r".repeat(257)), MALFORMED, "reason"),
    formRow(
        "a line feed in the reason",
        replacing("reason", "a\nlevel=info event=x"),
        MALFORMED,
        "reason",
    ),
    formRow("an escape in the reason", replacing("reason", "\u001b[2J"), MALFORMED, "reason"),
    formRow("a line feed in the stage", replacing("stage", "build\n"), MALFORMED, "stage"),
    formRow("a stage of 122 bytes", replacing("stage", "s".repeat(122)), MALFORMED, "stage"),
    ...['file s"', "files\\", " files", "files ", "files  files", "f\u00efles", "files\t"].map(
        (scope) =>
            formRow(
                `scope ${JSON.stringify(scope)}`,
                replacing("scope", scope),
                MALFORMED_SCOPE,
                "malformed scope",
            ),
    ),
    ...["other", "FILES", "file", "files other", "*"].map((scope) =>
        formRow(
            `scope ${scope}, which the stage does not have`,
            replacing("scope", scope),
            NO_SUCH_GRANT,
        ),
    ),
    formRow("a grant by its name", replacing("scope", "files"), ISSUED),
    ...[
        "https://other.example",
        "https://files.acme.example/",
        "HTTPS://files.acme.example",
        "*",
        AUDIENCE,
    ].map((audience) =>
        formRow(
            `audience ${audience}, which the stage does not have`,
            replacing("audience", audience),
            NO_SUCH_AUDIENCE,
        ),
    ),
    ...[
        "{",
        "[",
        "[]x",
        '[{"type":"a","type":"b"}]',
        `${"[".repeat(33)}${"]".repeat(33)}`,
        "\ufeff[]",
        '["\\u0000"]',
        "null",
        "1",
        "",
    ]
        .filter(Boolean)
        .map((details) =>
            formRow(
                `authorization_details ${details.slice(0, 30)}`,
                replacing("authorization_details", details),
                MALFORMED_DETAILS,
                "authorization_details: JSON",
            ),
        ),
];

// --- header fields -----------------------------------------------------------------------------

/** A row with a Content-Type of its own; `types` are all of them. */
function typeRow(name, types, answer = BAD_TYPE) {
    return {
        name,
        answer,
        send: async (lab) => {
            const form = await goodForm(lab);
            return lab.raw(
                "POST",
                "/token",
                types.map((type) => ["Content-Type", type]),
                form,
            );
        },
    };
}

const FORM_TYPE = "application/x-www-form-urlencoded";
const fields = [
    typeRow("no Content-Type", []),
    typeRow("two of Content-Type", [FORM_TYPE, FORM_TYPE]),
    ...[
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "",
        "*/*",
        `${FORM_TYPE}x`,
        `x${FORM_TYPE}`,
        `${FORM_TYPE}, text/plain`,
        `${FORM_TYPE}; charset=iso-8859-1`,
        `${FORM_TYPE}; charset=utf-16`,
        `${FORM_TYPE}; charset=utf-7`,
        `${FORM_TYPE}; charset`,
        `${FORM_TYPE}; charset=utf-8; charset=utf-7`,
        `${FORM_TYPE}; boundary=x`,
    ].map((type) => typeRow(`Content-Type ${JSON.stringify(type)}`, [type])),
    ...[
        `${FORM_TYPE};charset=UTF-8`,
        `${FORM_TYPE} ; charset="utf-8"`,
        FORM_TYPE.toUpperCase(),
    ].map((type) => typeRow(`Content-Type ${JSON.stringify(type)}`, [type], ISSUED)),
    ...["gzip", "identity", "deflate", "br", "x", ""].map((encoding) =>
        formRow(`Content-Encoding ${JSON.stringify(encoding)}`, (form) => form, BAD_TYPE, "", [
            ["Content-Encoding", encoding],
        ]),
    ),
    ...[
        ["X-HTTP-Method-Override", "GET"],
        ["X-Forwarded-For", "10.0.0.1"],
        ["X-Forwarded-Host", "x.example"],
        ["X-Forwarded-Proto", "https"],
        ["Forwarded", "for=10.0.0.1"],
        ["X-Original-URL", "/admin"],
        ["X-Rewrite-URL", "/livez"],
        ["Origin", "https://evil.example"],
        ["Cookie", "a=b"],
        ["Authorization", "Bearer x"],
        ["Authorization", "Basic eDp5"],
        ["X-Real-IP", "::1"],
        ["Via", "1.1 x"],
        ["Range", "bytes=0-1"],
        ["If-None-Match", "*"],
        ["Accept", "text/html"],
        ["Accept-Encoding", "gzip"],
        ["TE", "trailers"],
        ["Cache-Control", "only-if-cached"],
    ].map(([name, value]) =>
        formRow(`${name}: ${value} changes nothing`, (form) => form, ISSUED, "", [[name, value]]),
    ),
];

const targets = [
    ...["/token?", "/token?x=1", "/token?grant_type=x", "/token?subject_token=x&stage=build"].map(
        (target) => ({
            name: `the target ${target}`,
            answer: BAD_REQUEST,
            send: async (lab) => lab.post(await goodForm(lab), [], target),
        }),
    ),
    ...[
        "/token/",
        "//token",
        "/./token",
        "/x/../token",
        "/%74oken",
        "/token%00",
        "/token;x",
        "/TOKEN",
        "/token.",
        "/token%20",
        "/token%2f",
        "/",
        "/*",
        "/livez",
        "/readyz",
        "/metrics",
        "/test/clock",
        "/admin",
        "/token%23",
        "/console/x.js/..",
    ].map((target) => ({
        name: `the target ${target}`,
        answer: NOT_FOUND,
        send: async (lab) => lab.post(await goodForm(lab), [], target),
    })),
    ...["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"].map((method) => ({
        name: `${method} /token`,
        answer: BAD_METHOD,
        send: (lab) => lab.raw(method, "/token", []),
        after: (lab, { answers: [answer] }) =>
            answer?.headers.some(([name, value]) => name === "allow" && value === "POST")
                ? []
                : ["no Allow: POST"],
    })),
];

export const rows = [...forms, ...parameters, ...fields, ...targets];
