#define ERROR_DEFINES

#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_REFUSED 3
#define EXIT_APPROVAL 4
#define EXIT_UNREACHABLE 5
#define EXIT_FOUND 6
#define EXIT_LATER 7

#define UNAVAILABLE "temporarily_unavailable"
#define BAD_REQUEST "invalid_request"

/* Whoever fits no pipeline must not learn it from the answer: one sentence for all of policy. */
#define DENIED "access_denied", NULL, 403, EXIT_REFUSED, "the policy does not allow this"

/* In the order of enum error_code. design.md 3.1 has the exit codes, 3.2 the answers. */
/* clang-format off */
static const struct error_kind kinds[] = {
    /* code                  name                 OAuth error, reason, HTTP status, exit code, sentence */
    { ERROR_NONE,            "none",              NULL, NULL, 200, 0, "no error" },

    { ERROR_MEMORY,          "memory",            UNAVAILABLE, NULL, 503, EXIT_FAILED, "out of memory" },
    { ERROR_IO,              "io",                UNAVAILABLE, NULL, 503, EXIT_FAILED, "input or output failed" },
    { ERROR_CONFIG,          "config",            NULL, NULL, 503, EXIT_USAGE, "the configuration is not valid" },
    { ERROR_USAGE,           "usage",             NULL, NULL, 400, EXIT_USAGE, "the command line is not valid" },
    { ERROR_LIMIT,           "limit",             BAD_REQUEST, NULL, 400, EXIT_FAILED, "a part of the request is too large" },
    { ERROR_SYNTAX,          "syntax",            BAD_REQUEST, NULL, 400, EXIT_FAILED, "a part of the request does not parse" },
    { ERROR_CRYPTO,          "crypto",            UNAVAILABLE, NULL, 503, EXIT_FAILED, "a cryptographic operation failed" },
    { ERROR_INVALID,         "invalid",           BAD_REQUEST, NULL, 400, EXIT_FAILED, "a proof does not verify" },

    { ERROR_NOT_FOUND,       "not_found",         BAD_REQUEST, NULL, 404, EXIT_FAILED, "there is nothing here" },
    { ERROR_METHOD,          "method",            BAD_REQUEST, NULL, 405, EXIT_FAILED, "the method is not allowed here" },
    { ERROR_BODY_TOO_LARGE,  "body_too_large",    BAD_REQUEST, NULL, 413, EXIT_FAILED, "the body is too large" },
    { ERROR_URI_TOO_LONG,    "uri_too_long",      BAD_REQUEST, NULL, 414, EXIT_FAILED, "the request target is too long" },
    { ERROR_MEDIA_TYPE,      "media_type",        BAD_REQUEST, NULL, 415, EXIT_FAILED, "the media type is not supported" },
    { ERROR_HEADERS_TOO_LARGE, "headers_too_large", BAD_REQUEST, NULL, 431, EXIT_FAILED, "the header fields are too large" },
    { ERROR_UNAUTHORIZED,    "unauthorized",      "invalid_token", NULL, 401, EXIT_REFUSED, "the bearer credential is missing or not known" },
    { ERROR_CLIENT,          "client",            "invalid_client", NULL, 401, EXIT_REFUSED, "the resource server is not known by this name and secret" },
    { ERROR_ROLE,            "role",              "insufficient_scope", NULL, 403, EXIT_REFUSED, "none of your roles allows this" },
    { ERROR_BUSY,            "busy",              UNAVAILABLE, NULL, 429, EXIT_LATER, "too many requests: try again later" },

    { ERROR_REQUEST,         "request",           BAD_REQUEST, NULL, 400, EXIT_FAILED, "the request is malformed" },
    { ERROR_GRANT_TYPE,      "grant_type",        "unsupported_grant_type", NULL, 400, EXIT_FAILED, "the grant type is not supported" },
    { ERROR_TOKEN,           "token",             BAD_REQUEST, NULL, 400, EXIT_REFUSED, "the subject token is not acceptable" },
    { ERROR_TOKEN_USED,      "token_used",        BAD_REQUEST, "token_used", 400, EXIT_REFUSED, "the subject token was used before" },
    { ERROR_TOKEN_EXPIRED,   "token_expired",     BAD_REQUEST, "token_expired", 400, EXIT_REFUSED, "the subject token has expired" },
    { ERROR_TOKEN_TOO_OLD,   "token_too_old",     BAD_REQUEST, "token_too_old", 400, EXIT_REFUSED, "the subject token was issued too long ago" },
    { ERROR_TOKEN_AUDIENCE,  "token_audience",    BAD_REQUEST, "wrong_audience", 400, EXIT_REFUSED, "the subject token is for another audience" },
    { ERROR_ACTOR,           "actor",             BAD_REQUEST, NULL, 400, EXIT_REFUSED, "the actor token is not acceptable" },
    { ERROR_REFRESH,         "refresh",           "invalid_grant", NULL, 400, EXIT_REFUSED, "the refresh token is not acceptable" },
    { ERROR_DPOP,            "dpop",              "invalid_dpop_proof", NULL, 400, EXIT_REFUSED, "the DPoP proof is not acceptable" },
    { ERROR_DPOP_NONCE,      "dpop_nonce",        "use_dpop_nonce", NULL, 400, EXIT_REFUSED, "the DPoP proof needs the nonce of this answer" },
    { ERROR_STAGE,           "stage",             BAD_REQUEST, NULL, 400, EXIT_REFUSED, "several stages fit: name one" },

    { ERROR_NO_PIPELINE,     "no_pipeline",       DENIED },
    { ERROR_CONDITION,       "condition",         DENIED },
    { ERROR_GUARDRAIL,       "guardrail",         DENIED },
    { ERROR_BLOCKED,         "blocked",           "access_denied", NULL, 403, EXIT_REFUSED, "refused for now: ask who operates the broker" },
    { ERROR_FULL,            "full",              UNAVAILABLE, "stage_full", 429, EXIT_LATER, "as many leases of the stage live as may: wait until one ends" },
    { ERROR_SCOPE,           "scope",             "invalid_scope", NULL, 400, EXIT_REFUSED, "the stage does not have such a grant" },
    { ERROR_TARGET,          "target",            "invalid_target", NULL, 400, EXIT_REFUSED, "the stage does not have such an audience" },
    { ERROR_DETAILS,         "details",           "invalid_authorization_details", NULL, 400, EXIT_REFUSED, "the authorization details are missing or not acceptable" },

    { ERROR_BINDING,         "binding",           BAD_REQUEST, NULL, 400, EXIT_REFUSED, "the stage asks for a binding that did not come" },
    { ERROR_APPROVAL_PENDING, "approval_pending", "authorization_pending", NULL, 400, EXIT_APPROVAL, "people have to approve this: ask again with the code" },
    { ERROR_SLOW_DOWN,       "slow_down",         "slow_down", NULL, 400, EXIT_APPROVAL, "the approval is asked for too often" },
    { ERROR_APPROVAL_EXPIRED, "approval_expired", "expired_token", NULL, 400, EXIT_APPROVAL, "the approval did not come, or was not used, in time" },
    { ERROR_APPROVAL_REJECTED, "approval_rejected", "access_denied", NULL, 403, EXIT_REFUSED, "an approver refused this" },
    { ERROR_UNAPPROVED,      "unapproved",        "access_denied", NULL, 403, EXIT_REFUSED, "what would be given now is not what was approved" },
    { ERROR_APPROVAL_CODE,   "approval_code",     "invalid_grant", NULL, 400, EXIT_REFUSED, "the code is not good, or not any more" },

    { ERROR_KEYS_UNAVAILABLE, "keys_unavailable", UNAVAILABLE, NULL, 503, EXIT_LATER, "the keys of the issuer are not available: nothing was released" },
    { ERROR_MINT,            "mint",              UNAVAILABLE, NULL, 503, EXIT_LATER, "a target did not give the credential: nothing was released" },
    { ERROR_MINT_UNKNOWN,    "mint_unknown",      UNAVAILABLE, NULL, 503, EXIT_LATER, "a target did not answer in time: nothing was released" },
    { ERROR_LEDGER,          "ledger",            UNAVAILABLE, NULL, 503, EXIT_LATER, "the ledger is not available: nothing was released" },
    { ERROR_INDEX,           "index",             UNAVAILABLE, NULL, 503, EXIT_LATER, "the ledger's index is not ready: try again later" },
    { ERROR_STOPPING,        "stopping",          UNAVAILABLE, NULL, 503, EXIT_LATER, "the broker is stopping: nothing was released" },

    { ERROR_REFUSED,         "refused",           NULL, NULL, 403, EXIT_REFUSED, "the broker refused" },
    { ERROR_UNREACHABLE,     "unreachable",       NULL, NULL, 503, EXIT_UNREACHABLE, "the broker cannot be reached" },
    { ERROR_FOUND,           "found",             NULL, NULL, 200, EXIT_FOUND, "something was found" },
    { ERROR_LATER,           "later",             NULL, NULL, 503, EXIT_LATER, "not now: try again later" },
};
/* clang-format on */
_Static_assert(COUNT(kinds) == ERROR_CODE_COUNT, "every error code has its row");

