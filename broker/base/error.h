#pragma once

#include <stdbool.h>

#include "base/macros.h"
#include "base/str.h"

/**
 * Everything that can go wrong. error.c has one row a code: OAuth error, HTTP status, exit code,
 * the fixed sentence for the caller, and the public `reason`.
 */
enum error_code {
    ERROR_NONE,

    /* the program and its surroundings */
    ERROR_MEMORY,  /* no memory, or a request's limit of it */
    ERROR_IO,      /* a file, socket or system call; the cause names it */
    ERROR_CONFIG,  /* configuration or policy: positions are in the diagnostics */
    ERROR_USAGE,   /* command line */
    ERROR_LIMIT,   /* something is larger than it may be */
    ERROR_SYNTAX,  /* text that does not parse: base64url, JSON, YAML, DER ... */
    ERROR_CRYPTO,  /* OpenSSL refused where no input should make it */
    ERROR_INVALID, /* a proof, signature or log that does not verify */

    /* HTTP shapes */
    ERROR_NOT_FOUND,
    ERROR_METHOD,
    ERROR_BODY_TOO_LARGE,
    ERROR_URI_TOO_LONG,
    ERROR_MEDIA_TYPE,
    ERROR_HEADERS_TOO_LARGE,
    ERROR_UNAUTHORIZED, /* a bearer credential is missing or unknown */
    ERROR_CLIENT,       /* invalid_client: a resource server that does not show itself */
    ERROR_ROLE,         /* who asks has no role for it */
    ERROR_BUSY,         /* budgets: 429 */

    /* the token endpoint, before policy */
    ERROR_REQUEST,    /* malformed */
    ERROR_GRANT_TYPE, /* unsupported_grant_type */
    ERROR_TOKEN,      /* an unacceptable subject token: one constant answer */
    ERROR_TOKEN_USED, /* the four that a verified token's bearer is told */
    ERROR_TOKEN_EXPIRED,
    ERROR_TOKEN_TOO_OLD,
    ERROR_TOKEN_AUDIENCE,
    ERROR_ACTOR,      /* an unacceptable actor token: one constant answer */
    ERROR_REFRESH,    /* an unacceptable refresh token: one constant answer */
    ERROR_DPOP,       /* invalid_dpop_proof */
    ERROR_DPOP_NONCE, /* use_dpop_nonce: the answer has one */
    ERROR_STAGE,      /* several stages fit and none is named */

    /* policy */
    ERROR_NO_PIPELINE, /* tell the caller nothing */
    ERROR_CONDITION,
    ERROR_GUARDRAIL,
    ERROR_BLOCKED, /* by an operator */
    ERROR_FULL,    /* as many leases of the stage live as may, and one waits for it: 429 */
    ERROR_SCOPE,
    ERROR_TARGET,            /* invalid_target: an audience that the stage does not have */
    ERROR_DETAILS,           /* invalid_authorization_details */
    ERROR_BINDING,           /* one that the stage asks for did not come */
    ERROR_APPROVAL_PENDING,  /* authorization_pending: people are asked */
    ERROR_SLOW_DOWN,         /* slow_down: they are asked for too often */
    ERROR_APPROVAL_EXPIRED,  /* expired_token: not given in time, or not used in time */
    ERROR_APPROVAL_REJECTED, /* somebody said no */
    ERROR_UNAPPROVED,        /* what would be given is not what was approved */
    ERROR_APPROVAL_CODE,     /* invalid_grant: no such code, used up, or somebody else's */

    /* those we depend on: 503, nothing was released */
    ERROR_KEYS_UNAVAILABLE, /* the issuer's keys are not to be had */
    ERROR_MINT,             /* a target refused or failed */
    ERROR_MINT_UNKNOWN,     /* a mint whose outcome is not known */
    ERROR_LEDGER,           /* the ledger cannot be written */
    ERROR_INDEX,            /* its index is behind, or took too long */
    ERROR_STOPPING,

    /* the client's */
    ERROR_REFUSED,     /* exit 3 */
    ERROR_UNREACHABLE, /* exit 5 */
    ERROR_FOUND,       /* exit 6 */
    ERROR_LATER,       /* exit 7 */

    ERROR_CODE_COUNT
};

/** One row of the table. `oauth_error` is NULL where the code never reaches an OAuth answer. */
struct error_kind {
    enum error_code code;
    const char *name;        /* for the log: lower case, "token_expired" */
    const char *oauth_error; /* RFC 6749 5.2 and its extensions */
    const char *reason;      /* the public `reason` member, or NULL */
    int http_status;
    int exit_code;
    const char *sentence; /* for the caller: printable ASCII without '"' and '\' */
};

/** Why something failed, in the caller's storage, always the last parameter. */
struct error {
    enum error_code code; /* ERROR_NONE until something fails */
    char message[160];    /* for the caller: the code's sentence, or what error_tell() said */
    char cause[256];      /* for the log and the ledger: no secret, no token */
};

const struct error_kind *error_kind(enum error_code code);

/**
 * Set the error and return false. The first failure stays: a second call changes nothing.
 *
 * The cause is cut at its limit; control characters in it, and what is not UTF-8, become '?'.
 */
bool error_set(struct error *error, enum error_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);

/** Put "prefix: " in front of the cause; false, so that it can be returned. */
bool error_wrap(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/**
 * Say more to the caller than the fixed sentence: only once the identity has matched.
 *
 * What RFC 6749 5.2 does not let into an error_description becomes '?'.
 */
void error_tell(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/** Set ERROR_IO with what errno says: "what: No such file or directory". False. */
bool error_set_errno(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/** Set ERROR_CRYPTO with OpenSSL's oldest queued reason and empty its queue. False. */
bool error_set_openssl(struct error *error, const char *what);

/* The analyzer does not look into error.c: this tells it that these return false. */
#if defined(__clang_analyzer__) && !defined(ERROR_DEFINES)
/* NOLINTBEGIN(readability-identifier-naming): they stand for the functions */
#define error_set(...) ((void)error_set(__VA_ARGS__), (bool)false)
#define error_wrap(...) ((void)error_wrap(__VA_ARGS__), (bool)false)
#define error_set_errno(...) ((void)error_set_errno(__VA_ARGS__), (bool)false)
#define error_set_openssl(...) ((void)error_set_openssl(__VA_ARGS__), (bool)false)
/* NOLINTEND(readability-identifier-naming) */
#endif
