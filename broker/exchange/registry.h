#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "exchange/exchange.h"

struct error;

/** What a registry's client asks our token endpoint. */
struct registry_request {
    struct str username;      /* a lease's id, or empty: then the password alone says it */
    struct str password;      /* as the lease's exchange gave it */
    struct str service;       /* whose token it wants */
    const struct str *scopes; /* each one scope, or several with spaces between them */
    size_t scope_count;
};

/** What it gets. In the request's arena. */
struct registry_answer {
    struct str token;
    struct str stage;
    struct str lease;
    struct str jti;
    size_t access_count; /* repositories it is for; 0: it is for nothing */
    int64_t issued_s;
    int64_t expires_s;
};

/**
 * Give a token for a registry: of what the exchange gave, what is asked for, and only while its
 * lease lives.
 *
 * No entry of the ledger says so: nothing is decided here, and the exchange's has the most that
 * anybody gets. Each token names its lease, so that what the registry writes down can be joined.
 *
 * Errors: ERROR_UNAUTHORIZED (the password, or its lease has ended), ERROR_TARGET (another
 *         service), ERROR_SCOPE, ERROR_LEDGER, ERROR_MEMORY, ERROR_CRYPTO
 */
bool registry_answer(const struct exchange_service *service, const struct registry_request *request,
                     struct arena *arena, struct registry_answer *answer, struct error *error)
    MUST_USE;