const struct error_kind *error_kind(enum error_code code)
{
    assert((size_t)code < COUNT(kinds));
    return &kinds[code];
}

/* A sequence that the limit cut through must not spoil the text before it. */
static void drop_cut_sequence(char *text, size_t len)
{
    size_t start = len;

    while (start > 0 && len - start < 3 && ((uint8_t)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0 && (uint8_t)text[start - 1] >= 0xc0 && !str_is_utf8(str_from(text + start - 1)))
        text[start - 1] = '\0';
}

/* Make `text` harmless for a log line and for JSON. */
static void clean_cause(char *text)
{
    bool is_utf8 = str_is_utf8(str_from(text));

    for (; *text != '\0'; text++) {
        uint8_t byte = (uint8_t)*text;

        if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_utf8))
            *text = '?';
    }
}

static void format_cause(struct error *error, const char *format, va_list values) PRINTF_LIKE(2, 0);

static void format_cause(struct error *error, const char *format, va_list values)
{
    int len = vsnprintf(error->cause, sizeof(error->cause), format, values);

    if (len < 0)
        error->cause[0] = '\0';
    if (len >= (int)sizeof(error->cause))
        drop_cut_sequence(error->cause, sizeof(error->cause) - 1);
    clean_cause(error->cause);
}

/* Set code and sentence; false where an earlier failure stays. */
static bool begin(struct error *error, enum error_code code)
{
    assert(code != ERROR_NONE);
    if (error->code != ERROR_NONE)
        return false;
    error->code = code;
    (void)snprintf(error->message, sizeof(error->message), "%s", error_kind(code)->sentence);
    error->cause[0] = '\0';
    return true;
}

