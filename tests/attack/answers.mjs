// What the broker may answer: the status, the whole body but its decision_id, and what the log says
// of it (event and code; each row adds the cause).

const JSON_TYPE = "application/json";
const PROBLEM_TYPE = "application/problem+json";

/** An answer of the token endpoint; `isDecided`: it has a decision_id. */
function oauth(status, error, description, event, code, extra = {}, isDecided = true) {
    return {
        status,
        body: { error, error_description: description, ...extra },
        type: JSON_TYPE,
        log: `event=${event} .*code=${code} `,
        isDecided,
    };
}

function beforeDecision(status, error, description, code) {
    return oauth(status, error, description, "exchange.refused", code, {}, false);
}

/** An answer from before any route; the log has it at debug level only. */
function problem(status, title, detail) {
    return {
        status,
        body: { type: "about:blank", title, status, detail },
        type: PROBLEM_TYPE,
        log: `event=http\\.request .*status=${status} `,
        isDecided: false,
    };
}

export const ISSUED = {
    status: 200,
    isIssued: true,
    log: "event=exchange\\.issued ",
    isDecided: true,
};

export const UNACCEPTABLE = oauth(
    400,
    "invalid_request",
    "the subject token is not acceptable",
    "exchange.refused",
    "token",
);
export const EXPIRED = oauth(
    400,
    "invalid_request",
    "the subject token has expired",
    "exchange.refused",
    "token_expired",
    { reason: "token_expired" },
);
export const TOO_OLD = oauth(
    400,
    "invalid_request",
    "the subject token was issued too long ago",
    "exchange.refused",
    "token_too_old",
    { reason: "token_too_old" },
);
export const WRONG_AUDIENCE = oauth(
    400,
    "invalid_request",
    "the subject token is for another audience",
    "exchange.refused",
    "token_audience",
    { reason: "wrong_audience" },
);
export const USED = oauth(
    400,
    "invalid_request",
    "the subject token was used before",
    "exchange.denied",
    "token_used",
    { reason: "token_used" },
);
export const DENIED = oauth(
    403,
    "access_denied",
    "the policy does not allow this",
    "exchange.denied",
    "no_pipeline",
);
export const NO_KEYS = oauth(
    503,
    "temporarily_unavailable",
    "the keys of the issuer are not available: nothing was released",
    "exchange.unavailable",
    "keys_unavailable",
);
export const PROOF_USED = oauth(
    400,
    "invalid_dpop_proof",
    "the DPoP proof is not acceptable",
    "exchange.refused",
    "dpop",
);
export const NO_SUCH_GRANT = oauth(
    400,
    "invalid_scope",
    "the stage does not have such a grant",
    "exchange.refused",
    "scope",
);
export const NO_SUCH_AUDIENCE = oauth(
    400,
    "invalid_target",
    "the stage does not have such an audience",
    "exchange.refused",
    "target",
);

export const MALFORMED = beforeDecision(
    400,
    "invalid_request",
    "the request is malformed",
    "request",
);
export const MALFORMED_SCOPE = beforeDecision(
    400,
    "invalid_scope",
    "the stage does not have such a grant",
    "scope",
);
export const MALFORMED_AUDIENCE = beforeDecision(
    400,
    "invalid_target",
    "the stage does not have such an audience",
    "target",
);
export const MALFORMED_DETAILS = beforeDecision(
    400,
    "invalid_authorization_details",
    "the authorization details are missing or not acceptable",
    "details",
);
export const OTHER_GRANT_TYPE = beforeDecision(
    400,
    "unsupported_grant_type",
    "the grant type is not supported",
    "grant_type",
);
export const BAD_PROOF = beforeDecision(
    400,
    "invalid_dpop_proof",
    "the DPoP proof is not acceptable",
    "dpop",
);

export const BAD_REQUEST = problem(400, "Bad Request", "the request is malformed");
export const NOT_FOUND = problem(404, "Not Found", "there is nothing here");
export const BAD_METHOD = problem(405, "Method Not Allowed", "the method is not allowed here");
export const BODY_TOO_LARGE = problem(413, "Content Too Large", "the body is too large");
export const TARGET_TOO_LONG = problem(414, "URI Too Long", "the request target is too long");
export const BAD_TYPE = problem(415, "Unsupported Media Type", "the media type is not supported");
export const HEAD_TOO_LARGE = problem(
    431,
    "Request Header Fields Too Large",
    "the header fields are too large",
);

/** The HTTP library's own page: it refuses, and closes, before anything of ours is asked. */
function library(status) {
    return { status, isLibrary: true, log: `event=http\\.library .*${status}`, isDecided: false };
}

export const NO_HTTP = library(400);
export const NO_SUCH_CODING = library(501);
export const NO_SUCH_VERSION = library(505);
export const CHUNK_TOO_LARGE = library(413);
export const LINE_TOO_LONG = library(414);
export const FIELDS_TOO_LARGE = library(431);