bool error_set(struct error *error, enum error_code code, const char *format, ...)
{
    va_list values;

    if (!begin(error, code))
        return false;
    va_start(values, format);
    format_cause(error, format, values);
    va_end(values);
    return false;
}

/* "first: second" into the cause; `second` may be the cause itself. */
static void join_cause(struct error *error, const char *first, const char *second)
{
    char joined[2 * sizeof(error->cause)];
    int len = snprintf(joined, sizeof(joined), "%s: %s", first, second);
    size_t kept = sizeof(error->cause) - 1;

    if (len < 0)
        return;
    memcpy(error->cause, joined, kept);
    error->cause[kept] = '\0';
    if ((size_t)len > kept)
        drop_cut_sequence(error->cause, kept);
    clean_cause(error->cause);
}

bool error_wrap(struct error *error, const char *format, ...)
{
    char prefix[sizeof(error->cause)];
    va_list values;

    va_start(values, format);
    (void)vsnprintf(prefix, sizeof(prefix), format, values);
    va_end(values);
    join_cause(error, prefix, error->cause);
    return false;
}

void error_tell(struct error *error, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    (void)vsnprintf(error->message, sizeof(error->message), format, values);
    va_end(values);
    for (char *at = error->message; *at != '\0'; at++) {
        if (*at < 0x20 || *at > 0x7e || *at == '"' || *at == '\\')
            *at = '?';
    }
}

bool error_set_errno(struct error *error, const char *format, ...)
{
    char reason[128] = "unknown error";
    int number = errno;
    va_list values;

    if (!begin(error, ERROR_IO))
        return false;
    va_start(values, format);
    format_cause(error, format, values);
    va_end(values);
    (void)strerror_r(number, reason, sizeof(reason)); /* cut or unknown: still a text */
    join_cause(error, error->cause, reason);
    return false;
}

bool error_set_openssl(struct error *error, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = ERR_reason_error_string(code);

    ERR_clear_error();
    return error_set(error, ERROR_CRYPTO, "%s: %s", what,
                     reason == NULL ? "no reason given" : reason);
}
